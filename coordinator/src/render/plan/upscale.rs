//! A network that enlarges the picture: its facts, the picture's size and the size to cover in; passes and their tiles
//! out.
//!
//! As A1111's `upscaler.py`: each pass enlarges the whole picture by the network's own factor, until both sides reach the
//! size or three passes are done; what is left is Lanczos.

use std::sync::Arc;

use tessera_proto::{
    JobSpec, ModelFacts, Rect,
    facts::UpscalerFacts,
    job::{self, Size, TileGrid, UpscaleFilter, Upscaler},
    limits,
};

use super::tiles::LARGEST_TENSOR;
use crate::{
    canvas::{Axis, AxisRequest, Cores, CoresRequest, Grid, TileIndex, Tiling, WeightKind, grid},
    picture::rgb,
};

/// Most passes; A1111's.
const PASSES: usize = 3;

/// Default longest side of a tile, px: A1111's `ESRGAN_tile`.
const TILE: u32 = 192;

/// Overlap of tiles of networks that look too far for a halo, px.
const OVERLAP: u32 = 32;

/// Why a network cannot enlarge a picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model has no such network.
    #[error(transparent)]
    Unknown(#[from] job::Unknown),
    /// The tiles cannot be placed.
    #[error("upscale tiles: {0}")]
    Tiles(#[from] grid::Error),
    /// A pass makes a picture that exceeds what we render.
    #[error(
        "upscaler {name:?} enlarges by {scale} at a time, which makes {width}x{height} px in pass {pass}, and the limit \
         is {} px a side: take a smaller target, or --upscaler lanczos",
        limits::SIDE
    )]
    Side {
        /// The network.
        name: String,
        /// Its factor.
        scale: u32,
        /// The pass, from 1.
        pass: usize,
        /// Columns of its result, px.
        width: u64,
        /// Rows of its result, px.
        height: u64,
    },
    /// One tile would not fit into a message.
    #[error(
        "upscale tiles of {width}x{height} px have up to {mib} MiB, the limit is {} MiB: take a smaller --upscale-tile",
        limits::FLEET_MESSAGE >> 20
    )]
    TileBytes {
        /// Columns that the network sees, px.
        width: u32,
        /// Rows that the network sees, px.
        height: u32,
        /// The larger of the tile and its result, MiB.
        mib: usize,
    },
}

/// How a network enlarges the picture.
#[derive(Debug, Clone)]
pub struct UpscalePlan {
    /// The network.
    pub network: UpscalerFacts,
    /// What it does one after the other; perhaps nothing.
    pub passes: Vec<UpscalePass>,
}

/// One pass over the whole picture.
#[derive(Debug, Clone)]
pub struct UpscalePass {
    /// Size of the picture before it, px.
    pub from: Size,
    /// Its tiles, on sides rounded up to the network's multiple.
    pub tiles: UpscaleTiles,
}

/// How the picture is cut.
#[derive(Debug, Clone)]
pub enum UpscaleTiles {
    /// Disjoint tiles that are seen with all that they depend on: the result is that of the whole picture in one call.
    Exact(Cores),
    /// Overlapping tiles, joined by a ramp.
    Ramp {
        /// Geometry before the pass.
        tiling: Arc<Tiling>,
        /// Geometry after it.
        enlarged: Arc<Tiling>,
    },
}

// === impl UpscalePlan ===

impl UpscalePlan {
    /// Plans the network that a job asks for; `None` when it asks for a filter.
    ///
    /// # Errors
    /// The model has no such network, or it makes too large pictures or tiles.
    pub(super) fn new(
        spec: &JobSpec,
        facts: &ModelFacts,
        from: Size,
        cover: Size,
    ) -> Result<Option<Self>, Error> {
        let Upscaler::Network(name) = &spec.upscaler else {
            return Ok(None);
        };
        let network = facts.upscaler(name, job::names::<UpscaleFilter>())?;
        let tile = spec.upscale_tile.unwrap_or(TILE);
        let mut passes = Vec::new();
        let mut size = from;
        while (size.width < cover.width || size.height < cover.height) && passes.len() < PASSES {
            let larger = |side: u32| u64::from(side) * u64::from(network.scale);
            let (width, height) = (larger(size.width), larger(size.height));
            let side = |side: u64| u32::try_from(side).ok().filter(|&side| side <= limits::SIDE);
            let (Some(w), Some(h)) = (side(width), side(height)) else {
                let (name, scale, pass) = (network.name.clone(), network.scale, passes.len() + 1);
                return Err(Error::Side { name, scale, pass, width, height });
            };
            passes.push(UpscalePass { from: size, tiles: UpscaleTiles::new(network, size, tile)? });
            size = Size { width: w, height: h };
        }
        Ok(Some(Self { network: network.clone(), passes }))
    }
}

