//! `tessera decode` and `tessera encode`: golden latents and pictures in, what torch made of them out.

#[cfg(test)]
mod odd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use image::{ImageFormat, RgbImage};
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;
use tessera_tests::{
    figures::say,
    golden, model, picture,
    process::{Ended, Running},
    program,
    render::Render,
    tensors::{Tensor, Tensors},
};

/// The tiny model's scaling factor, that of Stable Diffusion 1.x.
const SCALING: f32 = 0.18215;

/// A folder to work in.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `tessera` in the folder, with the tiny model unless the flags name workers.
    fn run(&self, words: &str) -> Ended {
        if words.contains("--workers") {
            finished(&mut self.command(words))
        } else {
            self.run_with(words, &model::tiny())
        }
    }

    /// Runs `tessera` in the folder, with two workers of a model.
    fn run_with(&self, words: &str, model: &Path) -> Ended {
        finished(self.command(words).arg("--model").arg(model).args(["--workers", "cpu:1,cpu:1"]))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = program::command();
        command.args(words.split_whitespace()).current_dir(self.0.path());
        command
    }

    fn done(&self, words: &str) -> Ended {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    /// Writes a latent file.
    fn latent(&self, name: &str, tensor: &Tensor) {
        write_tensor(&self.path(name), "latent", &tensor.shape, &tensor.values);
    }

    fn names(&self) -> Vec<String> {
        let files = model::files_below(self.0.path());
        files.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    }
}

fn finished(command: &mut Command) -> Ended {
    Running::start(command).wait(Duration::from_secs(120))
}

fn write_tensor(path: &Path, name: &str, shape: &[usize], values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).expect("as many values as the shape says");
    fs::write(path, safetensors::serialize([(name, view)], None).expect("a file")).expect("a temporary file");
}

fn scaled(tensor: &Tensor, factor: f32) -> Tensor {
    Tensor { shape: tensor.shape.clone(), values: tensor.values.iter().map(|value| value * factor).collect() }
}

/// The mean (part 0) or log variance (part 1) of moments `[1, 2c, h, w]`.
fn half(moments: &Tensor, part: usize) -> Tensor {
    let [one, planes, rows, columns] = moments.shape[..] else { panic!("moments have four dimensions") };
    let length = moments.values.len() / 2;
    let values = moments.values[part * length..][..length].to_vec();
    Tensor { shape: vec![one, planes / 2, rows, columns], values }
}

/// A golden picture, planes of bytes, as a PNG.
fn write_picture(path: &Path, (shape, planes): (Vec<usize>, Vec<u8>)) {
    let side = |length: usize| u32::try_from(length).expect("a small picture");
    let (rows, columns) = (side(shape[2]), side(shape[3]));
    let plane = planes.len() / 3;
    let image = RgbImage::from_fn(columns, rows, |x, y| {
        let at = (y * columns + x) as usize;
        image::Rgb([planes[at], planes[plane + at], planes[2 * plane + at]])
    });
    fs::write(path, picture::bytes(&image, ImageFormat::Png)).expect("a temporary file");
}

#[test]
fn a_latent_is_decoded_as_torch_does() {
    let (bench, golden) = (Bench::new(), golden::tensors("vae"));
    for mode in ["exact --vae-tile 16", "off"] {
        bench.latent("l.safetensors", &scaled(&golden.get("decode.24x40.latent"), SCALING));
        let ended = bench.done(&format!("decode l.safetensors -o out.png --dump d.safetensors --vae {mode}"));
        assert!(ended.stdout.contains("out.png: 320x192 px in "), "{ended:?}");
        assert!(!ended.stderr.contains("embed"), "nothing is embedded: {ended:?}");
        let image = Tensors::open(&bench.path("d.safetensors")).get("image");
        let apart = image.max_abs_difference(&golden.get("decode.24x40.picture"));
        say(format_args!("decode --vae {mode} against torch in float64: {apart:.1e}"));
        assert!(apart <= 2e-5, "{mode}: {apart}");
    }
}

