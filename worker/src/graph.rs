//! ONNX graphs: bytes of a model file in, a checked and rewritten graph out. No engine, no files, no clock.
//!
//! A [`Model`] is parsed within bounds ([`limits`]), checked once (names, order, sizes of tensors: `check`), and may
//! then be searched ([`View`]: who makes and who reads a value, what is known of its shape) and rewritten
//! ([`attention`]) or cut into stages ([`staged`]). A rewrite keeps the topological order and ends with
//! [`prune::prune`].

pub mod attention;
mod check;
mod constant;
mod facts;
mod infer;
pub mod limits;
mod model;
pub mod onnx;
pub mod prune;
pub mod receptive;
mod shape;
pub mod staged;
mod view;
mod widen;
mod wire;

#[cfg(test)]
pub(crate) mod sketch;
#[cfg(test)]
mod tests;

pub use facts::{Dim, Element, GraphFacts, Slot};
pub use infer::{Entry, Inference};
pub use model::Model;
pub use view::View;

/// Why bytes are no graph that we run.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The bytes end too early or are no protobuf.
    #[error("damaged ONNX file: {reason} at byte {offset} of {length}")]
    Wire {
        /// What does not fit.
        reason: &'static str,
        /// Where, counted from the start of the innermost message that could be read.
        offset: usize,
        /// Length of that message in bytes.
        length: usize,
    },
    /// The bytes are protobuf, but a field has the wrong type or no valid text.
    #[error("damaged ONNX file: {source}")]
    Decode {
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// More of something than any model of ours has.
    #[error("damaged ONNX file: it has {value} {what}, at most {limit} are allowed")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many there are (counting stops here).
        value: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A part that every model has is absent.
    #[error("damaged ONNX file: it has no {what}")]
    Missing {
        /// The part.
        what: &'static str,
    },
    /// A tensor's bytes do not fit its shape and type.
    #[error("damaged ONNX file: tensor {name:?}: {reason}")]
    Tensor {
        /// The tensor's name, shortened.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// A value is read that no input, weight or earlier node gives.
    #[error("damaged ONNX file: {reader:?} reads {name:?}, which nothing before it gives")]
    Undefined {
        /// The node that reads it, shortened; for a result of the graph, `graph output`.
        reader: String,
        /// The value's name, shortened.
        name: String,
    },
    /// Two inputs, weights or nodes give the same value.
    #[error("damaged ONNX file: {name:?} is given twice")]
    Twice {
        /// The value's name, shortened.
        name: String,
    },
    /// A weight lies in a file that is not plainly beside the model.
    #[error(
        "ONNX file refused: tensor {name:?} lies in {location:?}, but only a plain file name in the model's own folder is allowed"
    )]
    External {
        /// The tensor's name, shortened.
        name: String,
        /// The location as written, shortened.
        location: String,
    },
}

/// A name as it may appear in a message: at most 80 characters.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}
