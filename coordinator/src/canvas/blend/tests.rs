//! Blended cells against a plain sum over the whole canvas in f64, and the rules that make them repeatable.

use proptest::prelude::*;
use tessera_proto::Rect;
use tessera_proto::job::TileGrid;

use super::*;
use crate::canvas::{Axis, AxisRequest, Grid, Planes, WeightKind, crop};

const CHANNELS: usize = 3;

fn tiling(canvas: [u32; 2], tile: [u32; 2], overlap: u32, kind: WeightKind) -> Tiling {
    let axis = |i: usize| {
        let request = AxisRequest { length: canvas[i], tile: tile[i], overlap, multiple: 4 };
        Axis::new(TileGrid::Spread, request).unwrap()
    };
    Tiling::new(Grid::new(axis(0), axis(1)).unwrap(), kind)
}

/// A value that differs from element to element: a hash of its number, in -1..1.
fn noise(seed: usize, element: usize) -> f32 {
    let mixed = (seed * 7919 + element + 1).wrapping_mul(0x9E37_79B9) & 0xFFFF;
    f32::from(u16::try_from(mixed).unwrap()) / 32768.0 - 1.0
}

fn tiles_of_noise(tiling: &Tiling) -> Vec<Vec<f32>> {
    let count = tiling.tile_len(CHANNELS);
    tiling.grid().indices().map(|tile| (0..count).map(|i| noise(tile.get(), i)).collect()).collect()
}

/// The whole canvas, cell by cell.
fn blend_all(tiling: &Tiling, tiles: &[Vec<f32>]) -> Vec<f32> {
    let (width, height) = tiling.grid().canvas();
    let mut canvas = vec![f32::NAN; CHANNELS * (width * height) as usize];
    let mut blend = Blend::new(tiling, CHANNELS);
    for cell in tiling.cells().indices() {
        let covering: Vec<&[f32]> = tiling.cells().tiles(cell).map(|tile| &tiles[tile.get()][..]).collect();
        let place =
            |row: Row| ((row.channel * height as usize) + row.y as usize) * width as usize + row.x0 as usize;
        let copy = |row: Row, values: &[f32]| canvas[place(row)..][..values.len()].copy_from_slice(values);
        blend.rows(cell, &covering, copy).unwrap();
    }
    canvas
}

/// The same by definition: sum of weight times value over the tiles that hold the pixel.
fn expected_at(tiling: &Tiling, tiles: &[Vec<f32>], channel: usize, x: u32, y: u32) -> f64 {
    let grid = tiling.grid();
    let (stride, rows) = (grid.padded().0 as usize, grid.padded().1 as usize);
    let pixel = Rect::new(x, y, x + 1, y + 1).unwrap();
    let over = grid.indices().filter(|&tile| grid.tile(tile).contains(pixel));
    let term = |tile: TileIndex| {
        let (dx, dy) = ((x - grid.tile(tile).x0()) as usize, (y - grid.tile(tile).y0()) as usize);
        let weights = tiling.weights();
        f64::from(weights.rows(tile)[dy])
            * f64::from(weights.columns(tile)[dx])
            * f64::from(tiles[tile.get()][(channel * rows + dy) * stride + dx])
    };
    over.map(term).sum()
}

#[test]
fn multidiffusion_is_the_mean_of_the_covering_tiles() {
    let tiling = tiling([12, 8], [8, 8], 4, WeightKind::Uniform);
    let tiles: Vec<Vec<f32>> = [1.0, 4.0].map(|value| vec![value; tiling.tile_len(CHANNELS)]).into();
    let canvas = blend_all(&tiling, &tiles);
    assert_eq!(canvas[..12], [1.0, 1.0, 1.0, 1.0, 2.5, 2.5, 2.5, 2.5, 4.0, 4.0, 4.0, 4.0]);
}

#[test]
fn a_cell_under_one_tile_is_copied_bit_for_bit() {
    let tiling = tiling([12, 8], [8, 8], 4, WeightKind::Gaussian);
    let mut tiles = tiles_of_noise(&tiling);
    tiles[0][0] = -0.0;
    tiles[0][1] = f32::from_bits(1);
    tiles[0][2] = f32::from_bits(0x7FC0_1234);
    let canvas = blend_all(&tiling, &tiles);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&canvas[..4]), bits(&tiles[0][..4]));
}

