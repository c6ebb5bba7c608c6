//! Chunks of token ids in, the text encoder's hidden states out.

use tessera_proto::Tensor;

use super::{call, expect_shape};
use crate::engine::{Engine, Error, Named, Network, Value};

/// Tokens of a chunk, begin and end marks and padding included: the length CLIP was trained on.
pub const CHUNK: usize = 77;

/// Runs the text encoder on all chunks in one call. Returns `[chunks, 77, width]`, the last hidden state behind the
/// encoder's final norm.
///
/// # Errors
/// As [`Engine::run`]; the result is not finite or of another shape; there is no chunk.
pub fn embed(engine: &mut dyn Engine, chunks: &[[i64; CHUNK]]) -> Result<Tensor, Error> {
    let network = Network::TextEncoder;
    let shape = [chunks.len(), CHUNK];
    let inputs = [Named { name: "input_ids", value: Value::Ids { shape, ids: chunks.as_flattened() } }];
    if chunks.is_empty() {
        let reason = "there is no chunk".to_owned();
        return Err(Error::Input { network, input: "input_ids".to_owned(), reason });
    }
    let result = call(engine, &network, &inputs)?;
    let width = result.shape().last().copied().unwrap_or_default();
    expect_shape(&network, result, &[chunks.len(), CHUNK, width])
}
