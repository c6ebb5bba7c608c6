//! A tiling: a grid and a kind of weights in; grid, cells and weights that belong together out.

use super::cells::Cells;
use super::grid::{Error, Grid};
use super::weights::{WeightKind, Weights};

/// How a canvas is cut into tiles and put together again.
///
/// Invariant: grid, cells and weights are of one canvas; tile and cell numbers of one fit the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiling {
    grid: Grid,
    cells: Cells,
    weights: Weights,
}

// === impl Tiling ===

impl Tiling {
    /// Cells and weights of a grid.
    #[must_use]
    pub fn new(grid: Grid, kind: WeightKind) -> Self {
        Self { cells: Cells::new(&grid), weights: Weights::new(&grid, kind), grid }
    }

    /// The same tiles on a canvas `factor` times as fine, weighed on that canvas: tiles of latents in, image out.
    ///
    /// # Errors
    /// `factor` is 0, or the canvas would not fit 32 bits.
    pub fn scaled(&self, factor: u32, kind: WeightKind) -> Result<Self, Error> {
        Ok(Self::new(self.grid.scaled(factor)?, kind))
    }

    /// Where the tiles lie.
    #[must_use]
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What may be blended as soon as which tiles are there.
    #[must_use]
    pub const fn cells(&self) -> &Cells {
        &self.cells
    }

    /// How much each tile counts.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Values of one tile's tensor `[channels, padded height, padded width]`.
    #[must_use]
    pub const fn tile_len(&self, channels: usize) -> usize {
        let (width, height) = self.grid.padded();
        channels * height as usize * width as usize
    }
}
