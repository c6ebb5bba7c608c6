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
        let raw: Vec<f64> = (0..axis.starts().len())
            .flat_map(|index| raw(axis, kind, index))
            .collect();
        let mut sums = vec![0.0; axis.length() as usize];
        for (&start, weights) in axis.starts().iter().zip(raw.chunks_exact(tile)) {
            for (sum, weight) in sums[start as usize..].iter_mut().zip(weights) {
                *sum += weight;
            }
        }
        let normalised = axis
            .starts()
            .iter()
            .zip(raw.chunks_exact(tile))
            .flat_map(|(&start, weights)| {
                let sums = &sums[start as usize..];
                weights
                    .iter()
                    .zip(sums)
                    .map(|(weight, sum)| to_f32(weight / sum))
                    .collect::<Vec<_>>()
            });
        Self {
            tile,
            values: normalised.collect(),
        }
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
            middles
                .map(|middle| (-(middle - tile / 2.0).powi(2) / spread).exp())
                .collect()
        }
        WeightKind::Ramp => {
            let (before, after) = overlaps(axis, index);
            let ramp = |distance: f64, overlap: u32| {
                if overlap == 0 {
                    1.0
                } else {
                    distance / f64::from(overlap)
                }
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
    let before = index
        .checked_sub(1)
        .map_or(0, |previous| shared(starts[previous], starts[index]));
    let after = starts
        .get(index + 1)
        .map_or(0, |&next| shared(starts[index], next));
    (before, after)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding a weight in 0..=1 to f32 is the purpose"
)]
const fn to_f32(weight: f64) -> f32 {
    weight as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tessera_proto::job::TileGrid;

    use super::*;
    use crate::canvas::grid::AxisRequest;

    const KINDS: [WeightKind; 3] = [WeightKind::Uniform, WeightKind::Gaussian, WeightKind::Ramp];

    fn grid(width: u32, height: u32, tile: [u32; 2], overlap: u32) -> Grid {
        let axis = |length, tile| {
            Axis::new(
                TileGrid::Spread,
                AxisRequest {
                    length,
                    tile,
                    overlap,
                    multiple: 1,
                },
            )
            .unwrap()
        };
        Grid::new(axis(width, tile[0]), axis(height, tile[1])).unwrap()
    }

    fn assert_near(actual: &[f32], expected: &[f32]) {
        assert_eq!(actual.len(), expected.len());
        for (a, e) in actual.iter().zip(expected) {
            assert!((a - e).abs() <= 1e-6 * e.abs(), "{actual:?} is not {expected:?}");
        }
    }

    #[test]
    fn two_tiles_share_their_overlap() {
        let grid = grid(12, 8, [8, 8], 2);
        let first = |kind| Weights::new(&grid, kind).columns(TileIndex(0)).to_vec();
        assert_near(
            &first(WeightKind::Uniform),
            &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5],
        );
        assert_near(
            &first(WeightKind::Ramp),
            &[1.0, 1.0, 1.0, 1.0, 0.875, 0.625, 0.375, 0.125],
        );
        // numpy: a = np.exp(-(np.arange(8) - 3.5) ** 2 / (2 * 0.01 * 64)); a[4:] / (a[4:] + a[:4])
        let gaussian = [
            1.0,
            1.0,
            1.0,
            1.0,
            0.999_915_2,
            0.957_912_27,
            0.042_087_73,
            8.481_104e-5,
        ];
        assert_near(&first(WeightKind::Gaussian), &gaussian);
        let weights = Weights::new(&grid, WeightKind::Ramp);
        assert_eq!(weights.rows(TileIndex(0)), [1.0; 8], "a single tile counts whole");
    }

    #[test]
    fn a_tile_that_is_no_square_is_weighed_by_its_own_lengths() {
        // Stretching the picture must stretch the weights: both axes of a 2:1 tile have the same table.
        let grid = grid(192, 96, [128, 64], 32);
        let weights = Weights::new(&grid, WeightKind::Gaussian);
        let (columns, rows) = (weights.columns(TileIndex(0)), weights.rows(TileIndex(0)));
        for (i, row) in rows.iter().enumerate() {
            let between = (columns[2 * i] + columns[2 * i + 1]) / 2.0;
            assert!((between - row).abs() < 2e-3, "row {i}: {row}, columns {between}");
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_are_positive(
            width in 1_u32..300, height in 1_u32..60, tile in 1_u32..120, overlap in 0_u32..120,
        ) {
            prop_assume!(overlap < tile);
            let grid = grid(width, height, [tile; 2], overlap);
            for kind in KINDS {
                let weights = Weights::new(&grid, kind);
                let mut sums = vec![0.0_f64; (width * height) as usize];
                for index in grid.indices() {
                    let rect = grid.tile(index);
                    for (y, wy) in (rect.y0()..).zip(weights.rows(index)) {
                        for (x, wx) in (rect.x0()..).zip(weights.columns(index)) {
                            prop_assert!(0.0 < wx * wy);
                            sums[(y * width + x) as usize] += f64::from(wy * wx);
                        }
                    }
                }
                for sum in sums {
                    prop_assert!((sum - 1.0).abs() <= 1e-6, "{:?}: {} is not 1", kind, sum);
                }
            }
        }

        #[test]
        fn a_mirrored_canvas_has_mirrored_weights(tile in 2_u32..120, gap in 1_u32..120, gaps in 0_u32..6) {
            prop_assume!(gap <= tile);
            let grid = grid(tile + gap * gaps, 1, [tile; 2], tile - gap);
            for kind in KINDS {
                let weights = Weights::new(&grid, kind);
                for (left, right) in grid.indices().zip(grid.indices().rev()) {
                    let back = weights.columns(right).iter().rev();
                    for (a, b) in weights.columns(left).iter().zip(back) {
                        prop_assert!((a - b).abs() <= 1e-6);
                    }
                }
            }
        }
    }
}