#[test]
fn the_padding_of_a_tile_is_never_read() {
    let tiling = tiling([10, 7], [16, 16], 4, WeightKind::Uniform);
    assert_eq!(tiling.grid().padded(), (12, 8));
    let mut tile = vec![f32::NAN; tiling.tile_len(CHANNELS)];
    for (row, values) in tile.chunks_exact_mut(12).enumerate() {
        if row % 8 < 7 {
            values[..10].fill(2.0);
        }
    }
    assert!(blend_all(&tiling, &[tile]).iter().all(|&value| value == 2.0));
}

#[test]
fn cells_in_a_buffer_are_the_same_as_by_rows() {
    let tiling = tiling([40, 28], [16, 12], 8, WeightKind::Ramp);
    let tiles = tiles_of_noise(&tiling);
    let canvas = blend_all(&tiling, &tiles);
    let planes = Planes::new([CHANNELS, 28, 40], &canvas).unwrap();
    let mut blend = Blend::new(&tiling, CHANNELS);
    for cell in tiling.cells().indices() {
        let rect = tiling.cells().rect(cell);
        let covering: Vec<&[f32]> = tiling.cells().tiles(cell).map(|tile| &tiles[tile.get()][..]).collect();
        let len = CHANNELS * usize::try_from(rect.area()).unwrap();
        let (mut blended, mut cut) = (vec![0.0; len], vec![0.0; len]);
        blend.cell(cell, &covering, &mut blended).unwrap();
        crop(planes, rect, (rect.width(), rect.height()), &mut cut).unwrap();
        assert_eq!(blended, cut);
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let tiling = tiling([12, 8], [8, 8], 4, WeightKind::Uniform);
    let tile = vec![0.0; tiling.tile_len(CHANNELS)];
    let mut blend = Blend::new(&tiling, CHANNELS);
    let mut text = |tiles: &[&[f32]], out: usize| {
        blend.cell(CellIndex(1), tiles, &mut vec![0.0; out]).unwrap_err().to_string()
    };
    let out = CHANNELS * 4 * 8;
    assert_eq!(text(&[&tile], out), "cell 1 is covered by 2 tiles, got 1");
    assert_eq!(text(&[&tile, &tile[1..]], out), "tile 1 has 191 values, expected 192");
    assert_eq!(text(&[&tile, &tile], 5), "cell 1 needs a buffer of 96 values, got 5");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn blending_is_the_weighted_sum(
        canvas in [1_u32..40, 1_u32..40], tile in [1_u32..24, 1_u32..24], overlap in 0_u32..12, kind in 0_usize..3,
    ) {
        let longest = |i: usize| (tile[i] / 4 * 4).max(4).min(tile[i]);
        prop_assume!(overlap < longest(0) && overlap < longest(1));
        let kind = [WeightKind::Uniform, WeightKind::Gaussian, WeightKind::Ramp][kind];
        let tiling = tiling(canvas, tile, overlap, kind);
        let tiles = tiles_of_noise(&tiling);
        let blended = blend_all(&tiling, &tiles);
        let [width, height] = canvas;
        for channel in 0..CHANNELS {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let index = (channel * height as usize + y as usize) * width as usize + x as usize;
                let difference = f64::from(blended[index]) - expected_at(&tiling, &tiles, channel, x, y);
                prop_assert!(difference.abs() < 2e-6, "{} at {}, {}, {}", difference, channel, x, y);
            }
        }
    }

    #[test]
    fn tiles_cut_from_one_picture_blend_to_that_picture(
        canvas in [1_u32..60, 1_u32..60], tile in 4_u32..24, overlap in 0_u32..4, kind in 0_usize..3,
    ) {
        let kind = [WeightKind::Uniform, WeightKind::Gaussian, WeightKind::Ramp][kind];
        let tiling = tiling(canvas, [tile; 2], overlap, kind);
        let shape = [CHANNELS, canvas[1] as usize, canvas[0] as usize];
        let picture: Vec<f32> = (0..shape.iter().product()).map(|i| noise(99, i)).collect();
        let cut = |&rect: &Rect| {
            let mut tile = vec![0.0; tiling.tile_len(CHANNELS)];
            crop(Planes::new(shape, &picture).unwrap(), rect, tiling.grid().padded(), &mut tile).unwrap();
            tile
        };
        let tiles: Vec<_> = tiling.grid().tiles().iter().map(cut).collect();
        for (blended, original) in blend_all(&tiling, &tiles).iter().zip(&picture) {
            prop_assert!((blended - original).abs() <= 1e-6);
        }
    }
}
