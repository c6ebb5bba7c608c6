//! An engine that makes results up: any input in, a smooth function of it and the time that a device would take out.
//!
//! For tests of everything around the networks, at any scale, without a model. Results have the shapes of a Stable
//! Diffusion 1.x model, are finite, and depend on every input of the call, so a mixed-up tile, prompt or timestep
//! shows.

use std::time::Duration;

use tessera_proto::{
    ModelFacts, Tensor,
    facts::{SIMULATED_BARRIERS, SIMULATED_ENCODER_BARRIERS},
};
use tokio::time::Instant;

use super::{Engine, Error, Named, Network, Vae, Value, device::Pace};
use crate::graph::{Dim, Element, GraphFacts, Slot};

/// Image px per latent px and side.
const SCALE: usize = 8;

/// The simulated engine.
#[derive(Debug, Clone)]
pub struct Simulated {
    pace: Pace,
    /// Calls so far.
    calls: u64,
    /// What the last call owes of its time.
    unspent: Duration,
    width: usize,
    facts: GraphFacts,
}

// === impl Simulated ===

impl Simulated {
    /// An engine whose calls take as long as `pace` says, and whose prompt embeddings are `width` wide (768 in SD 1.x).
    #[must_use]
    pub fn new(pace: Pace, width: usize) -> Self {
        Self { pace, calls: 0, unspent: Duration::ZERO, width, facts: GraphFacts::default() }
    }

    fn result(&self, network: &Network, inputs: &[Named<'_>]) -> Result<Tensor, Error> {
        match network {
            Network::TextEncoder => self.embed(network, ids(network, inputs, "input_ids")?),
            Network::Unet => predict(network, inputs),
            Network::VaeEncoder => encode(network, image(network, inputs, "sample")?),
            Network::Stage { .. } => image(network, inputs, "tile").cloned(),
            Network::VaeDecoder => enlarge(network, image(network, inputs, "latent_sample")?, SCALE),
            Network::Upscaler(name) => upscale(network, name, image(network, inputs, "input")?),
        }
    }

    /// `[n, 77]` to `[n, 77, width]`: waves whose phase is the token and whose pitch is the column.
    fn embed(&self, network: &Network, (shape, ids): ([usize; 2], &[i64])) -> Result<Tensor, Error> {
        let wave = |(id, column): (i64, usize)| (real(column) * 0.1 + whole(id) * 0.7).sin();
        let data =
            ids.iter().flat_map(|&id| (0..self.width).map(move |column| (id, column))).map(wave).collect();
        tensor(network, vec![shape[0], shape[1], self.width], data)
    }
}

impl Engine for Simulated {
    fn facts(&mut self, network: &Network) -> Result<&GraphFacts, Error> {
        self.facts = facts(network, self.width);
        Ok(&self.facts)
    }

