//! How a latent becomes a picture: its tiles, and what they share.

use std::sync::Arc;

use tessera_proto::{Rect, job::Size};

use super::{Estimate, VaePlan};

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
