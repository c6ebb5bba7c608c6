//! Grids against Tiled Diffusion's tile counts, diffusers' panorama views, and their own rules.

use proptest::prelude::*;

use super::*;

fn axis(kind: TileGrid, length: u32, tile: u32, overlap: u32) -> Axis {
    Axis::new(kind, AxisRequest { length, tile, overlap, multiple: 1 }).unwrap()
}

fn spread_grid(width: u32, height: u32, tile: u32, overlap: u32) -> Grid {
    let on = |length| axis(TileGrid::Spread, length, tile, overlap);
    Grid::new(on(width), on(height)).unwrap()
}

#[test]
fn tile_counts_are_those_of_tiled_diffusion() {
    // Canvas in px; tiles and redundancy for each of the layouts, computed with Tiled Diffusion's formula.
    let layouts = [(96, 48), (96, 32), (96, 8), (128, 16), (64, 48)];
    let table = [
        (1024, 1024, [4, 4, 4, 1, 25], [2.25, 2.25, 2.25, 1.0, 6.25]),
        (1024, 1536, [6, 6, 6, 2, 45], [2.25, 2.25, 2.25, 1.333, 7.5]),
        (2048, 2048, [25, 16, 9, 9, 169], [3.516, 2.25, 1.266, 2.25, 10.562]),
        (4096, 4096, [100, 64, 36, 25, 841], [3.516, 2.25, 1.266, 1.562, 13.141]),
    ];
    for (width, height, counts, redundancies) in table {
        for ((tile, overlap), (count, redundancy)) in
            layouts.into_iter().zip(counts.into_iter().zip(redundancies))
        {
            let grid = spread_grid(width / 8, height / 8, tile, overlap);
            println!("{width}x{height} px, tile {tile}, overlap {overlap}: {} tiles", grid.tiles().len());
            assert_eq!(grid.tiles().len(), count, "{width}x{height}, tile {tile}, overlap {overlap}");
            assert!(
                (grid.redundancy() - redundancy).abs() < 1e-3,
                "{} is not {redundancy}",
                grid.redundancy()
            );
        }
    }
}

#[test]
fn positions_are_spread_from_edge_to_edge() {
    assert_eq!(axis(TileGrid::Spread, 256, 96, 48).starts(), [0, 40, 80, 120, 160]);
    assert_eq!(axis(TileGrid::Spread, 256, 96, 8).starts(), [0, 80, 160]);
    assert_eq!(axis(TileGrid::Spread, 128, 96, 8).starts(), [0, 32]);
    assert_eq!(axis(TileGrid::Spread, 128, 96, 48).starts(), [0, 32]);
}

#[test]
fn a_panorama_has_the_views_of_diffusers() {
    // StableDiffusionPanoramaPipeline.get_views for 512x1024 px: nine windows in one row.
    let grid = Grid::new(axis(TileGrid::Stride, 128, 64, 56), axis(TileGrid::Stride, 64, 64, 56)).unwrap();
    let windows: Vec<_> =
        grid.tiles().iter().map(|tile| (tile.x0(), tile.x1(), tile.y0(), tile.y1())).collect();
    let views: Vec<_> = (0..9).map(|i| (8 * i, 8 * i + 64, 0, 64)).collect();
    assert_eq!(windows, views);
}

#[test]
fn a_strip_that_diffusers_leaves_uncovered_gets_a_flush_tile() {
    assert_eq!(axis(TileGrid::Stride, 100, 64, 48).starts(), [0, 16, 32, 36]);
    assert_eq!(axis(TileGrid::Stride, 96, 64, 48).starts(), [0, 16, 32]);
}

#[test]
fn a_cut_axis_gets_tiles_the_network_takes() {
    let axis =
        Axis::new(TileGrid::Spread, AxisRequest { length: 100, tile: 30, overlap: 4, multiple: 8 }).unwrap();
    assert_eq!((axis.tile(), axis.padded(), axis.starts()), (24, 24, [0, 19, 38, 57, 76].as_slice()));
    let axis =
        Axis::new(TileGrid::Spread, AxisRequest { length: 20, tile: 6, overlap: 2, multiple: 8 }).unwrap();
    assert_eq!((axis.tile(), axis.padded()), (8, 8), "a tile below the multiple grows to it");
}

