//! An exact decode and encode that are made up: the shapes and the traffic of real ones, after a set delay.

use tessera_proto::{
    Answer, Digest, Moments, Part, Rect, Tensor, TensorError,
    facts::{SIMULATED_BARRIERS, SIMULATED_ENCODER_BARRIERS},
};

use super::{Stages, Step, network_of};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Image px per latent px and side.
const SCALE: u32 = 8;

/// Channels of a latent, and of what the encoder's tiles hand over.
const CHANNELS: usize = 4;

/// Log variance of all latents.
const LOG_VARIANCE: f32 = -30.0;

/// A decoder that enlarges each value and an encoder that takes means of blocks, both shifted by all statistics. All
/// calls for a tile together take the delay of one call of the simulated engine.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedStages;

// === impl SimulatedStages ===

impl Stages for SimulatedStages {
    fn advance(&mut self, engine: &mut dyn Engine, step: &Step<'_>) -> Result<Answer, Error> {
        let of = network_of(step.part);
        let failed = |reason: String| Error::Failed { network: of.network(), reason };
        let outside = || failed("the sources of a tile do not hold its core".to_owned());
        let answer = if step.part == Part::EncoderEnd {
            Answer::Tensors(vec![with_variance(&joined(step).ok_or_else(outside)?)])
        } else {
            run(step).map_err(failed)?
        };
        let network = Network::Stage { of, index: step.known.len() };
        let tile = Tensor::zeros([1, 1, 1, 1]).map_err(|error| failed(error.to_string()))?;
        engine.run(&network, &[Named { name: "tile", value: Value::Tensor(&tile) }], &["tile"])?;
        Ok(answer)
    }

    fn measure(&mut self, engine: &mut dyn Engine, part: Part, input: &Tensor) -> Result<Answer, Error> {
        let of = network_of(part);
        let failed = |reason: String| Error::Failed { network: of.network(), reason };
        let [_, _, height, width] = input.nchw().unwrap_or_default();
        let side = |length: usize| u32::try_from(length).unwrap_or(0);
        let all = Rect::new(0, 0, side(width), side(height)).map_err(|error| failed(error.to_string()))?;
        let moments = Moments::of(input, all).and_then(|moments| moments.grouped(1));
        let moments = moments.map_err(|error| failed(error.to_string()))?;
        let network = Network::Stage { of, index: 0 };
        let tile = Tensor::zeros([1, 1, 1, 1]).map_err(|error| failed(error.to_string()))?;
        engine.run(&network, &[Named { name: "tile", value: Value::Tensor(&tile) }], &["tile"])?;
        Ok(Answer::Statistics(vec![moments; barriers(part)]))
    }

    fn forget(&mut self, _: Digest) {}

    fn forget_all(&mut self) {}
}

/// Barriers of a part.
fn barriers(part: Part) -> usize {
    match part {
        Part::Decoder => SIMULATED_BARRIERS as usize,
        Part::Encoder | Part::EncoderEnd => SIMULATED_ENCODER_BARRIERS as usize,
    }
}

/// A tile's statistics, or its result.
fn run(step: &Step<'_>) -> Result<Answer, String> {
    let [(source, tensor)] = step.sources else {
        return Err(format!("{} sources where one is expected", step.sources.len()));
    };
    let (place, core) = (source.place, step.core);
    if !place.contains(core) {
        return Err("the source does not hold the core".to_owned());
    }
    let within = Rect::new(
        core.x0() - place.x0(),
        core.y0() - place.y0(),
        core.x1() - place.x0(),
        core.y1() - place.y0(),
    );
    let within = within.map_err(|error| error.to_string())?;
    if step.known.len() < barriers(step.part) && !step.is_alone() {
        let moments = Moments::of(tensor, within).and_then(|moments| moments.grouped(1));
        let moments = moments.map_err(|error| error.to_string())?;
        // What follows differs with what came before.
        let before: f64 = step.known.iter().flat_map(Moments::mean).sum();
        let means = moments.mean().iter().map(|mean| (mean + 0.1 * before).sin()).collect();
        let moments = Moments::new(moments.count(), means, moments.m2().to_vec());
        return moments.map(Answer::Moments).map_err(|error| error.to_string());
    }
    #[expect(clippy::cast_possible_truncation, reason = "made-up numbers")]
    let shift = (step.known.iter().flat_map(Moments::mean).sum::<f64>() * 1e-3) as f32;
    let result = match step.part {
        Part::Decoder => enlarged(tensor, within, shift),
        Part::Encoder | Part::EncoderEnd => reduced(tensor, within, shift),
    };
    let result = result.map_err(|error| error.to_string())?;
    let ends = step.part == Part::Encoder && step.is_alone();
    Ok(Answer::Tensors(vec![if ends { with_variance(&result) } else { result }]))
}

/// The first three channels of `core`, each value repeated and shifted.
fn enlarged(source: &Tensor, core: Rect, shift: f32) -> Result<Tensor, TensorError> {
    let [_, _, rows, columns] = source.nchw().unwrap_or_default();
    let scale = SCALE as usize;
    let (height, width) = (core.height() as usize * scale, core.width() as usize * scale);
    let (x0, y0) = (core.x0() as usize, core.y0() as usize);
    let at = |index: usize| {
        let (channel, row, column) = (index / (height * width), index / width % height, index % width);
        source.data()[(channel * rows + y0 + row / scale) * columns + x0 + column / scale] + shift
    };
    Tensor::new([1, 3, height, width], (0..3 * height * width).map(at).collect())
}

/// Four channels of means of the blocks of `core`, shifted.
fn reduced(source: &Tensor, core: Rect, shift: f32) -> Result<Tensor, TensorError> {
    let [_, channels, rows, columns] = source.nchw().unwrap_or_default();
    let scale = SCALE as usize;
    let (height, width) = ((core.height() / SCALE) as usize, (core.width() / SCALE) as usize);
    let (x0, y0) = (core.x0() as usize, core.y0() as usize);
    let at = |index: usize| {
        let (channel, row, column) = (index / (height * width), index / width % height, index % width);
        let first = (channel % channels * rows + y0 + row * scale) * columns + x0 + column * scale;
        let rows = (0..scale).map(|row| &source.data()[first + row * columns..][..scale]);
        rows.flatten().sum::<f32>() / (SCALE * SCALE) as f32 + shift
    };
    Tensor::new([1, CHANNELS, height, width], (0..CHANNELS * height * width).map(at).collect())
}

/// The sources as one picture.
fn joined(step: &Step<'_>) -> Option<Tensor> {
    let (height, width) = ((step.canvas.height / SCALE) as usize, (step.canvas.width / SCALE) as usize);
    let mut whole = Tensor::zeros([1, CHANNELS, height, width]).ok()?;
    for (source, tensor) in step.sources {
        let place = source.place;
        for channel in 0..CHANNELS {
            for row in 0..place.height() as usize {
                let length = place.width() as usize;
                let from = (channel * place.height() as usize + row) * length;
                let to = (channel * height + place.y0() as usize + row) * width + place.x0() as usize;
                let values = tensor.data().get(from..from + length)?;
                whole.data_mut().get_mut(to..to + length)?.copy_from_slice(values);
            }
        }
    }
    Some(whole)
}

/// Means and log variances of latents.
fn with_variance(mean: &Tensor) -> Tensor {
    let mut shape = mean.shape().to_vec();
    let mut data = mean.data().to_vec();
    data.resize(2 * data.len(), LOG_VARIANCE);
    shape[1] *= 2;
    Tensor::new(shape, data).expect("twice the channels")
}
