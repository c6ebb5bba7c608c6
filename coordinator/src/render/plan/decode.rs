//! How a latent becomes a picture: its tiles, and what they share.

use std::sync::Arc;

use tessera_proto::{Rect, facts::Peaks, job::Size};

use super::{Estimate, VaePlan};
use crate::canvas::{Cores, CoresRequest, TileIndex, grid};

/// Smallest side of a core, latent px: a smaller one is little beside its halo.
pub(super) const SMALLEST_CORE: u32 = 16;

/// How a latent becomes a picture.
#[derive(Debug, Clone)]
pub enum DecodePlan {
    /// Tiles that know nothing of each other, blended where they overlap; or one tile.
    Blend(VaePlan),
    /// Tiles that share the statistics of the whole picture.
    Exact(ExactPlan),
}

/// An exact decode: disjoint tiles and the barriers that they pass together.
#[derive(Debug, Clone)]
pub struct ExactPlan {
    /// The latent, latent px.
    pub canvas: Size,
    /// The tiles' own parts, latent px, row-major: they cover the canvas and do not overlap.
    pub cores: Arc<[Rect]>,
    /// Normalisations whose statistics are those of the whole picture.
    pub barriers: usize,
    /// In fast mode: where the first of them come from.
    pub estimate: Option<Estimate>,
    /// How far a tile reaches beyond its core at first, latent px.
    pub halo: u32,
    /// Image px per latent px.
    pub scale: u32,
    /// The memory that tiles take.
    pub peaks: Arc<Peaks>,
}

// === impl DecodePlan ===

impl DecodePlan {
    /// Size of the picture, px.
    #[must_use]
    pub fn size(&self) -> Size {
        match self {
            Self::Blend(plan) => {
                let (width, height) = plan.image.grid().canvas();
                Size { width, height }
            }
            Self::Exact(ExactPlan { canvas, scale, .. }) => {
                Size { width: canvas.width * scale, height: canvas.height * scale }
            }
        }
    }

    /// Tasks of all rounds.
    #[must_use]
    pub fn tasks(&self) -> usize {
        match self {
            Self::Blend(plan) => plan.tasks(),
            Self::Exact(plan) => plan.tasks(),
        }
    }
}

// === impl ExactPlan ===

impl ExactPlan {
    /// Longest side of a core, latent px.
    #[must_use]
    pub fn side(&self) -> u32 {
        self.cores.iter().map(|core| core.width().max(core.height())).max().unwrap_or_default()
    }

    /// Most bytes that one worker takes for it, apart from weights and waiting tiles; `None` = not known.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        let pixels = u64::from(self.canvas.width) * u64::from(self.canvas.height);
        self.peaks.worker(pixels, self.side())
    }

    /// The same in cores of half the side; `None` when they are as small as may be, and in fast mode, where the estimate
    /// and so the picture follows from the tile.
    ///
    /// # Errors
    /// There would be too many tiles.
    pub(in crate::render) fn halved(&self) -> Result<Option<Self>, grid::Error> {
        let side = self.side().div_ceil(2).max(SMALLEST_CORE);
        if self.side() <= side || self.estimate.is_some() {
            return Ok(None);
        }
        Ok(Some(Self { cores: cores(self.canvas, side)?, ..self.clone() }))
    }

    /// How often every tile is run: up to each barrier, and to the end. A tile that is the whole picture knows all
    /// statistics itself.
    #[must_use]
    pub fn rounds(&self) -> usize {
        let estimated = self.estimate.map_or(0, |estimate| estimate.barriers);
        if self.cores.len() == 1 { 1 } else { self.barriers - estimated + 1 }
    }

    /// Tasks of all rounds, and of the estimate.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.cores.len() * self.rounds() + usize::from(self.estimate.is_some())
    }
}

/// Cores of at most `side` latent px that cover a canvas, row-major.
pub(super) fn cores(canvas: Size, side: u32) -> Result<Arc<[Rect]>, grid::Error> {
    let request = CoresRequest { canvas: (canvas.width, canvas.height), tile: side, halo: 0, multiple: 1 };
    let tiles = Cores::new(request)?;
    Ok((0..).map(TileIndex).take(tiles.count()).map(|tile| tiles.core(tile)).collect())
}
