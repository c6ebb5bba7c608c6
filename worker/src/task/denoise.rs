//! A batch of noisy latent tiles in, the guided output of the UNet out.

use tessera_proto::Tensor;

use super::{call, expect_shape, nchw};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Arguments of [`denoise`].
#[derive(Debug, Clone, Copy)]
pub struct Denoise<'a> {
    /// Tiles `[n, c, h, w]`, latent px, in the solver's scale.
    pub tiles: &'a Tensor,
    /// The network sees `tiles * input_scale` (k-diffusion's c_in).
    pub input_scale: f32,
    /// The network's timestep, not rounded.
    pub timestep: f64,
    /// Guidance scale; 1 = the conditional output alone.
    pub cfg_scale: f32,
    /// The negative prompt's conditioning `[t, d]`.
    pub uncond: &'a Tensor,
    /// The prompt's parts: weight and conditioning `[t, d]`; at least one, token counts may differ.
    pub conds: &'a [(f32, &'a Tensor)],
}

/// Runs the UNet on every tile with every conditioning, and combines the outputs with classifier-free guidance
/// (Ho & Salimans 2022) and A1111's weighted `AND`: `out = u + sum_i cfg_scale * weight_i * (cond_i - u)`.
///
/// One network call, rows in the order tile 0: u, cond 0, cond 1, ..., tile 1: ...; when token counts differ, one call
/// for each count. Where u drops out of the sum (scale 1, one part of weight 1) it is not computed.
///
/// Returns `[n, c, h, w]`, the network's raw output (epsilon or v).
///
/// # Errors
/// As [`Engine::run`]; the result is not finite or of another shape; there is no conditioning.
pub fn denoise(engine: &mut dyn Engine, task: &Denoise<'_>) -> Result<Tensor, Error> {
    let [tiles, ..] = nchw(&Network::Unet, "sample", task.tiles)?;
    let per_tile = task.tiles.data().len() / tiles;
    let without_u = matches!(task.conds, [(weight, _)] if task.cfg_scale * weight == 1.0);
    let mut rows: Vec<&Tensor> = task.conds.iter().map(|(_, cond)| *cond).collect();
    if rows.is_empty() {
        return Err(unfit("encoder_hidden_states", "there is no conditioning".to_owned()));
    }
    if !without_u {
        rows.insert(0, task.uncond);
    }
    let outputs = run_rows(engine, task, &rows)?;
    if without_u {
        return Ok(expect_tensor(task.tiles.shape(), outputs.into_iter().next().unwrap_or_default()));
    }
    let (u, conds) = outputs.split_first().expect("u and at least one cond");
    let mut guided = u.clone();
    for ((weight, _), cond) in task.conds.iter().zip(conds) {
        let factor = weight * task.cfg_scale;
        for ((out, u), cond) in guided.iter_mut().zip(u).zip(cond) {
            *out += (cond - u) * factor;
        }
    }
    debug_assert_eq!(guided.len(), tiles * per_tile, "one value for each of the tiles'");
    let guided = expect_tensor(task.tiles.shape(), guided);
    if guided.is_finite() {
        Ok(guided)
    } else {
        Err(Error::NotFinite { network: Network::Unet, output: "guided output".to_owned(), widened: None })
    }
}

/// The network's output for each row of conditioning, over all tiles: each of as many values as the tiles have.
fn run_rows(engine: &mut dyn Engine, task: &Denoise<'_>, rows: &[&Tensor]) -> Result<Vec<Vec<f32>>, Error> {
    let mut outputs = vec![Vec::new(); rows.len()];
    let mut done = vec![false; rows.len()];
    for first in 0..rows.len() {
        if done[first] {
            continue;
        }
        let same = |row: &usize| rows[*row].shape() == rows[first].shape();
        let group: Vec<usize> = (first..rows.len()).filter(same).collect();
        let result = run_group(engine, task, &group.iter().map(|&row| rows[row]).collect::<Vec<_>>())?;
        let per_tile = task.tiles.data().len() / task.tiles.shape()[0];
        for (index, chunk) in result.data().chunks(per_tile).enumerate() {
            outputs[group[index % group.len()]].extend_from_slice(chunk);
        }
        for row in group {
            done[row] = true;
        }
    }
    Ok(outputs)
}

/// One call: all tiles with rows of conditioning of one shape.
fn run_group(engine: &mut dyn Engine, task: &Denoise<'_>, rows: &[&Tensor]) -> Result<Tensor, Error> {
    let [tiles, c, h, w] = nchw(&Network::Unet, "sample", task.tiles)?;
    let &[tokens, width] = rows[0].shape() else {
        let reason = format!("conditioning of shape [tokens, width] is needed, got {:?}", rows[0].shape());
        return Err(unfit("encoder_hidden_states", reason));
    };
    let count = tiles * rows.len();
    let scaled: Vec<f32> = task.tiles.data().iter().map(|x| x * task.input_scale).collect();
    let mut sample = Vec::with_capacity(count * c * h * w);
    let mut states = Vec::with_capacity(count * tokens * width);
    for tile in scaled.chunks(c * h * w) {
        for row in rows {
            sample.extend_from_slice(tile);
            states.extend_from_slice(row.data());
        }
    }
    let sample = expect_tensor(&[count, c, h, w], sample);
    let states = expect_tensor(&[count, tokens, width], states);
    let inputs = [
        Named { name: "sample", value: Value::Tensor(&sample) },
        Named { name: "timestep", value: Value::PerItem { value: task.timestep, count } },
        Named { name: "encoder_hidden_states", value: Value::Tensor(&states) },
    ];
    let result = call(engine, &Network::Unet, &inputs)?;
    expect_shape(&Network::Unet, result, sample.shape())
}

fn unfit(input: &str, reason: String) -> Error {
    Error::Input { network: Network::Unet, input: input.to_owned(), reason }
}

fn expect_tensor(shape: &[usize], data: Vec<f32>) -> Tensor {
    Tensor::new(shape, data).expect("as many values as the parts it was put together from")
}
