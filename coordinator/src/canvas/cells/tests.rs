//! Cells against the definition: which tiles hold which pixels, counted one by one.

use proptest::prelude::*;
use tessera_proto::job::TileGrid;

use super::*;
use crate::canvas::grid::AxisRequest;

fn grid(kind: TileGrid, lengths: [u32; 2], tile: u32, overlap: u32) -> Grid {
    let axis = |length| Axis::new(kind, AxisRequest { length, tile, overlap, multiple: 1 }).unwrap();
    Grid::new(axis(lengths[0]), axis(lengths[1])).unwrap()
}

#[test]
fn two_tiles_have_three_cells() {
    let cells = Cells::new(&grid(TileGrid::Spread, [12, 8], 8, 2));
    let rects: Vec<_> = cells.indices().map(|cell| cells.rect(cell)).collect();
    let expected = [(0, 4), (4, 8), (8, 12)].map(|(x0, x1)| Rect::new(x0, 0, x1, 8).unwrap());
    assert_eq!(rects, expected);
    let covering: Vec<Vec<_>> = cells.indices().map(|cell| cells.tiles(cell).collect()).collect();
    assert_eq!(covering, [vec![TileIndex(0)], vec![TileIndex(0), TileIndex(1)], vec![TileIndex(1)]]);
}

#[test]
fn the_middle_of_nine_tiles_touches_all_others() {
    let cells = Cells::new(&grid(TileGrid::Spread, [256, 256], 96, 8));
    let neighbours = |tile| cells.neighbours(TileIndex(tile)).map(|tile| tile.0).collect::<Vec<_>>();
    assert_eq!(neighbours(4), [0, 1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(neighbours(0), [1, 3, 4]);
    assert_eq!(neighbours(5), [1, 2, 4, 7, 8]);
    assert_eq!(cells.count(), 25);
}

#[test]
fn tiles_that_only_touch_are_no_neighbours() {
    let cells = Cells::new(&grid(TileGrid::Spread, [16, 16], 8, 0));
    assert_eq!(cells.neighbours(TileIndex(0)).count(), 0);
    assert_eq!(cells.count(), 4);
}

#[test]
fn a_canvas_of_thousands_of_tiles_is_cheap() {
    // 4096x4096 latent px, 96 px tiles, 48 px overlap: 85x85 tiles. Only the two axes are stored.
    let grid = grid(TileGrid::Spread, [4096, 4096], 96, 48);
    let cells = Cells::new(&grid);
    assert_eq!(grid.tiles().len(), 7225);
    assert!(cells.x.edges.capacity() + cells.x.tiles.capacity() + cells.x.intervals.capacity() < 1000);
    let covered: u64 = cells.indices().map(|cell| cells.rect(cell).area()).sum();
    assert_eq!(covered, 4096 * 4096);
}

proptest! {
    #[test]
    fn cells_partition_the_canvas_and_agree_with_the_tiles(
        width in 1_u32..70, height in 1_u32..70, tile in 1_u32..40, overlap in 0_u32..40, stride in any::<bool>(),
    ) {
        prop_assume!(overlap < tile);
        let kind = if stride { TileGrid::Stride } else { TileGrid::Spread };
        let grid = grid(kind, [width, height], tile, overlap);
        let cells = Cells::new(&grid);
        let mut owner = vec![None; (width * height) as usize];
        for cell in cells.indices() {
            let rect = cells.rect(cell);
            let covering: Vec<_> = cells.tiles(cell).collect();
            let expected: Vec<_> = grid.indices().filter(|&t| grid.tile(t).contains(rect)).collect();
            let touching = grid.indices().filter(|&t| grid.tile(t).intersection(rect).is_some()).count();
            prop_assert_eq!(&covering, &expected);
            prop_assert_eq!(covering.len(), cells.tile_count(cell));
            prop_assert_eq!(covering.len(), touching, "a tile cuts through {:?}", rect);
            for tile in covering {
                prop_assert!(cells.cells(tile).any(|own| own == cell));
            }
            for y in rect.y0()..rect.y1() {
                for x in rect.x0()..rect.x1() {
                    prop_assert_eq!(owner[(y * width + x) as usize].replace(cell), None);
                }
            }
        }
        prop_assert!(owner.iter().all(Option::is_some));
        for tile in grid.indices() {
            let area: u64 = cells.cells(tile).map(|cell| cells.rect(cell).area()).sum();
            prop_assert_eq!(area, grid.tile(tile).area());
            let shares = |other: &TileIndex| {
                *other != tile && grid.tile(*other).intersection(grid.tile(tile)).is_some()
            };
            let expected: Vec<_> = grid.indices().filter(shares).collect();
            prop_assert_eq!(cells.neighbours(tile).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn cells_are_maximal(length in 1_u32..200, tile in 1_u32..60, overlap in 0_u32..60) {
        prop_assume!(overlap < tile);
        let cuts = Cells::new(&grid(TileGrid::Stride, [length, 1], tile, overlap)).x;
        prop_assert!(cuts.tiles.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
