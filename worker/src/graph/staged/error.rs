//! Why a graph is not cut into stages, each in a sentence that says what was found.

use super::super::{self as graph, onnx::NodeProto, short};

/// Why a graph is not cut, or a tile of it has no place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// More than one way in or out.
    #[error(
        "not a VAE: the graph takes {inputs} inputs and gives {outputs} results, an encoder or decoder has one of each"
    )]
    Ends {
        /// Inputs that a caller must give.
        inputs: usize,
        /// Results.
        outputs: usize,
    },
    /// What goes in or comes out is no picture.
    #[error("not a VAE: {slot} is no picture [n, c, h, w] of f32 or f16")]
    Picture {
        /// The input or output.
        slot: String,
    },
    /// The graph was exported for pictures of one size.
    #[error("the graph takes pictures of one size only ({slot}): export it with free height and width")]
    OneSize {
        /// The input.
        slot: String,
    },
    /// A normalisation that is no group normalisation, or none that can be read.
    #[error("{place}: no group normalisation in a spelling that is known")]
    Normalisation {
        /// The node.
        place: String,
    },
    /// Attention was replaced by one operator before.
    #[error("{place}: its attention is fused already; give the graph as it was exported")]
    Fused {
        /// The node.
        place: String,
    },
    /// An operator that may move pixels in an unknown way.
    #[error("{place}: nothing is known of how this operator moves pixels")]
    Operator {
        /// The node.
        place: String,
    },
    /// A known operator in an unknown setting.
    #[error("{place}: {reason}")]
    Setting {
        /// The node.
        place: String,
        /// What is not as expected.
        reason: &'static str,
    },
    /// Tokens that are mixed in another way than by softmax(q kᵀ) v.
    #[error("{place}: attention of unknown structure: {reason}")]
    Attention {
        /// The node.
        place: String,
        /// What is not as expected.
        reason: &'static str,
    },
    /// A number that would be another one for a tile than for the whole.
    #[error("{place}: it computes with {value:?}, which depends on the size of the picture")]
    SizeDependent {
        /// The node.
        place: String,
        /// The value that it reads.
        value: String,
    },
    /// A picture that this network does not take.
    #[error("a picture of {width}x{height} px is too small or too large for this network")]
    Canvas {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A tile that does not lie on the picture.
    #[error("tile {core:?} leaves the picture of {width}x{height} px")]
    Core {
        /// The tile.
        core: tessera_proto::Rect,
        /// Columns of the picture.
        width: u32,
        /// Rows of the picture.
        height: u32,
    },
    /// A stage that is no sound graph.
    #[error(transparent)]
    Graph(#[from] graph::Error),
}

/// A node as messages name it: its operator and name.
pub(super) fn place(node: &NodeProto) -> String {
    let name =
        if node.name().is_empty() { node.output.first().map_or("", String::as_str) } else { node.name() };
    format!("{} {:?}", node.op_type(), short(name))
}