#[test]
fn an_axis_of_one_tile_is_padded_for_the_network() {
    for tile in [65, 66, 4000] {
        let request = AxisRequest { length: 65, tile, overlap: 8, multiple: 8 };
        let axis = Axis::new(TileGrid::Spread, request).unwrap();
        assert_eq!((axis.tile(), axis.padded(), axis.starts()), (65, 72, [0].as_slice()));
    }
    let axis =
        Axis::new(TileGrid::Spread, AxisRequest { length: 5, tile: 3, overlap: 1, multiple: 8 }).unwrap();
    assert_eq!((axis.tile(), axis.padded()), (5, 8), "rounding up can make one tile of it");
}

#[test]
fn scaling_moves_every_edge() {
    let grid = spread_grid(100, 65, 64, 16);
    let scaled = grid.scaled(8).unwrap();
    assert_eq!(scaled.canvas(), (800, 520));
    let expected: Vec<_> = grid.tiles().iter().map(|tile| tile.scaled(8).unwrap()).collect();
    assert_eq!(scaled.tiles(), expected);
    assert_eq!(grid.scaled(0), Err(Error::Zero { what: "scale" }));
    assert_eq!(grid.scaled(1 << 30), Err(Error::TooLarge { length: 100, factor: 1 << 30 }));
}

#[test]
fn each_refusal_says_limit_and_value() {
    let text = |length, tile, overlap, multiple| {
        Axis::new(TileGrid::Spread, AxisRequest { length, tile, overlap, multiple }).unwrap_err().to_string()
    };
    assert_eq!(text(0, 96, 48, 1), "the canvas is 0 px, it must be at least 1 px");
    assert_eq!(text(64, 0, 0, 1), "the tile is 0 px, it must be at least 1 px");
    assert_eq!(
        text(64, 96, 96, 1),
        "an overlap of 96 px is too large for tiles of 96 px: the limit is 95 px"
    );
    assert_eq!(
        text(64, 30, 24, 8),
        "an overlap of 24 px is too large for tiles of 24 px (30 px, rounded to a multiple of 8, which the model \
         needs): the limit is 23 px"
    );
    assert_eq!(
        text(100_000, 8, 7, 1),
        "the grid has 99993x1 tiles, the limit is 65536: take larger tiles or less overlap"
    );
    let fine = axis(TileGrid::Spread, 4096, 8, 7);
    let error = Grid::new(fine.clone(), fine).unwrap_err();
    assert_eq!(error, Error::TooMany { columns: 4089, rows: 4089 });
}

proptest! {
    #[test]
    fn tiles_cover_the_axis_and_overlap_as_asked(
        length in 1_u32..600, tile in 1_u32..200, overlap in 0_u32..200, multiple in 1_u32..9, stride in any::<bool>(),
    ) {
        let kind = if stride { TileGrid::Stride } else { TileGrid::Spread };
        let Ok(axis) = Axis::new(kind, AxisRequest { length, tile, overlap, multiple }) else {
            prop_assert!(tile <= overlap || (tile / multiple * multiple).max(multiple) <= overlap);
            return Ok(());
        };
        let starts = axis.starts();
        prop_assert_eq!(starts[0], 0);
        prop_assert_eq!(starts[starts.len() - 1] + axis.tile(), length);
        for pair in starts.windows(2) {
            prop_assert!(pair[0] < pair[1]);
            prop_assert!(pair[1] + overlap <= pair[0] + axis.tile(), "overlap below {}: {:?}", overlap, pair);
        }
        prop_assert_eq!(axis.padded() % multiple, 0);
        prop_assert!(axis.padded() - axis.tile() < multiple);
    }
}
