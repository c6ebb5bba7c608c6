//! A latent tile in, an image tile out.

use tessera_proto::Tensor;

use super::{call, expect_shape, nchw, only_input};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Runs the VAE's decoder on a latent `[1, c, h, w]` that was divided by the model's scaling factor.
///
/// Returns `[1, 3, h * vae_scale, w * vae_scale]`, about -1..1.
///
/// # Errors
/// As [`Engine::run`]; the result is not finite or of another size.
pub fn decode(engine: &mut dyn Engine, latent: &Tensor, vae_scale: usize) -> Result<Tensor, Error> {
    let network = Network::VaeDecoder;
    let [n, _, h, w] = nchw(&network, "latent_sample", latent)?;
    let input = only_input(engine, &network)?;
    let result = call(engine, &network, &[Named { name: &input, value: Value::Tensor(latent) }])?;
    expect_shape(&network, result, &[n, 3, h * vae_scale, w * vae_scale])
}
