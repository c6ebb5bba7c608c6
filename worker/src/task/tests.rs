//! Guidance against its formula; the other tasks against values that torch computed.

use std::{fs, path::PathBuf};

use safetensors::{Dtype, SafeTensors};
use tessera_proto::{FailureKind, Rect, Tensor};

use super::{
    decode::decode,
    denoise::{Denoise, denoise},
    embed::{CHUNK, embed},
    encode::encode,
    upscale::upscale,
};
use crate::{
    engine::{
        Engine, Error, Named, Network, OnnxEngine, Options, Runtime, Simulated, Value, library::Places,
    },
    graph::GraphFacts,
};

/// A UNet that returns each row's latent plus the mean of its conditioning, and remembers what it was asked.
#[derive(Default)]
struct Probe {
    facts: GraphFacts,
    calls: Vec<(Vec<usize>, Vec<f32>)>,
    answer: Option<Tensor>,
}

impl Engine for Probe {
    fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error> {
        self.facts = Simulated::new(crate::engine::device::Pace::steady(std::time::Duration::ZERO), 2)
            .facts(network)?
            .clone();
        Ok(&self.facts)
    }

    fn run(&mut self, _: &Network, inputs: &[Named<'_>], outputs: &[&str]) -> Result<Vec<Tensor>, Error> {
        assert_eq!(outputs, ["out_sample"]);
        let [sample, timestep, states] = inputs else { panic!("three inputs") };
        let (Value::Tensor(sample), Value::Tensor(states)) = (sample.value, states.value) else {
            panic!("tensors")
        };
        let Value::PerItem { value, count } = timestep.value else { panic!("a number for each item") };
        assert_eq!((value, count), (499.5, sample.shape()[0]));
        let row = states.data().len() / count;
        let means: Vec<f32> =
            states.data().chunks(row).map(|row| row.iter().sum::<f32>() / row.len() as f32).collect();
        let per_tile = sample.data().len() / count;
        let data = sample
            .data()
            .chunks(per_tile)
            .zip(&means)
            .flat_map(|(tile, mean)| tile.iter().map(move |x| x + mean));
        let result = Tensor::new(sample.shape(), data.collect()).unwrap();
        self.calls.push((states.shape().to_vec(), means));
        Ok(vec![self.answer.clone().unwrap_or(result)])
    }
}

/// Conditioning `[tokens, 2]` full of one number.
fn cond(tokens: usize, value: f32) -> Tensor {
    Tensor::new([tokens, 2], vec![value; tokens * 2]).unwrap()
}

/// Two tiles `[2, 4, 1, 1]`, of ones and of twos.
fn tiles() -> Tensor {
    Tensor::new([2, 4, 1, 1], [[1.0; 4], [2.0; 4]].concat()).unwrap()
}

fn guided(probe: &mut Probe, cfg_scale: f32, uncond: &Tensor, conds: &[(f32, &Tensor)]) -> Vec<f32> {
    let tiles = tiles();
    let task = Denoise { tiles: &tiles, input_scale: 0.5, timestep: 499.5, cfg_scale, uncond, conds };
    let result = denoise(probe, &task).unwrap();
    assert_eq!(result.shape(), tiles.shape());
    result.into_data()
}

#[test]
fn guidance_is_the_weighted_sum() {
    let mut probe = Probe::default();
    let (u, a, b) = (cond(3, 0.0), cond(3, 1.0), cond(3, 3.0));
    // x = 0.5 and 1 after scaling; u = x, a = x + 1, b = x + 3: out = x + 4 (0.5 * 1 + 0.25 * 3) = x + 5.
    let result = guided(&mut probe, 4.0, &u, &[(0.5, &a), (0.25, &b)]);
    assert_eq!(result, [[5.5; 4], [6.0; 4]].concat());
    // One call; for each tile the negative prompt first.
    assert_eq!(probe.calls, [(vec![6, 3, 2], vec![0.0, 1.0, 3.0, 0.0, 1.0, 3.0])]);
}

#[test]
fn prompts_of_different_length_take_a_call_for_each_length() {
    let mut probe = Probe::default();
    let (u, a, b) = (cond(3, 0.0), cond(6, 1.0), cond(3, 3.0));
    let result = guided(&mut probe, 4.0, &u, &[(0.5, &a), (0.25, &b)]);
    assert_eq!(result, [[5.5; 4], [6.0; 4]].concat());
    assert_eq!(probe.calls, [(vec![4, 3, 2], vec![0.0, 3.0, 0.0, 3.0]), (vec![2, 6, 2], vec![1.0, 1.0])]);
}

#[test]
fn without_guidance_the_negative_prompt_is_not_run() {
    let mut probe = Probe::default();
    let result = guided(&mut probe, 1.0, &cond(3, 9.0), &[(1.0, &cond(3, 1.0))]);
    assert_eq!(result, [[1.5; 4], [2.0; 4]].concat());
    assert_eq!(probe.calls, [(vec![2, 3, 2], vec![1.0, 1.0])]);
    // A weight other than 1 needs it again, though the scale is 1.
    guided(&mut probe, 1.0, &cond(3, 9.0), &[(0.5, &cond(3, 1.0))]);
    assert_eq!(probe.calls[1].0, [4, 3, 2]);
}

#[test]
fn results_that_are_worth_nothing_are_refused() {
    let (u, tiles) = (cond(3, 0.0), tiles());
    let conds = [(1.0, &u)];
    let task = Denoise {
        tiles: &tiles,
        input_scale: 1.0,
        timestep: 499.5,
        cfg_scale: 7.0,
        uncond: &u,
        conds: &conds,
    };
    let mut probe =
        Probe { answer: Some(Tensor::new([4, 4, 1, 1], vec![f32::NAN; 16]).unwrap()), ..Probe::default() };
    let error = denoise(&mut probe, &task).unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFinite);
    assert_eq!(error.to_string(), "unet returned NaN or infinity in \"out_sample\"");
    probe.answer = Some(Tensor::zeros([4, 4, 1, 2]).unwrap());
    let error = denoise(&mut probe, &task).unwrap_err();
    assert_eq!(error.kind(), FailureKind::WrongShape);
    assert_eq!(error.to_string(), "unet returned shape [4, 4, 1, 2], expected [4, 4, 1, 1]");
    // Finite outputs whose guided sum is not.
    probe.answer =
        Some(Tensor::new([4, 4, 1, 1], [[f32::MAX; 4], [f32::MIN; 4]].concat().repeat(2)).unwrap());
    assert_eq!(denoise(&mut probe, &task).unwrap_err().kind(), FailureKind::NotFinite);
    let error = denoise(&mut probe, &Denoise { conds: &[], ..task }).unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unsupported);
}