    fn run(
        &mut self,
        network: &Network,
        inputs: &[Named<'_>],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, Error> {
        let start = Instant::now();
        self.unspent = Duration::ZERO;
        let result = self.result(network, inputs)?;
        let results = vec![result; outputs.len()];
        // What the arithmetic took is part of the delay, so that a call takes the same for any tile.
        let delay = self.pace.call(self.calls);
        self.calls += 1;
        let delay = match network {
            Network::Stage { of: Vae::Decoder, .. } => delay / (SIMULATED_BARRIERS + 1),
            Network::Stage { of: Vae::Encoder, .. } => delay / (SIMULATED_ENCODER_BARRIERS + 1),
            _ => delay,
        };
        self.unspent = delay.saturating_sub(start.elapsed());
        Ok(results)
    }

    fn unspent(&self) -> Duration {
        self.unspent
    }
}

/// `[n, 4, h, w]` to the same shape: the sample, a ripple, and a shift by the item's own conditioning and timestep.
///
/// Nothing but sums, products and quotients, which every processor rounds alike, and runs many at a time: what is measured
/// with simulated devices is the cluster, not their arithmetic.
fn predict(network: &Network, inputs: &[Named<'_>]) -> Result<Tensor, Error> {
    let sample = image(network, inputs, "sample")?;
    let states = image(network, inputs, "encoder_hidden_states")?;
    let timestep = match value(network, inputs, "timestep")? {
        Value::PerItem { value, .. } => value,
        Value::Tensor(_) | Value::Ids { .. } => {
            return Err(wrong(network, "timestep", "one number is needed"));
        }
    };
    let items = sample.shape()[0];
    if states.shape()[0] != items {
        return Err(wrong(network, "encoder_hidden_states", "as many rows as the sample has are needed"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a made-up phase")]
    let phase = (timestep * 0.01) as f32;
    let mut data = Vec::with_capacity(sample.data().len());
    let (per_item, per_state) = (sample.data().len() / items, states.data().len() / items);
    for (latent, state) in sample.data().chunks(per_item).zip(states.data().chunks(per_state)) {
        let shift = 0.05 * sum(state) / real(per_state);
        let ripple = |x: f32| 0.2 * x / (1.0 + x * x);
        data.extend(latent.iter().map(|&x| 0.8 * x + ripple(3.0 * x + phase) + shift));
    }
    tensor(network, sample.shape().to_vec(), data)
}

/// The sum of all values, in eight lanes.
fn sum(values: &[f32]) -> f32 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().chain(rest).sum()
}

/// `[1, 3, h, w]` to moments `[1, 8, h / 8, w / 8]`: block means, and a log variance of almost nothing.
fn encode(network: &Network, image: &Tensor) -> Result<Tensor, Error> {
    let [n, c, h, w] = nchw(network, "sample", image)?;
    if n != 1 || c != 3 || h % SCALE != 0 || w % SCALE != 0 {
        return Err(wrong(network, "sample", "[1, 3, h, w] with h and w multiples of 8 is needed"));
    }
    let (rows, columns) = (h / SCALE, w / SCALE);
    let mut data = vec![-30.0; 8 * rows * columns];
    for (index, mean) in data.iter_mut().take(4 * rows * columns).enumerate() {
        let (channel, row, column) = (index / (rows * columns), index / columns % rows, index % columns);
        let pixel =
            |at: usize| (channel % 3 * h + row * SCALE + at / SCALE) * w + column * SCALE + at % SCALE;
        *mean = (0..SCALE * SCALE).map(|at| image.data()[pixel(at)]).sum::<f32>() / real(SCALE * SCALE);
    }
    tensor(network, vec![1, 8, rows, columns], data)
}

/// `[1, c, h, w]` to `[1, 3, factor * h, factor * w]`: the first three channels, each value repeated.
fn enlarge(network: &Network, image: &Tensor, factor: usize) -> Result<Tensor, Error> {
    let [n, c, h, w] = nchw(network, "image", image)?;
    if n != 1 || c < 3 {
        return Err(wrong(network, "image", "[1, 3 or more, h, w] is needed"));
    }
    let (height, width) = (h * factor, w * factor);
    let at = |index: usize| {
        let (channel, row, column) = (index / (height * width), index / width % height, index % width);
        image.data()[(channel * h + row / factor) * w + column / factor]
    };
    tensor(network, vec![1, 3, height, width], (0..3 * height * width).map(at).collect())
}

/// `[1, 3, h, w]` to `[1, 3, scale * h, scale * w]`: each px mixed with what its network looks at, then repeated.
fn upscale(network: &Network, name: &str, image: &Tensor) -> Result<Tensor, Error> {
    let facts = ModelFacts::simulated();
    let absent = |_| Error::Absent { network: network.clone() };
    let upscaler = facts.upscaler(name, Vec::new()).map_err(absent)?;
    let (scale, multiple) = (upscaler.scale as usize, upscaler.multiple as usize);
    let [_, _, h, w] = nchw(network, "image", image)?;
    if !h.is_multiple_of(multiple) || !w.is_multiple_of(multiple) {
        return Err(wrong(network, "image", "sides that are multiples of 4 are needed"));
    }
    let mixed = match upscaler.radius {
        Some(radius) => crossed(image, radius as usize),
        None => {
            let mean = image.data().iter().sum::<f32>() / real(image.data().len());
            image.data().iter().map(|value| 0.9 * value + 0.1 * mean).collect()
        }
    };
    enlarge(network, &tensor(network, image.shape().to_vec(), mixed)?, scale)
}

/// Each value mixed with the four that lie `radius` px to its sides; beyond the rim lie zeros, as for a convolution.
fn crossed(image: &Tensor, radius: usize) -> Vec<f32> {
    let &[.., h, w] = image.shape() else { return Vec::new() };
    let mut mixed = Vec::with_capacity(image.data().len());
    for plane in image.data().chunks_exact(h * w) {
        let at = |y: Option<usize>, x: Option<usize>| match (y, x) {
            (Some(y), Some(x)) if y < h && x < w => plane[y * w + x],
            _ => 0.0,
        };
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let above_and_below = at(y.checked_sub(radius), Some(x)) + at(Some(y + radius), Some(x));
            let beside = at(Some(y), x.checked_sub(radius)) + at(Some(y), Some(x + radius));
            mixed.push(0.6 * plane[y * w + x] + 0.1 * (above_and_below + beside));
        }
    }
    mixed
}

/// Names and shapes as Optimum exports them.
fn facts(network: &Network, width: usize) -> GraphFacts {
    let free = |name: &str| Dim::Free(name.to_owned());
    let fixed = |length: usize| Dim::Fixed(u64::try_from(length).unwrap_or(u64::MAX));
    let slot = |name: &str, element, dims| Slot { name: name.to_owned(), element, dims: Some(dims) };
    let image = |name: &str, channels| {
        slot(name, Element::F32, vec![free("batch_size"), fixed(channels), free("height"), free("width")])
    };
    let states = |name: &str| {
        slot(name, Element::F32, vec![free("batch_size"), free("sequence_length"), fixed(width)])
    };
    let (inputs, outputs) = match network {
        Network::TextEncoder => {
            let ids = slot("input_ids", Element::I64, vec![free("batch_size"), free("sequence_length")]);
            (vec![ids], vec![states("last_hidden_state")])
        }
        Network::Unet => {
            let timestep = slot("timestep", Element::F32, Vec::new());
            (
                vec![image("sample", 4), timestep, states("encoder_hidden_states")],
                vec![image("out_sample", 4)],
            )
        }
        Network::VaeEncoder => (vec![image("sample", 3)], vec![image("latent_parameters", 8)]),
        Network::Stage { .. } => (vec![image("tile", 1)], vec![image("tile", 1)]),
        Network::VaeDecoder => (vec![image("latent_sample", 4)], vec![image("sample", 3)]),
        Network::Upscaler(_) => (vec![image("input", 3)], vec![image("output", 3)]),
    };
    GraphFacts { inputs, outputs }
}

fn value<'v>(network: &Network, inputs: &[Named<'v>], name: &str) -> Result<Value<'v>, Error> {
    let found = inputs.iter().find(|input| input.name == name).map(|input| input.value);
    found.ok_or_else(|| wrong(network, name, "it is needed"))
}

fn image<'v>(network: &Network, inputs: &[Named<'v>], name: &str) -> Result<&'v Tensor, Error> {
    match value(network, inputs, name)? {
        Value::Tensor(tensor) => Ok(tensor),
        Value::Ids { .. } | Value::PerItem { .. } => Err(wrong(network, name, "a tensor is needed")),
    }
}

