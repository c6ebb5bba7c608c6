//! Blending: the tiles over one cell in; the cell's rows, weighted and summed, out.
//!
//! Sums run in f32 and in tile order, whatever order results arrived in, so that a cell's values depend on nothing
//! but its tiles. A cell under a single tile is that tile's values, bit for bit.

use super::cells::CellIndex;
use super::grid::TileIndex;
use super::tiling::Tiling;

/// Blends the cells of one tiling; keeps the buffer of a row between calls.
#[derive(Debug)]
pub struct Blend<'a> {
    tiling: &'a Tiling,
    channels: usize,
    sum: Vec<f32>,
}

/// Where a blended row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The plane.
    pub channel: usize,
    /// Canvas row.
    pub y: u32,
    /// Canvas column of the first value.
    pub x0: u32,
}

/// Why a cell cannot be blended; all are mistakes of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not as many tiles as cover the cell.
    #[error("cell {} is covered by {expected} tiles, got {actual}", .cell.0)]
    TileCount {
        /// The cell.
        cell: CellIndex,
        /// Tiles that cover it.
        expected: usize,
        /// Tiles received.
        actual: usize,
    },
    /// A tile's tensor has another length than `[channels, padded height, padded width]`.
    #[error("tile {} has {actual} values, expected {expected}", .tile.0)]
    TileLength {
        /// The tile.
        tile: TileIndex,
        /// Values expected.
        expected: usize,
        /// Values received.
        actual: usize,
    },
    /// The output buffer has another length than `[channels, cell height, cell width]`.
    #[error("cell {} needs a buffer of {expected} values, got {actual}", .cell.0)]
    OutputLength {
        /// The cell.
        cell: CellIndex,
        /// Values needed.
        expected: usize,
        /// Values received.
        actual: usize,
    },
}

/// One tile over the cell: its values from the cell's corner on, and its weights there.
struct Part<'a> {
    data: &'a [f32],
    columns: &'a [f32],
    rows: &'a [f32],
}

// === impl Blend ===

impl<'a> Blend<'a> {
    /// A blender for tensors of `channels` planes.
    #[must_use]
    pub const fn new(tiling: &'a Tiling, channels: usize) -> Self {
        Self { tiling, channels, sum: Vec::new() }
    }

    /// Blends a cell and hands each row to `each`, plane by plane from the top: one value per column of the cell.
    ///
    /// `tiles` holds, for each of [`super::Cells::tiles`] in that order, its `[channels, padded height, padded width]`
    /// values.
    ///
    /// # Errors
    /// The number of tiles or the length of one is wrong; `each` has not been called then.
    pub fn rows(
        &mut self,
        cell: CellIndex,
        tiles: &[&[f32]],
        mut each: impl FnMut(Row, &[f32]),
    ) -> Result<(), Error> {
        let parts = self.parts(cell, tiles)?;
        let rect = self.tiling.cells().rect(cell);
        let width = rect.width() as usize;
        let (stride, tile_rows) = self.tiling.grid().padded();
        let (stride, plane) = (stride as usize, stride as usize * tile_rows as usize);
        self.sum.resize(width, 0.0);
        for channel in 0..self.channels {
            for (y, canvas_y) in (rect.y0()..rect.y1()).enumerate() {
                let row = Row { channel, y: canvas_y, x0: rect.x0() };
                let start = channel * plane + y * stride;
                if let [only] = parts.as_slice() {
                    each(row, &only.data[start..][..width]);
                } else {
                    self.sum.fill(0.0);
                    for part in &parts {
                        add(&mut self.sum, part.rows[y], part.columns, &part.data[start..][..width]);
                    }
                    each(row, &self.sum);
                }
            }
        }
        Ok(())
    }

    /// Blends a cell into `out`, row-major `[channels, cell height, cell width]`.
    ///
    /// # Errors
    /// As [`Blend::rows`], or `out` has another length.
    pub fn cell(&mut self, cell: CellIndex, tiles: &[&[f32]], out: &mut [f32]) -> Result<(), Error> {
        let rect = self.tiling.cells().rect(cell);
        let (width, height) = (rect.width() as usize, rect.height() as usize);
        let expected = self.channels * height * width;
        if out.len() != expected {
            return Err(Error::OutputLength { cell, expected, actual: out.len() });
        }
        let mut rows = out.chunks_exact_mut(width);
        self.rows(cell, tiles, |_, values| {
            rows.next().expect("the buffer has a row for each blended one").copy_from_slice(values);
        })
    }

    /// The tiles over a cell, each from the cell's corner on.
    fn parts<'t>(&self, cell: CellIndex, tiles: &[&'t [f32]]) -> Result<Vec<Part<'t>>, Error>
    where
        'a: 't,
    {
        let (grid, cells, weights) = (self.tiling.grid(), self.tiling.cells(), self.tiling.weights());
        let expected = cells.tile_count(cell);
        if tiles.len() != expected {
            return Err(Error::TileCount { cell, expected, actual: tiles.len() });
        }
        let expected = self.tiling.tile_len(self.channels);
        let (rect, stride) = (cells.rect(cell), grid.padded().0 as usize);
        let part = |(tile, data): (TileIndex, &&'t [f32])| {
            if data.len() != expected {
                return Err(Error::TileLength { tile, expected, actual: data.len() });
            }
            let place = grid.tile(tile);
            let (x, y) = ((rect.x0() - place.x0()) as usize, (rect.y0() - place.y0()) as usize);
            let columns = &weights.columns(tile)[x..][..rect.width() as usize];
            Ok(Part { data: &data[y * stride + x..], columns, rows: &weights.rows(tile)[y..] })
        };
        cells.tiles(cell).zip(tiles).map(part).collect()
    }
}

/// `sum[i] += row_weight * columns[i] * values[i]`; three slices of one length, so that it compiles to SIMD code.
fn add(sum: &mut [f32], row_weight: f32, columns: &[f32], values: &[f32]) {
    for ((sum, column), value) in sum.iter_mut().zip(columns).zip(values) {
        *sum += row_weight * column * value;
    }
}

#[cfg(test)]
mod tests;
