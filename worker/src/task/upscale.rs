//! An image tile in, the same tile larger out, by a network of the model folder.

use tessera_proto::Tensor;

use super::{call, expect_shape, nchw, only_input};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Runs the upscaling network `name` on an image `[1, 3, h, w]` in 0..1.
///
/// Returns `[1, 3, f * h, f * w]` with the network's own whole factor `f`, about 0..1.
///
/// # Errors
/// As [`Engine::run`]; the result is not finite, or not a whole number of times larger.
pub fn upscale(engine: &mut dyn Engine, name: &str, image: &Tensor) -> Result<Tensor, Error> {
    let network = Network::Upscaler(name.to_owned());
    let [n, c, h, w] = nchw(&network, "image", image)?;
    let input = only_input(engine, &network)?;
    let result = call(engine, &network, &[Named { name: &input, value: Value::Tensor(image) }])?;
    let factor = (result.shape().get(2).copied().unwrap_or_default() / h).max(1);
    expect_shape(&network, result, &[n, c, factor * h, factor * w])
}
