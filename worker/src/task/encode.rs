//! An image tile in, what the VAE's encoder says of its latent out.

use tessera_proto::Tensor;

use super::{call, nchw, only_input};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Runs the encoder on an image `[1, 3, h, w]` in -1..1, `h` and `w` multiples of `vae_scale`.
///
/// Returns `[1, 2 c, h / vae_scale, w / vae_scale]`: means, then logarithms of variances, of `c` latent channels,
/// without the model's scaling factor. Graphs of diffusers' own exporter have drawn a sample already: they return
/// `[1, c, ...]`.
///
/// # Errors
/// As [`Engine::run`]; the result is not finite or of another size.
pub fn encode(engine: &mut dyn Engine, image: &Tensor, vae_scale: usize) -> Result<Tensor, Error> {
    let network = Network::VaeEncoder;
    let [n, _, h, w] = nchw(&network, "sample", image)?;
    let input = only_input(engine, &network)?;
    let result = call(engine, &network, &[Named { name: &input, value: Value::Tensor(image) }])?;
    let channels = result.shape().get(1).copied().unwrap_or_default();
    super::expect_shape(&network, result, &[n, channels, h / vae_scale, w / vae_scale])
}
