//! Weights against numpy, their sum at each pixel, and their symmetry.

use proptest::prelude::*;
use tessera_proto::job::TileGrid;

use super::*;
use crate::canvas::grid::AxisRequest;

const KINDS: [WeightKind; 3] = [WeightKind::Uniform, WeightKind::Gaussian, WeightKind::Ramp];

fn grid(width: u32, height: u32, tile: [u32; 2], overlap: u32) -> Grid {
    let axis = |length, tile| {
        Axis::new(TileGrid::Spread, AxisRequest { length, tile, overlap, multiple: 1 }).unwrap()
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
    assert_near(&first(WeightKind::Uniform), &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
    assert_near(&first(WeightKind::Ramp), &[1.0, 1.0, 1.0, 1.0, 0.875, 0.625, 0.375, 0.125]);
    // numpy: a = np.exp(-(np.arange(8) - 3.5) ** 2 / (2 * 0.01 * 64)); a[4:] / (a[4:] + a[:4])
    let gaussian = [1.0, 1.0, 1.0, 1.0, 0.999_915_2, 0.957_912_27, 0.042_087_73, 8.481_104e-5];
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
