//! What a job starts from, beside its prompt: decoded files for the job, their sizes for its plan.

use tessera_proto::{
    JobSpec,
    job::{Goal, Size},
    limits,
};

use crate::{
    latent::{self, Latent},
    picture::{self, Picture},
};

/// What a job starts from.
#[derive(Debug, Default)]
pub enum Source {
    /// Its prompt alone.
    #[default]
    Nothing,
    /// A picture to render anew, or to encode.
    Picture(Picture),
    /// A latent to decode.
    Latent(Latent),
}

/// The same, as far as a plan must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// The prompt alone.
    Nothing,
    /// A picture of this size, px.
    Picture(Size),
    /// A latent.
    Latent {
        /// Its channels.
        channels: usize,
        /// Its size, latent px.
        size: Size,
    },
}

/// Why a job's file is nothing to start from.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No picture.
    #[error("the input image cannot be used: {0}")]
    Image(#[from] picture::decode::Error),
    /// No latent.
    #[error("the latent cannot be used: {0}")]
    Latent(#[from] latent::Error),
}

// === impl Source ===

impl Source {
    /// Decodes the file that a job brings, if it brings one. Takes up to seconds.
    ///
    /// # Errors
    /// The file is no picture or latent, or a too large one.
    pub fn read(spec: &JobSpec) -> Result<Self, Error> {
        Ok(match (&spec.goal, &spec.image) {
            (Goal::Decode(file), _) => Self::Latent(Latent::read(file)?),
            (_, Some(file)) => Self::Picture(picture::decode(file, limits::IMAGE_PIXELS)?),
            (_, None) => Self::Nothing,
        })
    }

    /// Bytes of it.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Picture(picture) => 3 * u64::from(picture.width()) * u64::from(picture.height()),
            Self::Latent(latent) => latent.byte_len(),
        }
    }

    /// What a plan must know of it.
    #[must_use]
    pub fn given(&self) -> Given {
        match self {
            Self::Nothing => Given::Nothing,
            Self::Picture(picture) => {
                Given::Picture(Size { width: picture.width(), height: picture.height() })
            }
            Self::Latent(latent) => Given::Latent { channels: latent.channels(), size: latent.size() },
        }
    }
}

impl From<Option<Picture>> for Source {
    fn from(picture: Option<Picture>) -> Self {
        picture.map_or(Self::Nothing, Self::Picture)
    }
}

// === impl Given ===

impl From<Option<Size>> for Given {
    /// The size of a picture, px.
    fn from(picture: Option<Size>) -> Self {
        picture.map_or(Self::Nothing, Self::Picture)
    }
}
