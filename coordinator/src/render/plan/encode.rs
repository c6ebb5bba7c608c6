//! How a picture becomes a latent: its tiles, and what they share.

use std::sync::Arc;

use tessera_proto::job::Size;

use super::{Estimate, VaePlan};
use crate::canvas::Cores;

/// How a picture becomes a latent.
#[derive(Debug, Clone)]
pub enum EncodePlan {
    /// Tiles that know nothing of each other, blended where they overlap; or one tile.
    Blend(VaePlan),
    /// Tiles that share the statistics of the whole picture.
    Exact(ExactEncodePlan),
}

/// An exact encode: disjoint tiles, the barriers that they pass together, and what follows on the whole.
#[derive(Debug, Clone)]
pub struct ExactEncodePlan {
    /// The picture, px.
    pub canvas: Size,
    /// The tiles, px; edges of their own parts are multiples of `scale`.
    pub tiles: Arc<Cores>,
    /// Normalisations whose statistics are those of the whole picture.
    pub barriers: usize,
    /// In fast mode: where the first of them come from.
    pub estimate: Option<Estimate>,
    /// Channels that tiles hand, latent px, to the last part, which is one task; 0: there is none.
    pub crossing: usize,
    /// Image px per latent px.
    pub scale: u32,
}

// === impl EncodePlan ===

impl EncodePlan {
    /// Tasks of all rounds.
    #[must_use]
    pub fn tasks(&self) -> usize {
        match self {
            Self::Blend(plan) => plan.tasks(),
            Self::Exact(plan) => plan.tasks(),
        }
    }
}

// === impl ExactEncodePlan ===

impl ExactEncodePlan {
    /// How often every tile is run: up to each barrier, and to the end. A tile that is the whole picture knows all
    /// statistics itself.
    #[must_use]
    pub fn rounds(&self) -> usize {
        let estimated = self.estimate.map_or(0, |estimate| estimate.barriers);
        if self.tiles.count() == 1 { 1 } else { self.barriers - estimated + 1 }
    }

    /// Whether the network's last part is a task of its own.
    #[must_use]
    pub fn has_end(&self) -> bool {
        1 < self.tiles.count() && 0 < self.crossing
    }

    /// Tasks of all rounds, of the estimate and of the last part.
    #[must_use]
    pub fn tasks(&self) -> usize {
        let once = [self.has_end(), self.estimate.is_some()].map(usize::from);
        self.tiles.count() * self.rounds() + once.iter().sum::<usize>()
    }
}
