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
        Self { x: Cuts::new(grid.x()), y: Cuts::new(grid.y()) }
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
        product(self.y.intervals[row].clone(), self.x.intervals[column].clone(), columns).map(CellIndex)
    }

    /// The other tiles that share a cell with `tile`, in tile order.
    pub fn neighbours(&self, tile: TileIndex) -> impl Iterator<Item = TileIndex> + use<> {
        let (row, column) = self.tile_place(tile);
        let columns = self.x.intervals.len();
        let around = product(self.y.reach(row), self.x.reach(column), columns).map(TileIndex);
        around.filter(move |&other| other != tile)
    }

    /// How many tiles are reached from `tile` in 0, 1, 2 … steps from neighbour to neighbour, itself among them; ends with
    /// the last step that reaches more than the one before.
    pub fn ripples(&self, tile: TileIndex) -> impl Iterator<Item = usize> {
        let (row, column) = self.tile_place(tile);
        let mut reached = Some((own(row), own(column)));
        std::iter::from_fn(move || {
            let (rows, columns) = reached.take()?;
            let wider = (self.y.widen(&rows), self.x.widen(&columns));
            if wider != (rows.clone(), columns.clone()) {
                reached = Some(wider);
            }
            // Two tiles share a cell if they do on both axes, so the distance is the longer one of both.
            Some(rows.len() * columns.len())
        })
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
        Self { tiles: tiles.collect(), intervals: intervals.collect(), edges }
    }

    /// The tiles of the axis that share an interval with one of a run of tiles.
    fn widen(&self, tiles: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.reach(tiles.start), self.reach(tiles.end - 1));
        first.start as usize..last.end as usize
    }

    /// The tiles of the axis that share an interval with `tile`, itself among them.
    fn reach(&self, tile: usize) -> Range<u32> {
        let own = &self.intervals[tile];
        let (first, last) = (own.start as usize, own.end as usize - 1);
        self.tiles[first].start..self.tiles[last].end
    }
}

/// The run of one tile.
const fn own(tile: usize) -> Range<usize> {
    tile..tile + 1
}

/// The row-major numbers of all pairs, in ascending order; the product of all rows and columns fits 32 bits.
fn product(rows: Range<u32>, columns: Range<u32>, per_row: usize) -> impl Iterator<Item = u32> + use<> {
    let per_row = u32::try_from(per_row).expect("a grid has at most MAX_TILES tiles");
    rows.flat_map(move |row| columns.clone().map(move |column| row * per_row + column))
}

#[cfg(test)]
mod tests;
