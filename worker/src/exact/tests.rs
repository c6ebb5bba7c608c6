//! Real decoders in tiles, against the whole of them. Needs the ONNX Runtime library.

use std::{fs, path::PathBuf, sync::Arc};

use tessera_proto::{Answer, Digest, Moments, Rect, Source, Tensor, facts::Exactness, job::Size};

use super::*;
use crate::{
    engine::{Engine, Named, Network, OnnxEngine, Options, Runtime, Value, library::Places},
    graph::{
        Model,
        staged::{Patch, Staged},
    },
};

/// A decoder's engine and stages.
fn decoder(folder: &str) -> (OnnxEngine, Arc<Staged>) {
    network(Vae::Decoder, folder)
}

/// The engine and the stages of a folder's network.
fn network(of: Vae, folder: &str) -> (OnnxEngine, Arc<Staged>) {
    let file = format!("../{folder}/{}/model.onnx", of.network());
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let runtime = Runtime::load(&Places::of_process(None)).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { device: "cpu:1".parse().unwrap(), fuse: true };
    let mut engine = OnnxEngine::new(runtime, options).unwrap();
    let staged = Arc::new(Staged::cut(&Model::parse(fs::read(&file).unwrap().into()).unwrap()).unwrap());
    engine.add(of.network(), &file);
    engine.add_stages(of, Arc::clone(&staged), &file);
    (engine, staged)
}

/// A step of a tile of a decoder.
fn advance(
    (stages, engine): (&mut GraphStages, &mut OnnxEngine),
    latent: &Tensor,
    core: Rect,
    known: &[Moments],
) -> Result<Answer, Error> {
    let canvas = size_of(latent);
    let place = Rect::new(0, 0, canvas.width, canvas.height).unwrap();
    let sources = [(Source { place, digest: Digest::of(latent) }, latent)];
    stages.advance(engine, &Step { part: Part::Decoder, canvas, sources: &sources, core, known })
}

