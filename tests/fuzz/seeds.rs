//! Valid input of every kind, small enough that a change of any byte is likely.

use std::{fs, io::Cursor};

use image::{DynamicImage, ImageFormat};
use prost::Message;
use tessera_proto::{
    FromWorker, Hello, JobSpec, ModelFacts, Outcome, Tensor, ToWorker,
    job::{Draft, Goal},
    wire,
};

pub(crate) fn prompts() -> Vec<Vec<u8>> {
    let texts = [
        "a (red:1.3) house, [old], ((roof)) AND a garden :0.7 BREAK [cat:dog:0.5] [fog|rain] \\(plain\\)",
        "[[a:b:3]::0.9] (x:-1.5) (((deep))) <lora:style:0.8>",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(crate) fn pictures() -> Vec<Vec<u8>> {
    let image = DynamicImage::new_rgb8(9, 7);
    let formats =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff];
    let encoded = formats.map(|format| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).expect("a small picture");
        bytes.into_inner()
    });
    encoded.to_vec()
}

pub(crate) fn latents() -> Vec<Vec<u8>> {
    let values = [0u8; 4 * 4 * 2 * 2];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 4, 2, 2], &values);
    let view = view.expect("a tensor");
    vec![safetensors::serialize([("latent", view)], None).expect("a small file")]
}

pub(crate) fn messages() -> Vec<Vec<u8>> {
    let spec = |draft| JobSpec::new(draft).expect("a job");
    let draft = Draft::text_to_image("a house");
    let plain = spec(draft.clone());
    let picture = spec(Draft { image: Some(pictures().remove(0).into()), ..draft.clone() });
    let decode = spec(Draft { goal: Goal::Decode(latents().remove(0).into()), ..draft });
    let hello = Hello::serving("a", "cpu", ModelFacts::simulated());
    let tensor = Tensor::new([1, 2], vec![0.5, 1.5]).expect("a tensor");
    let answer = tessera_proto::Answer::Tensors(vec![tensor.clone()]);
    let outcome = Outcome {
        lease: tessera_proto::LeaseId::new(3),
        busy: std::time::Duration::from_millis(5),
        result: Ok(answer),
    };
    let keep = ToWorker::Keep { digest: tessera_proto::Digest::of(&tensor), tensor: tensor.into() };
    let jobs = [plain, picture, decode].map(|spec| wire::JobSpec::from(spec).encode_to_vec());
    let told = [FromWorker::Hello(Box::new(hello)), FromWorker::Outcome(outcome)];
    let told = told.map(|message| wire::FromWorker::from(message).encode_to_vec());
    let mut all = [jobs.to_vec(), told.to_vec()].concat();
    all.push(wire::ToWorker::from(keep).encode_to_vec());
    all
}

pub(crate) fn graphs() -> Vec<Vec<u8>> {
    let models = tessera_tests::root().join("tests/models");
    let files = ["tiny-sd15-external/unet/model.onnx", "tiny-sd15/vae_decoder/model.onnx"];
    files.map(|file| fs::read(models.join(file)).expect("a committed graph")).to_vec()
}
