//! How a job enlarges its base picture: a name in, a filter of ours or a network of the model's out.

use std::fmt;

use serde::{Serialize, Serializer};

use super::choice::{Choice, UpscaleFilter};

/// What enlarges the base picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Upscaler {
    /// A filter, computed by the coordinator.
    Filter(UpscaleFilter),
    /// An upscaling network of the model, by its name there; run by workers.
    Network(String),
}

// === impl Upscaler ===

impl Upscaler {
    /// Reads a name: a filter's, in any spelling that [`UpscaleFilter`] knows, else a network's.
    ///
    /// Whether there is such a network only the model can say.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        UpscaleFilter::parse(name).map_or_else(|_| Self::Network(name.to_owned()), Self::Filter)
    }

    /// Whether the enlarging happens on the latent, with no trip through the VAE.
    #[must_use]
    pub const fn is_latent(&self) -> bool {
        match self {
            Self::Filter(filter) => filter.is_latent(),
            Self::Network(_) => false,
        }
    }

    /// The name that AUTOMATIC1111 writes into its metadata: for a network that of its file.
    #[must_use]
    pub fn a1111_name(&self) -> &str {
        match self {
            Self::Filter(filter) => filter.a1111_name(),
            Self::Network(name) => name,
        }
    }
}

impl From<UpscaleFilter> for Upscaler {
    fn from(filter: UpscaleFilter) -> Self {
        Self::Filter(filter)
    }
}

impl fmt::Display for Upscaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(filter) => filter.fmt(f),
            Self::Network(name) => f.write_str(name),
        }
    }
}

impl Serialize for Upscaler {
    /// The plain name: a network that is called like a filter cannot be asked for, so it says which one is meant.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_before_networks() {
        assert_eq!(Upscaler::of_name("Latent (nearest)"), Upscaler::Filter(UpscaleFilter::LatentNearest));
        let network = Upscaler::of_name("4x-Anime.v2");
        assert_eq!(network, Upscaler::Network("4x-Anime.v2".to_owned()));
        assert_eq!((network.a1111_name(), network.is_latent()), ("4x-Anime.v2", false));
        assert_eq!(network.to_string(), "4x-Anime.v2");
    }
}