fn size_of(tensor: &Tensor) -> Size {
    let [_, _, height, width] = tensor.nchw().unwrap().map(|length| u32::try_from(length).unwrap());
    Size { width, height }
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
    let mut known = Vec::new();
    loop {
        let mut whole: Option<Moments> = None;
        for &core in &cores {
            match advance((&mut *stages, &mut *engine), source, core, &known).unwrap() {
                Answer::Moments(part) => match &mut whole {
                    Some(whole) => whole.merge(&part).unwrap(),
                    None => whole = Some(part),
                },
                Answer::Tensors(tensors) => paste(&mut picture, &tensors[0], core),
                Answer::Statistics(_) => panic!("nothing was measured"),
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

fn untiled((network, engine): (Network, &mut OnnxEngine), source: &Tensor) -> Tensor {
    let facts = engine.facts(&network).unwrap().clone();
    let input = Named { name: &facts.inputs[0].name, value: Value::Tensor(source) };
    engine.run(&network, &[input], &[&facts.outputs[0].name]).unwrap().remove(0)
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn tiles_of_any_size_give_the_untiled_decode() {
    for (folder, size) in [("tests/models/tiny-sd15", (24, 37)), ("deploy/models/demo", (33, 20))] {
        let (mut engine, staged) = decoder(folder);
        let mut stages = GraphStages::new(Vae::Decoder, staged, Spill::default());
        let source = latent(size.0, size.1);
        let whole = untiled((Network::VaeDecoder, &mut engine), &source);
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
    let mut first = GraphStages::new(Vae::Decoder, Arc::clone(&staged), Spill::default());
    let (picture, known) = decode((&mut first, &mut engine), &source, 12);
    let core = Rect::new(12, 0, 24, 12).unwrap();
    for passed in [0, 1, known.len() / 2, known.len()] {
        let mut other = GraphStages::new(Vae::Decoder, Arc::clone(&staged), Spill::default());
        let answer = advance((&mut other, &mut engine), &source, core, &known[..passed]).unwrap();
        assert_eq!(answer, advance((&mut first, &mut engine), &source, core, &known[..passed]).unwrap());
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
    let (mut stages, source) = (GraphStages::new(Vae::Decoder, staged, Spill::default()), latent(8, 8));
    let mut refusal = |core: Rect, known: &[Moments]| {
        advance((&mut stages, &mut engine), &source, core, known).unwrap_err().to_string()
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
    let Exactness::Cut { barriers, halo, crossing, .. } = exactness(Vae::Decoder, &staged) else {
        panic!("it can be cut")
    };
    // 22 normalisations, 3 of them before the attention; 8.5 latent px behind the middle block and 2 in it.
    assert_eq!(barriers, 19);
    assert!((10..=12).contains(&halo), "{halo}");
    assert_eq!(crossing, 0);
    let (_, staged) = network(Vae::Encoder, "tests/models/tiny-sd15");
    // Three resolutions of one block, two normalisations each; the next one looks at what the tiles hand over. Px that a
    // block of 8 looks at: 1 for the first convolution, 2, 4 and 8 for the blocks, 1, 2 and 4 for halving them.
    let cut = exactness(Vae::Encoder, &staged);
    let Exactness::Cut { barriers, halo, crossing, prefix, peaks } = cut else { panic!("it can be cut") };
    assert_eq!((barriers, halo, crossing, prefix), (6, 22, 16, 2));
    assert_eq!(peaks.tiles().len(), 6);
}

/// Plays the coordinator with an encoder; tiles see `halo` px around their cores.
fn encode(
    (stages, engine): (&mut GraphStages, &mut OnnxEngine),
    image: &Tensor,
    side: u32,
    halo: u32,
) -> Tensor {
    let canvas = size_of(image);
    let whole = Patch::new(Rect::new(0, 0, canvas.width, canvas.height).unwrap(), image.clone()).unwrap();
    let cores = cores(canvas.height, canvas.width, side);
    let crops: Vec<(Source, Tensor)> = cores
        .iter()
        .map(|core| {
            let place = Rect::new(
                core.x0().saturating_sub(halo),
                core.y0().saturating_sub(halo),
                canvas.width.min(core.x1() + halo),
                canvas.height.min(core.y1() + halo),
            );
            let crop = whole.crop(place.unwrap()).unwrap().into_owned();
            let digest = Digest::of(crop.tensor());
            (Source { place: crop.place(), digest }, crop.into_tensor())
        })
        .collect();
    let mut known = Vec::new();
    loop {
        let (mut merged, mut made): (Option<Moments>, Vec<Tensor>) = (None, Vec::new());
        for (&core, (source, tensor)) in cores.iter().zip(&crops) {
            let sources = [(*source, tensor)];
            let step = Step { part: Part::Encoder, canvas, sources: &sources, core, known: &known };
            match (stages.advance(engine, &step).unwrap(), &mut merged) {
                (Answer::Moments(part), Some(merged)) => merged.merge(&part).unwrap(),
                (Answer::Moments(part), None) => merged = Some(part),
                (Answer::Tensors(tensors), _) => made.extend(tensors),
                (Answer::Statistics(_), _) => panic!("nothing was measured"),
            }
        }
        if let Some(merged) = merged {
            known.push(merged);
            continue;
        }
        if cores.len() == 1 {
            return made.remove(0);
        }
        let sources: Vec<_> = cores
            .iter()
            .zip(&made)
            .map(|(core, tensor)| {
                let [x0, y0, x1, y1] = [core.x0(), core.y0(), core.x1(), core.y1()].map(|px| px / 8);
                let place = Rect::new(x0, y0, x1, y1).unwrap();
                (Source { place, digest: Digest::of(tensor) }, tensor)
            })
            .collect();
        let core = whole.place();
        let step = Step { part: Part::EncoderEnd, canvas, sources: &sources, core, known: &[] };
        let Answer::Tensors(mut moments) = stages.advance(engine, &step).unwrap() else { panic!("moments") };
        return moments.remove(0);
    }
}

/// Quiet in one corner, busy in another. `[1, 3, h, w]`, -1..1.
fn image(height: usize, width: usize) -> Tensor {
    let latent = latent(height, width);
    let values = latent.data()[..3 * height * width].iter().map(|value| value.tanh()).collect();
    Tensor::new([1, 3, height, width], values).unwrap()
}

#[test]
fn tiles_of_any_size_give_the_untiled_encode() {
    for (folder, size) in [("tests/models/tiny-sd15", (136, 200)), ("deploy/models/demo", (200, 136))] {
        let (mut engine, staged) = network(Vae::Encoder, folder);
        let Exactness::Cut { halo, .. } = exactness(Vae::Encoder, &staged) else { panic!("it can be cut") };
        let mut stages = GraphStages::new(Vae::Encoder, staged, Spill::default());
        let image = image(size.0, size.1);
        let whole = untiled((Network::VaeEncoder, &mut engine), &image);
        let alone = encode((&mut stages, &mut engine), &image, 512, halo);
        for side in [64, 88] {
            let tiled = encode((&mut stages, &mut engine), &image, side, halo);
            let (to_alone, to_whole) = (distance(&tiled, &alone), distance(&tiled, &whole));
            println!(
                "{folder} {size:?} cores of {side} px, halo {halo} px: {to_alone:e} to one tile, {to_whole:e} to the untiled graph"
            );
            assert!(to_alone <= 5e-6 && to_whole <= 2e-5, "{folder} {side}: {to_alone} {to_whole}");
        }
    }
}

#[test]
fn an_encoders_tile_without_its_halo_is_refused() {
    let (mut engine, staged) = network(Vae::Encoder, "tests/models/tiny-sd15");
    let (mut stages, image) = (GraphStages::new(Vae::Encoder, staged, Spill::default()), image(64, 64));
    let place = Rect::new(0, 0, 64, 64).unwrap();
    let source = Source { place, digest: Digest::of(&image) };
    let canvas = Size { width: 128, height: 64 };
    let step = Step { part: Part::Encoder, canvas, sources: &[(source, &image)], core: place, known: &[] };
    let error = stages.advance(&mut engine, &step).unwrap_err().to_string();
    assert!(error.contains("is needed at") && error.contains("and not there"), "{error}");
    let step = Step { part: Part::EncoderEnd, ..step };
    let error = stages.advance(&mut engine, &step).unwrap_err().to_string();
    assert!(error.contains("statistics for 3 channels, 16 are needed"), "{error}");
}

/// Statistics of the whole picture itself are those that its tiles merge.
#[test]
fn what_is_measured_is_what_tiles_merge() {
    let (mut engine, staged) = decoder("tests/models/tiny-sd15");
    let mut stages = GraphStages::new(Vae::Decoder, staged, Spill::default());
    let source = latent(16, 24);
    let (_, known) = decode((&mut stages, &mut engine), &source, 12);
    let Answer::Statistics(measured) = stages.measure(&mut engine, Part::Decoder, &source).unwrap() else {
        panic!("statistics")
    };
    assert_eq!((measured.len(), known.len()), (19, 19));
    for (measured, known) in measured.iter().zip(&known) {
        assert_eq!(measured.count(), known.count());
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
        assert!(measured.mean().iter().zip(known.mean()).all(near), "{measured:?} {known:?}");
    }
}

#[test]
fn planes_on_disk_give_the_same_bytes() {
    let (mut engine, staged) = decoder("tests/models/tiny-sd15");
    let source = latent(20, 29);
    let mut decoded = |above: u64| {
        let mut stages = GraphStages::new(Vae::Decoder, Arc::clone(&staged), Spill { above, folder: None });
        let decoded = decode((&mut stages, &mut engine), &source, 8);
        stages.forget_all();
        decoded
    };
    let in_memory = decoded(u64::MAX);
    for above in [0, 1 << 20] {
        assert!(decoded(above) == in_memory, "{above}");
    }
}
