//! How a picture becomes a latent: its tiles, and what they share.

use std::sync::Arc;

use tessera_proto::job::Size;

use super::{Estimate, VaePlan};
use crate::canvas::{Cores, CoresRequest, grid};

/// Smallest side of a core, px, but for the picture's rim: a smaller one is little beside its halo.
const SMALLEST_CORE: u32 = 128;

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
    /// How far around its own part a tile is seen, px.
    pub halo: u32,
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
    /// Longest side of a tile's own part, px.
    #[must_use]
    pub fn side(&self) -> u32 {
        let (width, height) = self.tiles.largest_core();
        width.max(height)
    }

    /// The same in tiles of half the side; `None` when they are as small as may be, and in fast mode, where the estimate
    /// and so the latent follows from the tile.
    ///
    /// # Errors
    /// There would be too many tiles.
    pub(in crate::render) fn halved(&self) -> Result<Option<Self>, grid::Error> {
        let tile = self.side().div_ceil(2).next_multiple_of(self.scale).max(SMALLEST_CORE);
        if self.side() <= tile || self.estimate.is_some() {
            return Ok(None);
        }
        let canvas = (self.canvas.width, self.canvas.height);
        let request = CoresRequest { canvas, tile, halo: self.halo, multiple: self.scale };
        Ok(Some(Self { tiles: Arc::new(Cores::new(request)?), ..self.clone() }))
    }

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
