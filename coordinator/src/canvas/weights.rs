//! Blending weights: a tile grid and a shape in; for every tile one weight per column and one per row out, such that
//! the weights of the tiles over any pixel sum to 1.
//!
//! A tile's weight at a pixel is the product of its column's and its row's. The grid is a product too, so
//!
//! ```text
//! Σ_tiles w = Σ_j Σ_i wy_j wx_i = (Σ_j wy_j) (Σ_i wx_i)
//! ```
//!
//! and normalising each axis alone normalises the whole: the tables hold `n·T` numbers per axis, never a canvas.

use tessera_proto::job::TileMethod;

use super::grid::{Axis, Grid, TileIndex};

/// Variance of the Gaussian relative to the squared tile length, as in Mixture of Diffusers.
const GAUSSIAN_VARIANCE: f64 = 0.01;

/// How a tile's weight falls off from its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightKind {
    /// Every tile counts the same: the mean over the covering tiles (MultiDiffusion).
    Uniform,
    /// `exp(-(x - m)² / (2 · 0.01 · T²))` with `m = (T - 1) / 2`, on each axis with that axis' own `T`.
    ///
    /// Tiled Diffusion divides both axes by the tile's width and centres rows at `T / 2`: its tiles that are no
    /// squares weigh the wrong pixels, and its first and last row differ by a factor of 0.6. Ours are symmetric.
    Gaussian,
    /// Linear over each real overlap, 1 elsewhere; the outer edges of the canvas have no ramp.
    ///
    /// Over an overlap of `B` px the weight of pixel `k` is `(k + ½) / B` before normalising, so the two sides mirror
    /// each other and already sum to 1 where only two tiles meet.
    Ramp,
}

/// Normalised weights of every tile of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    x: Table,
    y: Table,
    /// Tiles in a row of the grid.
    columns: usize,
}

/// One axis: `[tiles, tile length]`.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    tile: usize,
    values: Vec<f32>,
}

// === impl WeightKind ===

impl From<TileMethod> for WeightKind {
    fn from(method: TileMethod) -> Self {
        match method {
            TileMethod::MultiDiffusion => Self::Uniform,
            TileMethod::Mixture => Self::Gaussian,
        }
    }
}

// === impl Weights ===

impl Weights {
    /// The weights of a grid.
    #[must_use]
    pub fn new(grid: &Grid, kind: WeightKind) -> Self {
        Self {
            x: Table::new(grid.x(), kind),
            y: Table::new(grid.y(), kind),
            columns: grid.x().starts().len(),
        }
    }

    /// Weights of a tile's columns, from its left edge; as many as it is wide on the canvas.
    #[must_use]
    pub fn columns(&self, tile: TileIndex) -> &[f32] {
        self.x.of(tile.get() % self.columns)
    }

    /// Weights of a tile's rows, from its top edge; as many as it is high on the canvas.
    #[must_use]
    pub fn rows(&self, tile: TileIndex) -> &[f32] {
        self.y.of(tile.get() / self.columns)
    }
}

// === impl Table ===

impl Table {
    /// Raw weights of all tiles of an axis, then divided by their sum at each pixel; in f64, so that only the last
    /// rounding to f32 remains and the Gaussian's far ends (4e-6 of its middle) keep all their digits.
    fn new(axis: &Axis, kind: WeightKind) -> Self {
        let tile = axis.tile() as usize;
        let raw: Vec<f64> = (0..axis.starts().len()).flat_map(|index| raw(axis, kind, index)).collect();
        let mut sums = vec![0.0; axis.length() as usize];
        for (&start, weights) in axis.starts().iter().zip(raw.chunks_exact(tile)) {
            for (sum, weight) in sums[start as usize..].iter_mut().zip(weights) {
                *sum += weight;
            }
        }
        let normalised = axis.starts().iter().zip(raw.chunks_exact(tile)).flat_map(|(&start, weights)| {
            let sums = &sums[start as usize..];
            weights.iter().zip(sums).map(|(weight, sum)| to_f32(weight / sum)).collect::<Vec<_>>()
        });
        Self { tile, values: normalised.collect() }
    }

    fn of(&self, index: usize) -> &[f32] {
        &self.values[index * self.tile..][..self.tile]
    }
}

/// A tile's weights before normalising, all above 0.
fn raw(axis: &Axis, kind: WeightKind, index: usize) -> Vec<f64> {
    let tile = f64::from(axis.tile());
    let middles = (0..axis.tile()).map(|pixel| f64::from(pixel) + 0.5);
    match kind {
        WeightKind::Uniform => middles.map(|_| 1.0).collect(),
        WeightKind::Gaussian => {
            let spread = 2.0 * GAUSSIAN_VARIANCE * tile * tile;
            middles.map(|middle| (-(middle - tile / 2.0).powi(2) / spread).exp()).collect()
        }
        WeightKind::Ramp => {
            let (before, after) = overlaps(axis, index);
            let ramp = |distance: f64, overlap: u32| {
                if overlap == 0 { 1.0 } else { distance / f64::from(overlap) }
            };
            let weight = |middle: f64| ramp(middle, before).min(ramp(tile - middle, after)).min(1.0);
            middles.map(weight).collect()
        }
    }
}

/// Px that a tile shares with the tile before it and with the one after it.
fn overlaps(axis: &Axis, index: usize) -> (u32, u32) {
    let starts = axis.starts();
    let shared = |first: u32, second: u32| (first + axis.tile()).saturating_sub(second);
    let before = index.checked_sub(1).map_or(0, |previous| shared(starts[previous], starts[index]));
    let after = starts.get(index + 1).map_or(0, |&next| shared(starts[index], next));
    (before, after)
}

#[expect(clippy::cast_possible_truncation, reason = "rounding a weight in 0..=1 to f32 is the purpose")]
const fn to_f32(weight: f64) -> f32 {
    weight as f32
}

#[cfg(test)]
mod tests;
