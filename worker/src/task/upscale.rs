//! An image tile in, the part of it that shall be kept, enlarged, out: by a network of the model folder.

use tessera_proto::{Rect, Tensor};

use super::{call, expect_shape, nchw, only_input};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Runs the upscaling network `name` on an image `[1, 3, h, w]` in 0..1 and cuts `keep` out of the result; the rest of
/// the image is there for the network to see, and would only load the line on its way back.
///
/// Returns `[1, 3, f * keep.height, f * keep.width]` with the network's own whole factor `f`, about 0..1.
///
/// # Errors
/// As [`Engine::run`]; `keep` does not lie on the image; the result is not finite, or not a whole number of times larger.
pub fn upscale(engine: &mut dyn Engine, name: &str, image: &Tensor, keep: Rect) -> Result<Tensor, Error> {
    let network = Network::Upscaler(name.to_owned());
    let [n, c, h, w] = nchw(&network, "image", image)?;
    if w < keep.x1() as usize || h < keep.y1() as usize {
        let reason = format!("rectangle {keep:?} does not lie on a tile of {w}x{h} px");
        return Err(Error::Input { network, input: "keep".to_owned(), reason });
    }
    let input = only_input(engine, &network)?;
    let result = call(engine, &network, &[Named { name: &input, value: Value::Tensor(image) }])?;
    let factor = (result.shape().get(2).copied().unwrap_or_default() / h).max(1);
    let result = expect_shape(&network, result, &[n, c, factor * h, factor * w])?;
    Ok(cut(result, keep, factor))
}

/// The part `keep` of a result that is `factor` times as large.
fn cut(result: Tensor, keep: Rect, factor: usize) -> Tensor {
    let [n, c, h, w] = result.nchw().expect("the shape was checked");
    let [x0, y0, width, height] =
        [keep.x0(), keep.y0(), keep.width(), keep.height()].map(|px| px as usize * factor);
    if (width, height) == (w, h) {
        return result;
    }
    let planes = result.data().chunks_exact(h * w);
    let rows = planes.flat_map(|plane| plane.chunks_exact(w).skip(y0).take(height));
    let values = rows.flat_map(|row| &row[x0..x0 + width]).copied().collect();
    Tensor::new([n, c, height, width], values).expect("as many rows and columns as the shape says")
}
