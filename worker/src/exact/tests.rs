//! Real decoders in tiles, against the whole of them. Needs the ONNX Runtime library.

use std::{fs, path::PathBuf, sync::Arc};

use tessera_proto::{Answer, Digest, Moments, Rect, Tensor, facts::Exactness};

use super::*;
use crate::{
    engine::{Engine, Named, Network, OnnxEngine, Options, Runtime, Value, library::Places},
    graph::{Model, staged::Staged},
};

/// A decoder's engine and stages.
fn decoder(folder: &str) -> (OnnxEngine, Arc<Staged>) {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("vae_decoder/model.onnx");
    let runtime = Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { device: "cpu:1".parse().unwrap(), fuse: true };
    let mut engine = OnnxEngine::new(runtime, options).unwrap();
    let staged = Arc::new(Staged::cut(&Model::parse(fs::read(&file).unwrap().into()).unwrap()).unwrap());
    engine.add(Network::VaeDecoder, &file);
    engine.add_stages(Arc::clone(&staged), &file);
    (engine, staged)
}

/// Quiet in one corner, busy in another, drifting: what shows seams best. `[1, 4, h, w]`.
fn latent(height: usize, width: usize) -> Tensor {
    #[expect(clippy::cast_precision_loss, reason = "test data")]
    let value = |index: usize| {
        let (channel, y, x) = (index / (height * width), index / width % height, index % width);
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let noise = (((index * 7919) % 1009) as f32 / 1009.0 - 0.5) * (0.3 + 3.0 * u * v);
        noise + [3.0 * (v - 0.5), 2.0 * (u - 0.5), (5.0 * u).sin(), 1.0 - u - v][channel]
    };
    Tensor::new([1, 4, height, width], (0..4 * height * width).map(value).collect()).unwrap()
}

/// Cores of at most `side` px, row by row.
fn cores(height: u32, width: u32, side: u32) -> Vec<Rect> {
    let edges = |length: u32| (0..length).step_by(side as usize).map(move |at| (at, length.min(at + side)));
    edges(height)
        .flat_map(|(y0, y1)| edges(width).map(move |(x0, x1)| Rect::new(x0, y0, x1, y1).unwrap()))
        .collect()
}

/// Plays the coordinator: all tiles advance together. Returns the picture and all statistics.
fn decode(
    (stages, engine): (&mut GraphStages, &mut OnnxEngine),
    source: &Tensor,
    side: u32,
) -> (Tensor, Vec<Moments>) {
    let [_, _, height, width] = source.nchw().unwrap();
    let mut picture = Tensor::zeros([1, 3, 8 * height, 8 * width]).unwrap();
    let cores = cores(u32::try_from(height).unwrap(), u32::try_from(width).unwrap(), side);
    let (named, mut known) = ((Digest::of(source), source), Vec::new());
    loop {
        let mut whole: Option<Moments> = None;
        for &core in &cores {
            match stages.advance(engine, named, core, &known).unwrap() {
                Answer::Moments(part) => match &mut whole {
                    Some(whole) => whole.merge(&part).unwrap(),
                    None => whole = Some(part),
                },
                Answer::Tensors(tensors) => paste(&mut picture, &tensors[0], core),
            }
        }
        match whole {
            Some(whole) => known.push(whole),
            None => return (picture, known),
        }
    }
}

fn paste(picture: &mut Tensor, pixels: &Tensor, core: Rect) {
    let ([_, _, rows, columns], [_, _, height, width]) = (picture.nchw().unwrap(), pixels.nchw().unwrap());
    for (channel, y) in (0..3).flat_map(|channel| (0..height).map(move |y| (channel, y))) {
        let row = &pixels.data()[(channel * height + y) * width..][..width];
        let start = (channel * rows + 8 * core.y0() as usize + y) * columns + 8 * core.x0() as usize;
        picture.data_mut()[start..][..width].copy_from_slice(row);
    }
}

fn untiled(engine: &mut OnnxEngine, source: &Tensor) -> Tensor {
    let facts = engine.facts(&Network::VaeDecoder).unwrap().clone();
    let input = Named { name: &facts.inputs[0].name, value: Value::Tensor(source) };
    engine.run(&Network::VaeDecoder, &[input], &[&facts.outputs[0].name]).unwrap().remove(0)
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tiles_of_any_size_give_the_untiled_decode() {
    for (folder, size) in [("tests/models/tiny-sd15", (24, 37)), ("deploy/models/demo", (33, 20))] {
        let (mut engine, staged) = decoder(folder);
        let mut stages = GraphStages::new(staged);
        let source = latent(size.0, size.1);
        let whole = untiled(&mut engine, &source);
        let (alone, none) = decode((&mut stages, &mut engine), &source, 99);
        assert!(none.is_empty(), "one tile needs nobody's statistics");
        for side in [9, 16] {
            let (tiled, known) = decode((&mut stages, &mut engine), &source, side);
            assert!(!known.is_empty());
            let (to_alone, to_whole) = (distance(&tiled, &alone), distance(&tiled, &whole));
            println!(
                "{folder} {size:?} cores of {side}: {to_alone:e} to one tile, {to_whole:e} to the untiled graph"
            );
            assert!(to_alone <= 5e-6 && to_whole <= 3e-4, "{folder} {side}: {to_alone} {to_whole}");
        }
    }
}

#[test]
fn a_worker_that_takes_over_gives_the_same_bytes() {
    let (mut engine, staged) = decoder("tests/models/tiny-sd15");
    let source = latent(16, 24);
    let mut first = GraphStages::new(Arc::clone(&staged));
    let (picture, known) = decode((&mut first, &mut engine), &source, 12);
    let named = (Digest::of(&source), &source);
    let core = Rect::new(12, 0, 24, 12).unwrap();
    for passed in [0, 1, known.len() / 2, known.len()] {
        let mut other = GraphStages::new(Arc::clone(&staged));
        let answer = other.advance(&mut engine, named, core, &known[..passed]).unwrap();
        assert_eq!(answer, first.advance(&mut engine, named, core, &known[..passed]).unwrap());
        if let Answer::Tensors(tensors) = answer {
            let mut again = picture.clone();
            paste(&mut again, &tensors[0], core);
            assert_eq!(again, picture);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let (mut engine, staged) = decoder("tests/models/tiny-sd15");
    let (mut stages, source) = (GraphStages::new(staged), latent(8, 8));
    let named = (Digest::of(&source), &source);
    let mut refusal = |core: Rect, known: &[Moments]| {
        stages.advance(&mut engine, named, core, known).unwrap_err().to_string()
    };
    let outside = refusal(Rect::new(4, 4, 12, 8).unwrap(), &[]);
    assert!(outside.contains("leaves the picture"), "{outside}");
    let foreign =
        refusal(Rect::new(0, 0, 4, 8).unwrap(), &[Moments::new(4, vec![0.0; 7], vec![1.0; 7]).unwrap()]);
    assert!(foreign.contains("statistics for 7 channels"), "{foreign}");
}

#[test]
fn barriers_and_halo_are_those_of_the_graph() {
    let (_, staged) = decoder("tests/models/tiny-sd15");
    let Exactness::Cut { barriers, halo } = exactness(&staged) else { panic!("it can be cut") };
    // 22 normalisations, 3 of them before the attention; 8.5 latent px behind the middle block and 2 in it.
    assert_eq!(barriers, 19);
    assert!((10..=12).contains(&halo), "{halo}");
}
