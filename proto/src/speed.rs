//! How long tasks take: which tasks take one device the same time, and what was measured of them.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Which network a task runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Texts to conditioning.
    #[default]
    Embed,
    /// A call of the UNet.
    Denoise,
    /// A tile of an upscaling network.
    Upscale,
    /// Picture to latent.
    Encode,
    /// Latent to picture.
    Decode,
    /// The statistics of a smaller picture.
    Measure,
}

/// Tasks of one class take one device the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Class {
    /// The network.
    pub kind: Kind,
    /// Which part of it, or which of several networks of this kind.
    pub part: u32,
    /// Shape of what goes in, `[n, c, h, w]`: `n` is the tile batch. Zeros where it is always the same.
    pub shape: [u32; 4],
}

/// What was measured of one class on one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Speed {
    /// Which tasks.
    #[serde(flatten)]
    pub class: Class,
    /// What one takes.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
}

// === impl Kind ===

impl Kind {
    /// Its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Denoise => "denoise",
            Self::Upscale => "upscale",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::Measure => "measure",
        }
    }
}

fn as_ms<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64() * 1e3)
}
