//! Tile results on their way into the canvas: results in any order in, blended rows of finished cells out.
//!
//! A cell is finished when all tiles that cover it have arrived; it is then blended in tile order, so the order of
//! arrival leaves no trace. A tile's values are dropped as soon as its last cell is finished.

use std::sync::Arc;

use crate::canvas::{
    Blend, CellIndex, TileIndex, Tiling,
    blend::{Error, Row},
};

/// How far the tiles and cells of a canvas are.
pub(super) struct Counts<'a> {
    /// Results of a tile.
    pub(super) results: &'a dyn Fn(TileIndex) -> usize,
    /// Per cell: results of all its tiles.
    pub(super) finished: &'a [usize],
}

/// Results that wait for their neighbours.
#[derive(Debug)]
pub(super) struct Gather {
    tiling: Arc<Tiling>,
    channels: usize,
    /// Per tile: its values, while a cell of it is not finished.
    held: Vec<Option<Vec<f32>>>,
    /// Per tile: its cells that are not finished.
    open: Vec<usize>,
    /// Per cell: tiles that have not arrived.
    missing: Vec<usize>,
}

// === impl Gather ===

impl Gather {
    /// Waits for every tile of `tiling`, each of `channels` planes.
    #[must_use]
    pub(super) fn new(tiling: Arc<Tiling>, channels: usize) -> Self {
        let (grid, cells) = (tiling.grid(), tiling.cells());
        let missing = cells.indices().map(|cell| cells.tile_count(cell)).collect();
        let count = grid.tiles().len();
        Self { held: vec![None; count], open: vec![0; count], missing, channels, tiling }
    }

    /// Goes on where tiles and cells stand so; `held` are the values of tiles with a cell that is not finished. `None` if
    /// they are not exactly those.
    pub(super) fn resumed(
        tiling: Arc<Tiling>,
        channels: usize,
        Counts { results, finished }: &Counts<'_>,
        held: impl Iterator<Item = (TileIndex, Vec<f32>)>,
    ) -> Option<Self> {
        let mut gather = Self::new(tiling, channels);
        let (cells, length) = (gather.tiling.cells(), gather.tiling.tile_len(channels));
        for (tile, values) in held {
            let place = gather.held.get_mut(tile.get()).filter(|_| values.len() == length)?;
            *place = Some(values);
        }
        for tile in gather.tiling.grid().indices() {
            let open = cells.cells(tile).filter(|cell| finished[cell.get()] < results(tile)).count();
            if (0 < open) != gather.held[tile.get()].is_some() {
                return None;
            }
            gather.open[tile.get()] = open;
        }
        for cell in cells.indices() {
            let absent = cells.tiles(cell).filter(|&tile| results(tile) == finished[cell.get()]).count();
            gather.missing[cell.get()] = absent;
        }
        Some(gather)
    }

    /// The values that are held, by tile.
    pub(super) fn held(&self) -> impl Iterator<Item = (TileIndex, &[f32])> {
        let tiles = self.tiling.grid().indices().zip(&self.held);
        tiles.filter_map(|(tile, values)| Some((tile, values.as_deref()?)))
    }

    /// Takes a tile's values, row-major `[channels, padded height, padded width]`; calls `each` with the rows of every
    /// cell that this finishes. Returns those cells; they wait for all their tiles again.
    ///
    /// # Errors
    /// The values are not as many as the tile has.
    ///
    /// # Panics
    /// The tile has arrived before and not all its cells are finished since: the caller counts its calls.
    pub(super) fn put(
        &mut self,
        tile: TileIndex,
        values: Vec<f32>,
        mut each: impl FnMut(CellIndex, Row, &[f32]),
    ) -> Result<Vec<CellIndex>, Error> {
        let expected = self.tiling.tile_len(self.channels);
        if values.len() != expected {
            return Err(Error::TileLength { tile, expected, actual: values.len() });
        }
        assert!(self.held[tile.get()].is_none(), "tile {} arrived twice", tile.0);
        let tiling = Arc::clone(&self.tiling);
        let cells = tiling.cells();
        self.held[tile.get()] = Some(values);
        self.open[tile.get()] = cells.cells(tile).count();
        let mut blend = Blend::new(&tiling, self.channels);
        let mut finished = Vec::new();
        for cell in cells.cells(tile) {
            self.missing[cell.get()] -= 1;
            if 0 < self.missing[cell.get()] {
                continue;
            }
            self.blend(&mut blend, cell, &mut each)?;
            self.close(cell);
            finished.push(cell);
        }
        Ok(finished)
    }

    fn blend(
        &self,
        blend: &mut Blend<'_>,
        cell: CellIndex,
        each: &mut impl FnMut(CellIndex, Row, &[f32]),
    ) -> Result<(), Error> {
        let tiles = self.tiling.cells().tiles(cell);
        let values: Vec<&[f32]> = tiles.filter_map(|tile| self.held[tile.get()].as_deref()).collect();
        blend.rows(cell, &values, |row, values| each(cell, row, values))
    }

    fn close(&mut self, cell: CellIndex) {
        let cells = self.tiling.cells();
        self.missing[cell.get()] = cells.tile_count(cell);
        for tile in cells.tiles(cell) {
            self.open[tile.get()] -= 1;
            if self.open[tile.get()] == 0 {
                self.held[tile.get()] = None;
            }
        }
    }
}