#[test]
fn a_picture_is_encoded_as_torch_does_and_any_seed_draws_from_its_posterior() {
    let (bench, golden) = (Bench::new(), golden::tensors("vae"));
    write_picture(&bench.path("p.png"), golden.bytes("encode.192x128.picture"));
    let moments = golden.get("encode.192x128.moments");
    let ended = bench.done("encode p.png -o l.safetensors --vae-encode-tile 128");
    assert!(ended.stdout.contains("l.safetensors: latent of 128x192 px in "), "{ended:?}");
    let latent = Tensors::open(&bench.path("l.safetensors")).get("latent");
    let apart = latent.max_abs_difference(&scaled(&half(&moments, 0), SCALING));
    say(format_args!("encode in two tiles against torch in float64: {apart:.1e}"));
    assert!(apart <= 2e-5, "{apart}");

    bench.done("encode p.png -o a.safetensors --seed 3");
    bench.done("encode p.png -o b.safetensors --seed 3 --vae off");
    let [a, b] =
        ["a", "b"].map(|name| Tensors::open(&bench.path(&format!("{name}.safetensors"))).get("latent"));
    assert!(a.max_abs_difference(&b) <= 2e-5, "the seed says which");
    // What was drawn, in deviations from the mean, is noise of deviation 1.
    let deviations = half(&moments, 1).values.into_iter().map(|log| (0.5 * log).exp() * SCALING);
    let noise =
        a.values.iter().zip(&latent.values).zip(deviations).map(|((drawn, mean), d)| (drawn - mean) / d);
    let squares: Vec<f32> = noise.map(|noise| noise * noise).collect();
    #[expect(clippy::cast_precision_loss, reason = "some thousand values")]
    let variance = squares.iter().sum::<f32>() / squares.len() as f32;
    assert!((0.9..1.1).contains(&variance), "{variance}");
}

#[test]
fn a_render_s_latent_decodes_to_its_picture() {
    let rendered =
        Render::tiny("a cat").flags("--width 96 --height 64 --steps 2 --scale 1").dump().rendered();
    let bench = Bench::new();
    bench.latent("l.safetensors", &rendered.tensors().get("base_latent"));
    bench.done("decode l.safetensors");
    assert_eq!(bench.names(), ["l.png", "l.safetensors"], "an unnamed picture is called as its latent");
    assert_eq!(picture::pixels(&bench.path("l.png")), picture::pixels(&rendered.picture()));
    bench.done("decode l.safetensors");
    assert!(bench.path("l-2.png").exists(), "and replaces nothing");
}

#[test]
fn what_is_no_latent_is_refused_in_a_sentence() {
    let bench = Bench::new();
    let refused = |words: &str| {
        let before = bench.names();
        let ended = bench.run(words);
        assert_eq!((ended.code, bench.names()), (Some(2), before), "{ended:?}");
        ended.error().to_owned()
    };
    let says =
        |sentence: &str, part: &str| assert!(sentence.contains(part), "{part:?} is missing in: {sentence}");
    says(&refused("decode absent.safetensors -o out.png"), "there is no such file");
    fs::write(bench.path("text.safetensors"), "no tensors at all").unwrap();
    says(&refused("decode text.safetensors -o out.png"), "it is no safetensors file");
    write_tensor(&bench.path("samples.safetensors"), "samples", &[1, 4, 8, 8], &[0.0; 256]);
    says(&refused("decode samples.safetensors -o out.png"), "it has no tensor \"latent\": it holds samples");
    write_tensor(&bench.path("wide.safetensors"), "latent", &[1, 16, 4, 4], &[0.0; 256]);
    says(&refused("decode wide.safetensors -o out.png"), "the latent has 16 channels");
    says(&refused("decode wide.safetensors -o out.txt"), ".txt");
    says(&refused("encode text.safetensors -o l.safetensors"), "not an image");
    fs::write(bench.path("p.png"), picture::bytes(&picture::scene(64, 64), ImageFormat::Png)).unwrap();
    says(&refused("decode p.png -o out.png"), "it is a picture: `tessera encode` makes a latent of one");
    says(
        &refused("encode wide.safetensors -o l.safetensors"),
        "`tessera decode` makes a picture of a latent",
    );
    says(&refused("encode p.png -o l.png"), "must end in .safetensors");
    says(
        &refused("encode p.png --vae-encode-tile 7 -o l.safetensors"),
        "vae encode tile is 7, must be 128 to 4096",
    );
}