// === impl UpscaleTiles ===

impl UpscaleTiles {
    fn new(network: &UpscalerFacts, size: Size, tile: u32) -> Result<Self, Error> {
        let UpscalerFacts { scale, radius, multiple, .. } = *network;
        let up = |side: u32| side.div_ceil(multiple) * multiple;
        let (width, height) = (up(size.width), up(size.height));
        let is_whole = tile == 0 || (width <= tile && height <= tile);
        let tiles = match radius {
            _ if is_whole => Some((0, 0)),
            // A halo wider than the tile would be most of the work.
            Some(radius) if radius <= tile => Some((tile, radius)),
            _ => None,
        };
        let tiles = match tiles {
            Some((tile, halo)) => {
                Self::Exact(Cores::new(CoresRequest { canvas: (width, height), tile, halo, multiple })?)
            }
            None => {
                let axis = |length: u32| {
                    // In units of the multiple, so that every tile begins on one.
                    let (length, overlap) = (length / multiple, OVERLAP.div_ceil(multiple));
                    let tile = (tile / multiple).min(length).max(1);
                    Axis::new(
                        TileGrid::Spread,
                        AxisRequest { length, tile, overlap: overlap.min(tile - 1), multiple: 1 },
                    )
                };
                let units = Grid::new(axis(width)?, axis(height)?)?;
                let tiling = Tiling::new(units.scaled(multiple)?, WeightKind::Ramp);
                let enlarged = Arc::new(tiling.scaled(scale, WeightKind::Ramp)?);
                Self::Ramp { tiling: Arc::new(tiling), enlarged }
            }
        };
        tiles.check_bytes(scale)?;
        Ok(tiles)
    }

    /// The tile and its result both travel in a message.
    fn check_bytes(&self, scale: u32) -> Result<(), Error> {
        let ((width, height), kept) = match self {
            Self::Exact(cores) => (cores.largest_seen(), cores.largest_core()),
            Self::Ramp { tiling, .. } => (tiling.grid().padded(), tiling.grid().padded()),
        };
        let bytes = |(width, height): (u32, u32), scale: u32| {
            let pixels = u64::from(width) * u64::from(height) * u64::from(scale).pow(2);
            usize::try_from(pixels).unwrap_or(usize::MAX).saturating_mul(rgb::CHANNELS * size_of::<f32>())
        };
        let largest = bytes((width, height), 1).max(bytes(kept, scale));
        if LARGEST_TENSOR < largest {
            return Err(Error::TileBytes { width, height, mib: largest >> 20 });
        }
        Ok(())
    }

    /// Tasks: one per tile.
    #[must_use]
    pub fn tasks(&self) -> usize {
        match self {
            Self::Exact(cores) => cores.count(),
            Self::Ramp { tiling, .. } => tiling.grid().tiles().len(),
        }
    }

    /// What the network sees for a tile, px of the picture.
    #[must_use]
    pub fn seen(&self, tile: TileIndex) -> Rect {
        match self {
            Self::Exact(cores) => cores.seen(tile),
            Self::Ramp { tiling, .. } => tiling.grid().tile(tile),
        }
    }

    /// What comes back of it, enlarged, px of the picture.
    #[must_use]
    pub fn kept(&self, tile: TileIndex) -> Rect {
        match self {
            Self::Exact(cores) => cores.core(tile),
            Self::Ramp { tiling, .. } => tiling.grid().tile(tile),
        }
    }

    /// Width and height of the largest tile that the network sees, px.
    #[must_use]
    pub fn largest(&self) -> Size {
        let (width, height) = match self {
            Self::Exact(cores) => cores.largest_seen(),
            Self::Ramp { tiling, .. } => tiling.grid().padded(),
        };
        Size { width, height }
    }

    /// The network's px per px of the picture.
    #[must_use]
    pub fn redundancy(&self) -> f64 {
        match self {
            Self::Exact(cores) => cores.redundancy(),
            Self::Ramp { tiling, .. } => tiling.grid().redundancy(),
        }
    }

    /// Cells that tiles' edges cut the picture into.
    #[must_use]
    pub fn cells(&self) -> usize {
        match self {
            Self::Exact(cores) => cores.count(),
            Self::Ramp { tiling, .. } => tiling.cells().count(),
        }
    }
}

#[cfg(test)]
mod tests;
