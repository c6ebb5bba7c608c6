//! An exact decode that is made up: the shapes and the traffic of a real one, after a set delay.

use tessera_proto::{Answer, Digest, Moments, Rect, Tensor, facts::SIMULATED_BARRIERS};

use super::Stages;
use crate::engine::{Engine, Error, Named, Network, Value};

/// Image px per latent px and side.
const SCALE: usize = 8;

/// A decoder that enlarges each value, shifted by all statistics. All calls for a tile together take the delay of one
/// call of the simulated engine.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedStages;

// === impl SimulatedStages ===

impl Stages for SimulatedStages {
    fn advance(
        &mut self,
        engine: &mut dyn Engine,
        (_, source): (Digest, &Tensor),
        core: Rect,
        known: &[Moments],
    ) -> Result<Answer, Error> {
        let failed = |reason: String| Error::Failed { network: Network::VaeDecoder, reason };
        let moments = Moments::of(source, core).map_err(|error| failed(error.to_string()))?;
        let whole = source.shape()[2..].iter().product::<usize>() as u64 == core.area();
        let answer = if known.len() < SIMULATED_BARRIERS as usize && !whole {
            let moments = moments.grouped(1).map_err(|error| failed(error.to_string()))?;
            // What follows differs with what came before.
            let before: f64 = known.iter().flat_map(Moments::mean).sum();
            let means = moments.mean().iter().map(|mean| (mean + 0.1 * before).sin()).collect();
            let moments = Moments::new(moments.count(), means, moments.m2().to_vec());
            Answer::Moments(moments.map_err(|error| failed(error.to_string()))?)
        } else {
            let shift: f64 = known.iter().flat_map(|before| before.mean()).sum();
            Answer::Tensors(vec![
                enlarge(source, core, shift * 1e-3).map_err(|error| failed(error.to_string()))?,
            ])
        };
        let network = Network::DecoderStage { index: known.len(), widened: false };
        let tile = Tensor::zeros([1, 1, 1, 1]).map_err(|error| failed(error.to_string()))?;
        engine.run(&network, &[Named { name: "tile", value: Value::Tensor(&tile) }], &["tile"])?;
        Ok(answer)
    }

    fn forget(&mut self, _: Digest) {}

    fn forget_all(&mut self) {}
}

/// The first three channels of `core`, each value repeated and shifted.
fn enlarge(source: &Tensor, core: Rect, shift: f64) -> Result<Tensor, tessera_proto::TensorError> {
    let [_, _, rows, columns] = source.nchw().unwrap_or_default();
    let (height, width) = (core.height() as usize * SCALE, core.width() as usize * SCALE);
    let (x0, y0) = (core.x0() as usize, core.y0() as usize);
    #[expect(clippy::cast_possible_truncation, reason = "made-up numbers")]
    let shift = shift as f32;
    let at = |index: usize| {
        let (channel, row, column) = (index / (height * width), index / width % height, index % width);
        source.data()[(channel * rows + y0 + row / SCALE) * columns + x0 + column / SCALE] + shift
    };
    Tensor::new([1, 3, height, width], (0..3 * height * width).map(at).collect())
}
