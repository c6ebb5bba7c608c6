//! Cells: a tile grid in; the maximal rectangles covered by one fixed set of tiles out, and who touches whom.
//!
//! A grid is a product of two axes, so its cells are too: the tile edges cut each axis into intervals, and a cell is
//! an interval of columns times one of rows. Tiles of an axis have one length and ascending starts, so those that
//! cover an interval are a run of neighbours, and so are the intervals of a tile. Only these runs are kept, per axis:
//! memory and time are proportional to the tiles of a row plus those of a column, however many cells there are.

use std::ops::Range;

use tessera_proto::Rect;

use super::grid::{Axis, Grid, TileIndex};

/// The number of a cell on its canvas, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellIndex(pub u32);

/// The cells of a grid: they partition the canvas, and each tile is a union of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    x: Cuts,
    y: Cuts,
}

/// One axis, cut at every tile edge.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cuts {
    /// Interval `i` is `edges[i]..edges[i + 1]`.
    edges: Vec<u32>,
    /// For each interval, the tiles of the axis that cover it.
    tiles: Vec<Range<u32>>,
    /// For each tile of the axis, its intervals.
    intervals: Vec<Range<u32>>,
}

// === impl CellIndex ===

impl CellIndex {
    /// As an index into a list with one entry per cell.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

// === impl Cells ===

impl Cells {
    /// The cells of a grid.
    #[must_use]
    pub fn new(grid: &Grid) -> Self {
        Self {
            x: Cuts::new(grid.x()),
            y: Cuts::new(grid.y()),
        }
    }

    /// How many cells there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.x.tiles.len() * self.y.tiles.len()
    }

    /// Every cell's index, in order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = CellIndex> + use<> {
        // An axis of n tiles has below 2n intervals, so the product is below 4 * MAX_TILES.
        (0..u32::try_from(self.count()).expect("cells are at most four times the tiles")).map(CellIndex)
    }

    /// Where a cell lies. Panics on the index of another, larger canvas.
    #[must_use]
    pub fn rect(&self, cell: CellIndex) -> Rect {
        let (row, column) = self.place(cell);
        let (x, y) = (&self.x.edges[column..], &self.y.edges[row..]);
        Rect::new(x[0], y[0], x[1], y[1]).expect("cuts are strictly ascending")
    }

    /// The tiles that cover a cell, in tile order; at least one.
    pub fn tiles(&self, cell: CellIndex) -> impl Iterator<Item = TileIndex> + use<> {
        let (row, column) = self.place(cell);
        let columns = self.x.intervals.len();
        product(self.y.tiles[row].clone(), self.x.tiles[column].clone(), columns).map(TileIndex)
    }

    /// How many tiles cover a cell.
    #[must_use]
    pub fn tile_count(&self, cell: CellIndex) -> usize {
        let (row, column) = self.place(cell);
        self.y.tiles[row].len() * self.x.tiles[column].len()
    }

    /// The cells that a tile is made of, in cell order.
    pub fn cells(&self, tile: TileIndex) -> impl Iterator<Item = CellIndex> + use<> {
        let (row, column) = self.tile_place(tile);
        let columns = self.x.tiles.len();
        product(
            self.y.intervals[row].clone(),
            self.x.intervals[column].clone(),
            columns,
        )
        .map(CellIndex)
    }

    /// The other tiles that share a cell with `tile`, in tile order.
    pub fn neighbours(&self, tile: TileIndex) -> impl Iterator<Item = TileIndex> + use<> {
        let (row, column) = self.tile_place(tile);
        let columns = self.x.intervals.len();
        let around = product(self.y.reach(row), self.x.reach(column), columns).map(TileIndex);
        around.filter(move |&other| other != tile)
    }

    /// Row and column of a cell.
    const fn place(&self, cell: CellIndex) -> (usize, usize) {
        let columns = self.x.tiles.len();
        (cell.get() / columns, cell.get() % columns)
    }

    /// Row and column of a tile.
    const fn tile_place(&self, tile: TileIndex) -> (usize, usize) {
        let columns = self.x.intervals.len();
        (tile.get() / columns, tile.get() % columns)
    }
}

// === impl Cuts ===

impl Cuts {
    fn new(axis: &Axis) -> Self {
        let starts = axis.starts();
        let ends = starts.iter().map(|start| start + axis.tile());
        let mut edges: Vec<u32> = starts.iter().copied().chain(ends.clone()).collect();
        edges.sort_unstable();
        edges.dedup();
        let index = |place: usize| u32::try_from(place).expect("a grid has at most MAX_TILES tiles");
        // A tile covers [a, b) if it starts at or before a and ends at or after b: since a and b are neighbouring
        // edges, if it starts before b and ends after a.
        let tiles = edges.windows(2).map(|edge| {
            let first = starts.partition_point(|start| start + axis.tile() <= edge[0]);
            let after = starts.partition_point(|&start| start < edge[1]);
            index(first)..index(after)
        });
        let intervals = starts.iter().zip(ends).map(|(&start, end)| {
            index(edges.partition_point(|&edge| edge < start))
                ..index(edges.partition_point(|&edge| edge < end))
        });
        Self {
            tiles: tiles.collect(),
            intervals: intervals.collect(),
            edges,
        }
    }

    /// The tiles of the axis that share an interval with `tile`, itself among them.
    fn reach(&self, tile: usize) -> Range<u32> {
        let own = &self.intervals[tile];
        let (first, last) = (own.start as usize, own.end as usize - 1);
        self.tiles[first].start..self.tiles[last].end
    }
}

/// The row-major numbers of all pairs, in ascending order; the product of all rows and columns fits 32 bits.
fn product(rows: Range<u32>, columns: Range<u32>, per_row: usize) -> impl Iterator<Item = u32> + use<> {
    let per_row = u32::try_from(per_row).expect("a grid has at most MAX_TILES tiles");
    rows.flat_map(move |row| columns.clone().map(move |column| row * per_row + column))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tessera_proto::job::TileGrid;

    use super::*;
    use crate::canvas::grid::AxisRequest;

    fn grid(kind: TileGrid, lengths: [u32; 2], tile: u32, overlap: u32) -> Grid {
        let axis = |length| {
            Axis::new(
                kind,
                AxisRequest {
                    length,
                    tile,
                    overlap,
                    multiple: 1,
                },
            )
            .unwrap()
        };
        Grid::new(axis(lengths[0]), axis(lengths[1])).unwrap()
    }

    #[test]
    fn two_tiles_have_three_cells() {
        let cells = Cells::new(&grid(TileGrid::Spread, [12, 8], 8, 2));
        let rects: Vec<_> = cells.indices().map(|cell| cells.rect(cell)).collect();
        let expected = [(0, 4), (4, 8), (8, 12)].map(|(x0, x1)| Rect::new(x0, 0, x1, 8).unwrap());
        assert_eq!(rects, expected);
        let covering: Vec<Vec<_>> = cells.indices().map(|cell| cells.tiles(cell).collect()).collect();
        assert_eq!(
            covering,
            [
                vec![TileIndex(0)],
                vec![TileIndex(0), TileIndex(1)],
                vec![TileIndex(1)]
            ]
        );
    }

    #[test]
    fn the_middle_of_nine_tiles_touches_all_others() {
        let cells = Cells::new(&grid(TileGrid::Spread, [256, 256], 96, 8));
        let neighbours = |tile| {
            cells
                .neighbours(TileIndex(tile))
                .map(|tile| tile.0)
                .collect::<Vec<_>>()
        };
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
}
