//! What a worker is asked to run and what comes back: one network run in, tensors or a failure out.

use std::time::Duration;

use crate::{Digest, LeaseId, Moments, Rect, Tensor, job::Size};

/// A run of one network, handed out under a lease.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The lease under which the outcome counts.
    pub lease: LeaseId,
    /// What to run.
    pub work: Work,
}

/// One run of one network.
///
/// Invariant: the result is a function of this value (and the tensors that it names by digest) alone.
#[derive(Debug, Clone)]
pub enum Work {
    /// Texts to conditioning: one tensor `[tokens, embedding_width]` per text.
    Embed {
        /// The texts, each cut into weighted pieces.
        texts: Vec<Vec<Segment>>,
    },
    /// A batch of latent tiles to the guided network output of the same shape.
    Denoise {
        /// `[n, c, h, w]`, latent px, in the solver's scale.
        tiles: Tensor,
        /// The network sees `tiles * input_scale` (k-diffusion's c_in).
        input_scale: f32,
        /// The network's timestep, 0 to 999 for Stable Diffusion, not rounded.
        timestep: f64,
        /// Prompts and their weights.
        guidance: Guidance,
    },
    /// An image tile to latent moments.
    Encode {
        /// `[1, 3, h, w]` in -1..1.
        image: Tensor,
    },
    /// A latent tile to an image tile.
    Decode {
        /// `[1, c, h, w]`, already divided by the model's scaling factor.
        latent: Tensor,
    },
    /// An image tile through an upscaling network of the model folder.
    Upscale {
        /// The network's name in the model folder.
        network: String,
        /// `[1, 3, h, w]` in 0..1.
        image: Tensor,
        /// What of `image` comes back enlarged, px before enlarging; the rest is there for the network to see.
        keep: Rect,
    },
    /// A tile of a part of the VAE, up to the next normalisation whose statistics are not known yet.
    ///
    /// The answer is [`Answer::Moments`] over the tile's core, or what the part makes of the core when all statistics are
    /// known. A tile that is the whole picture runs to the network's end. What a worker keeps of the tile between two
    /// such tasks spares it work and changes nothing.
    Advance {
        /// What is run.
        part: Part,
        /// The canvas, px of the network's input.
        canvas: Size,
        /// What the tile reads.
        sources: Vec<Source>,
        /// The tile's own part of the canvas, px of the network's input. Cores cover the canvas and do not overlap.
        core: Rect,
        /// Statistics of the whole picture, by group, one entry per barrier passed, in order.
        known: Vec<Moments>,
    },
    /// A part of the VAE on a small picture, whole: the answer is [`Answer::Statistics`] of all its barriers.
    Measure {
        /// What is run; not an end.
        part: Part,
        /// `[1, c, h, w]`, as the part's source is.
        input: Tensor,
    },
}

/// A part of a VAE that tiles are run through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The decoder. Its source is the whole latent, divided by the model's scaling factor.
    Decoder,
    /// The encoder up to its last part. Sources are of the picture, -1..1: the core and the halo around it.
    Encoder,
    /// The encoder's last part, which looks at the whole picture and knows its statistics itself. Sources are what the
    /// tiles have made, all of it, px of the result.
    EncoderEnd,
}

/// A kept tensor `[1, c, h, w]` and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its place.
    pub place: Rect,
    /// Its name.
    pub digest: Digest,
}

/// What a task's networks returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Tensors, one or more.
    Tensors(Vec<Tensor>),
    /// A tile's part of the statistics that it needs next, by group of the normalisation.
    Moments(Moments),
    /// The statistics of a whole picture, by group, one entry per barrier, in order.
    Statistics(Vec<Moments>),
}

/// A piece of a prompt after its grammar was resolved.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Text with one emphasis, 1 = none.
    Text {
        /// The text, without brackets.
        text: String,
        /// A1111's attention weight.
        weight: f32,
    },
    /// A1111's `BREAK`: fill and close the chunk of 75 tokens.
    Break,
}

/// Classifier-free guidance (Ho & Salimans 2022), with A1111's weighted `AND`:
/// `out = u + cfg_scale * sum_i weight_i * (cond_i - u)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Guidance {
    /// 1 = the conditional output alone.
    pub cfg_scale: f32,
    /// The negative prompt's conditioning.
    pub uncond: Digest,
    /// The prompt's parts and their weights; at least one.
    pub conds: Vec<(f32, Digest)>,
}

/// How an assignment ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The lease of the assignment.
    pub lease: LeaseId,
    /// Time inside the networks.
    pub busy: Duration,
    /// What the networks returned, or why they did not.
    pub result: Result<Answer, Failure>,
}

/// Why an assignment has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the coordinator may do about it.
    pub kind: FailureKind,
    /// One sentence for people.
    pub message: String,
}

/// The kinds of failure that the coordinator treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The device has no memory left for the task's size.
    OutOfMemory,
    /// A network returned NaN or infinity.
    NotFinite,
    /// A network returned another shape than the task implies.
    WrongShape,
    /// The task cannot be run by this model.
    Unsupported,
    /// Anything else that the engine reports.
    Engine,
    /// The coordinator has withdrawn the task: the device is free again.
    Withdrawn,
    /// The result is not what its checksum says.
    Damaged,
}

// === impl Answer ===

impl Answer {
    /// Bytes of its values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Tensors(tensors) => tensors.iter().map(Tensor::byte_len).sum(),
            Self::Moments(moments) => moments.byte_len(),
            Self::Statistics(list) => list.iter().map(Moments::byte_len).sum(),
        }
    }
}
