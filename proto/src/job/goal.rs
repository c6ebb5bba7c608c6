//! What a job makes: the whole way from a prompt to a picture, or one of its halves alone.

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::Stage;

/// What a job makes.
///
/// A goal other than [`Goal::Render`] uses only the job's model, its VAE's fields, its seed and its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// A picture from the prompt, and from the job's image where it has one: hires fix.
    Render,
    /// A picture from a latent: the bytes of a safetensors file with a tensor `latent`, `[1, c, h, w]`, scaled as the
    /// UNet sees it.
    #[serde(serialize_with = "as_digest")]
    Decode(Bytes),
    /// A latent from the job's image, `[1, c, h, w]`, scaled as the UNet sees it.
    Encode(Posterior),
}

/// Which of the latents that an encoder thinks likely is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Posterior {
    /// Their mean: the same picture gives the same latent.
    Mean,
    /// One drawn with the job's seed: `mean + exp(log_variance / 2) * noise` (Kingma & Welling 2013).
    Sample,
}

// === impl Goal ===

impl Goal {
    /// What a job with this goal works on first.
    #[must_use]
    pub const fn first_stage(&self) -> Stage {
        match self {
            Self::Render => Stage::Embed,
            Self::Decode(_) => Stage::Decode,
            Self::Encode(_) => Stage::Encode,
        }
    }
}

/// A file's bytes do not belong into metadata: its hash does.
fn as_digest<S: Serializer>(file: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&blake3::hash(file).to_hex())
}
