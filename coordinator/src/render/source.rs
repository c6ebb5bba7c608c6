//! What a job starts from, beside its prompt: decoded files for the job, their sizes for its plan.

use tessera_proto::job::Size;

use crate::{latent::Latent, picture::Picture};

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

// === impl Source ===

impl Source {
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