/// An engine over the committed tiny model.
fn tiny() -> OnnxEngine {
    let runtime = Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"));
    let mut engine =
        OnnxEngine::new(runtime, Options { device: "cpu:1".parse().unwrap(), fuse: true }).unwrap();
    let folder = root().join("models/tiny-sd15");
    for network in [Network::TextEncoder, Network::Unet, Network::VaeEncoder, Network::VaeDecoder] {
        let file = folder.join(network.to_string()).join("model.onnx");
        engine.add(network, file);
    }
    engine.add(Network::Upscaler("tiny".to_owned()), folder.join("upscalers/tiny-rrdbnet-x4.onnx"));
    engine
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// A tensor of a file of golden values; pictures of bytes come as `value * scale + shift`.
fn golden(file: &str, name: &str, scale: f32, shift: f32) -> Tensor {
    let bytes = fs::read(root().join("oracle/golden").join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let data = match view.dtype() {
        Dtype::U8 => view.data().iter().map(|&value| f32::from(value) * scale + shift).collect(),
        Dtype::F32 => view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        other => panic!("{name} holds {other:?}"),
    };
    Tensor::new(view.shape(), data).unwrap()
}

fn near(what: &str, a: &Tensor, b: &Tensor, tolerance: f32) {
    assert_eq!(a.shape(), b.shape(), "{what}");
    let distance = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{what}: {distance:.1e} from torch");
    assert!(distance <= tolerance, "{what} is {distance} from torch, at most {tolerance} is allowed");
}

#[test]
fn embed_agrees_with_torch() {
    let bytes = fs::read(root().join("oracle/golden/text.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let ids = tensors.tensor("ids").unwrap();
    let ids: Vec<i64> = ids.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    let (chunks, rest) = ids.as_chunks::<CHUNK>();
    assert!(rest.is_empty() && 1 < chunks.len(), "rows of 77");
    let mut engine = tiny();
    let result = embed(&mut engine, chunks).unwrap();
    near("embed", &result, &golden("text.safetensors", "embeds", 1.0, 0.0), 5e-6);
    assert!(embed(&mut engine, &[]).unwrap_err().to_string().contains("there is no chunk"));
}

#[test]
fn decode_and_encode_agree_with_torch() {
    let mut engine = tiny();
    for size in ["16x16", "24x40"] {
        let latent = golden("vae.safetensors", &format!("decode.{size}.latent"), 1.0, 0.0);
        let picture = golden("vae.safetensors", &format!("decode.{size}.picture"), 1.0, 0.0);
        // The reference is float64; ONNX Runtime's own norms over whole planes take most of the bound.
        near(&format!("decode {size}"), &decode(&mut engine, &latent, 8).unwrap(), &picture, 2e-5);
    }
    for size in ["128x128", "192x128"] {
        let picture = golden("vae.safetensors", &format!("encode.{size}.picture"), 1.0 / 127.5, -1.0);
        let moments = golden("vae.safetensors", &format!("encode.{size}.moments"), 1.0, 0.0);
        near(&format!("encode {size}"), &encode(&mut engine, &picture, 8).unwrap(), &moments, 2e-5);
    }
}

#[test]
fn upscale_agrees_with_torch() {
    let picture = golden("vae.safetensors", "upscale.picture", 1.0 / 255.0, 0.0);
    let enlarged = golden("vae.safetensors", "upscale.enlarged", 1.0, 0.0);
    near("upscale", &upscale(&mut tiny(), "tiny", &picture, whole(&picture)).unwrap(), &enlarged, 5e-6);
}

fn whole(image: &Tensor) -> Rect {
    let [_, _, h, w] = image.nchw().unwrap().map(|side| u32::try_from(side).unwrap());
    Rect::new(0, 0, w, h).unwrap()
}

#[test]
fn what_is_kept_of_a_tile_is_that_part_of_its_enlargement() {
    let mut engine = Simulated::new(crate::engine::device::Pace::steady(std::time::Duration::ZERO), 768);
    let values = (0..3 * 24 * 20_u16).map(|at| f32::from(at % 251) / 251.0).collect();
    let image = Tensor::new([1, 3, 24, 20], values).unwrap();
    let all = upscale(&mut engine, "sim-2x", &image, whole(&image)).unwrap();
    let keep = Rect::new(3, 5, 14, 9).unwrap();
    let part = upscale(&mut engine, "sim-2x", &image, keep).unwrap();
    assert_eq!(part.shape(), [1, 3, 8, 22]);
    for (index, value) in part.data().iter().enumerate() {
        let (channel, row, column) = (index / 176, index / 22 % 8, index % 22);
        assert_eq!(*value, all.data()[(channel * 48 + 10 + row) * 40 + 6 + column], "{index}");
    }
    let outside = upscale(&mut engine, "sim-2x", &image, Rect::new(0, 0, 21, 1).unwrap()).unwrap_err();
    assert_eq!(outside.kind(), FailureKind::Unsupported);
    assert!(outside.to_string().contains("does not lie on a tile of 20x24 px"), "{outside}");
}

#[test]
fn the_simulated_upscaler_sees_as_far_as_it_says() {
    let mut engine = Simulated::new(crate::engine::device::Pace::steady(std::time::Duration::ZERO), 768);
    let mut one = vec![0.0; 3 * 32 * 32];
    one[16 * 32 + 16] = 1.0;
    let image = Tensor::new([1, 3, 32, 32], one).unwrap();
    let lit = upscale(&mut engine, "sim-2x", &image, whole(&image)).unwrap();
    let lit: Vec<_> = (0..64 * 64).filter(|&at| lit.data()[at] != 0.0).map(|at| (at % 64, at / 64)).collect();
    assert!(lit.iter().all(|&(x, y)| x.abs_diff(33) <= 17 && y.abs_diff(33) <= 17), "{lit:?}");
    assert!(lit.contains(&(16, 32)) && lit.contains(&(49, 33)), "8 px to each side: {lit:?}");
}

#[test]
fn sizes_the_graph_does_not_return_are_refused() {
    let mut engine = tiny();
    let latent = Tensor::zeros([1, 4, 8, 8]).unwrap();
    assert_eq!(decode(&mut engine, &latent, 4).unwrap_err().kind(), FailureKind::WrongShape);
    let flat = Tensor::zeros([4, 8, 8]).unwrap();
    let message = decode(&mut engine, &flat, 8).unwrap_err().to_string();
    assert_eq!(
        message,
        "vae_decoder: input \"latent_sample\": four dimensions are needed, got shape [4, 8, 8]"
    );
}

#[test]
fn the_simulated_engine_serves_every_task() {
    let mut engine = Simulated::new(crate::engine::device::Pace::steady(std::time::Duration::ZERO), 768);
    let image = Tensor::zeros([1, 3, 64, 32]).unwrap();
    assert_eq!(encode(&mut engine, &image, 8).unwrap().shape(), [1, 8, 8, 4]);
    let enlarged = upscale(&mut engine, "sim-4x", &image, whole(&image)).unwrap();
    assert_eq!(enlarged.shape(), [1, 3, 256, 128]);
    assert!(upscale(&mut engine, "any", &image, whole(&image)).unwrap_err().to_string().contains("\"any\""));
    let latent = Tensor::zeros([1, 4, 8, 4]).unwrap();
    assert_eq!(decode(&mut engine, &latent, 8).unwrap().shape(), [1, 3, 64, 32]);
    let states = embed(&mut engine, &[[1; CHUNK], [2; CHUNK]]).unwrap();
    assert_eq!(states.shape(), [2, 77, 768]);
    let cond = Tensor::new([77, 768], states.data()[..77 * 768].to_vec()).unwrap();
    let conds = [(1.0, &cond)];
    let task = Denoise {
        tiles: &latent,
        input_scale: 1.0,
        timestep: 10.0,
        cfg_scale: 7.0,
        uncond: &cond,
        conds: &conds,
    };
    assert_eq!(denoise(&mut engine, &task).unwrap().shape(), latent.shape());
}