fn ids<'v>(network: &Network, inputs: &[Named<'v>], name: &str) -> Result<([usize; 2], &'v [i64]), Error> {
    match value(network, inputs, name)? {
        Value::Ids { shape, ids } => Ok((shape, ids)),
        Value::Tensor(_) | Value::PerItem { .. } => Err(wrong(network, name, "whole numbers are needed")),
    }
}

fn nchw(network: &Network, name: &str, tensor: &Tensor) -> Result<[usize; 4], Error> {
    tensor.nchw().ok_or_else(|| wrong(network, name, "four dimensions are needed"))
}

fn wrong(network: &Network, input: &str, reason: &str) -> Error {
    Error::Input { network: network.clone(), input: input.to_owned(), reason: reason.to_owned() }
}

fn tensor(network: &Network, shape: Vec<usize>, data: Vec<f32>) -> Result<Tensor, Error> {
    let failed = |error: tessera_proto::TensorError| Error::Failed {
        network: network.clone(),
        reason: error.to_string(),
    };
    Tensor::new(shape, data).map_err(failed)
}

#[expect(clippy::cast_precision_loss, reason = "made-up numbers")]
fn real(count: usize) -> f32 {
    count as f32
}

#[expect(clippy::cast_precision_loss, reason = "made-up numbers")]
fn whole(id: i64) -> f32 {
    id as f32
}
