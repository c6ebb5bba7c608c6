//! A job set down, so that it can be taken up again with the same bytes out: what it cannot compute again. Pure.
//!
//! A job rests where everything that follows is a function of few numbers: between two results of a denoising pass, at a
//! barrier of an exact decode, at the start of a network's tiles. Between two such points, while something is computed, it
//! has no checkpoint, and the one before holds.

mod file;

use std::sync::Arc;

use tessera_proto::{Moments, Stage, Tensor};

use super::{
    job::{Progress, Then},
    pass::PassRest,
};
use crate::picture::Picture;

pub use file::Error as CheckpointError;

/// A job at rest.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) progress: Progress,
    /// How the plan was changed on the way, in order.
    pub(super) reliefs: Vec<Relief>,
    /// The embedded texts of the plan, in its order, each `[tokens, width]`.
    pub(super) embeddings: Vec<Arc<Tensor>>,
    /// Intermediate tensors, when they were asked for.
    pub(super) dump: Option<Vec<(String, Arc<Tensor>)>>,
    pub(super) rest: Rest,
    /// What its owner keeps beside it.
    pub(super) books: Option<String>,
}

/// Where a job rests.
#[derive(Debug)]
pub(super) enum Rest {
    /// Between two results of a pass.
    Pass(Then, PassRest),
    /// A decode whose tiles have passed so many barriers together, of a latent that is divided by the model's scaling factor,
    /// `[c, h, w]`.
    Decode { latent: Vec<f32>, known: Vec<Moments> },
    /// The start of this pass of an upscaling network.
    Upscale { pass: usize, picture: Picture },
    /// The start of an encode, of a picture of the encoder's size.
    Encode { picture: Picture },
}

/// Less at a time, because a worker had no memory for what was planned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Relief {
    /// Whether it is of what comes before the picture is enlarged.
    pub(super) base: bool,
    /// How much.
    pub(super) to: Less,
    /// What the user was told.
    pub(super) note: String,
}

/// What a [`Relief`] makes smaller, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Less {
    /// A pass: tiles in a call.
    Batch(usize),
    /// A decode: side of its tiles, latent px.
    Side(u32),
    /// An encode: side of its tiles, px.
    EncodeSide(u32),
}

/// Where a job rests, in short: a checkpoint is worth making when this has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub(super) stage: Stage,
    pub(super) at: At,
}

/// See [`Mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// After so many results of a pass.
    Pass(usize),
    /// After so many barriers of a decode.
    Decode(usize),
    /// Before this pass of an upscaling network.
    Upscale(usize),
    /// Before an encode.
    Encode,
}

// === impl Mark ===

impl Mark {
    /// Whether nothing but the same part of the same stage lies between the two.
    #[must_use]
    pub fn same_stage(self, other: Self) -> bool {
        self.stage == other.stage && std::mem::discriminant(&self.at) == std::mem::discriminant(&other.at)
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// The same with what its owner wants to know again when it is read.
    #[must_use]
    pub fn with_books(self, books: Option<String>) -> Self {
        Self { books, ..self }
    }

    /// What its owner gave to it.
    #[must_use]
    pub fn books(&self) -> Option<&str> {
        self.books.as_deref()
    }

    /// Its file: safetensors, with the rest as JSON in its metadata.
    ///
    /// # Errors
    /// None for a checkpoint that a job made.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        file::write(self)
    }

    /// Bytes of its tensors; its file is longer by a description.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let dumped = self.dump.iter().flatten().map(|(_, tensor)| tensor);
        let tensors: usize = self.embeddings.iter().chain(dumped).map(|tensor| tensor.byte_len()).sum();
        tensors + self.rest.byte_len()
    }

    /// Reads its file.
    ///
    /// # Errors
    /// The bytes are no checkpoint, or one of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        file::read(bytes)
    }
}

// === impl Rest ===

impl Rest {
    fn byte_len(&self) -> usize {
        match self {
            Self::Pass(_, PassRest { x, registers, held, start, .. }) => {
                let held = held.iter().map(|(_, values)| values.len());
                let start = start.iter().map(|start| start.len());
                4 * (x.len() + registers.iter().map(Vec::len).chain(held).chain(start).sum::<usize>())
            }
            Self::Decode { latent, known } => {
                4 * latent.len() + known.iter().map(Moments::byte_len).sum::<usize>()
            }
            Self::Upscale { picture, .. } | Self::Encode { picture } => picture.rgb().len(),
        }
    }
}
