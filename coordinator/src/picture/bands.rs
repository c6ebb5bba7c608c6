//! Tiles on their way into a picture file: finished tiles in any order in; whole rows, from the top, out.
//!
//! A row is handed out as soon as it and all rows above are whole, and is gone then; nothing is spilled. Tiles that are
//! computed row by row of tiles therefore hold little more than one such row of tiles: 16,384 px by 512 px are 96 MiB.

use std::collections::VecDeque;

use tessera_proto::Rect;

use super::rgb::{self, CHANNELS};

/// Rows under way.
#[derive(Debug)]
pub struct Bands {
    width: u32,
    height: u32,
    /// Rows that were handed out.
    taken: u32,
    /// The rows from there on, as far down as a tile has reached; `None` = no tile has touched it.
    rows: VecDeque<Option<Row>>,
    /// Tiles that reach into rows which are still here.
    tiles: Vec<Rect>,
    held: usize,
    peak: usize,
}

/// Rows that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    y0: u32,
    width: usize,
    /// Each `[3, width]`.
    rows: Vec<Box<[f32]>>,
}

/// A row under way.
#[derive(Debug)]
struct Row {
    /// `[3, width]`.
    values: Box<[f32]>,
    /// Columns that no tile has filled.
    missing: u32,
}

/// Why a tile is refused; all are mistakes of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The tile does not lie on the picture.
    #[error("tile {tile:?} does not lie on a picture of {width}x{height} px")]
    Outside {
        /// The tile.
        tile: Rect,
        /// Columns of the picture.
        width: u32,
        /// Rows of the picture.
        height: u32,
    },
    /// There are not three values for each pixel.
    #[error("tile {tile:?} has {expected} values, got {actual}")]
    Length {
        /// The tile.
        tile: Rect,
        /// Three times its pixels.
        expected: usize,
        /// Values received.
        actual: usize,
    },
    /// Some of its pixels were there before.
    #[error("tile {tile:?} has pixels that another one brought before")]
    Twice {
        /// The tile.
        tile: Rect,
    },
}

// === impl Bands ===

impl Bands {
    /// An empty picture of this size, px.
    ///
    /// # Errors
    /// A side is 0, or the picture is too large to address.
    pub fn new(width: u32, height: u32) -> Result<Self, rgb::Error> {
        rgb::byte_len(width, height)?;
        let (rows, tiles) = (VecDeque::new(), Vec::new());
        Ok(Self { width, height, taken: 0, rows, tiles, held: 0, peak: 0 })
    }

    /// Takes a tile's values, `[3, tile height, tile width]`. Tiles are disjoint; they need not form a grid.
    ///
    /// # Errors
    /// The tile does not lie on the picture, overlaps one that came before, or has not three values for each pixel;
    /// nothing of it is taken then.
    pub fn put(&mut self, tile: Rect, values: &[f32]) -> Result<(), Error> {
        let Self { width, height, .. } = *self;
        if width < tile.x1() || height < tile.y1() {
            return Err(Error::Outside { tile, width, height });
        }
        let (columns, lines) = (tile.width() as usize, tile.height() as usize);
        let expected = CHANNELS * columns * lines;
        if values.len() != expected {
            return Err(Error::Length { tile, expected, actual: values.len() });
        }
        let is_here = |other: &Rect| other.intersection(tile).is_some();
        if tile.y0() < self.taken || self.tiles.iter().any(is_here) {
            return Err(Error::Twice { tile });
        }
        self.tiles.push(tile);
        let end = (tile.y1() - self.taken) as usize;
        if self.rows.len() < end {
            self.rows.resize_with(end, || None);
        }
        for line in 0..lines {
            let row = self.row((tile.y0() - self.taken) as usize + line);
            row.missing -= tile.width();
            let planes = row.values.chunks_exact_mut(width as usize);
            for (plane, values) in planes.zip(values.chunks_exact(columns * lines)) {
                let values = &values[line * columns..][..columns];
                plane[tile.x0() as usize..][..columns].copy_from_slice(values);
            }
        }
        self.peak = self.peak.max(self.held);
        Ok(())
    }

    /// The rows that are whole now, if any: those below the last that were taken.
    pub fn take(&mut self) -> Option<Band> {
        let is_whole = |row: &Option<Row>| row.as_ref().is_some_and(|row| row.missing == 0);
        let count = self.rows.iter().take_while(|row| is_whole(row)).count();
        if count == 0 {
            return None;
        }
        let rows: Vec<_> = self.rows.drain(..count).flatten().map(|row| row.values).collect();
        self.held -= count * self.row_bytes();
        let y0 = self.taken;
        self.taken += u32::try_from(count).expect("a picture's rows are counted in 32 bits");
        let taken = self.taken;
        self.tiles.retain(|tile| taken < tile.y1());
        Some(Band { y0, width: self.width as usize, rows })
    }

    /// Whether all rows have been taken.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.taken == self.height
    }

    /// Bytes of values that are held.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Most bytes of values that were ever held, without those of bands that were taken.
    #[must_use]
    pub const fn peak_bytes(&self) -> usize {
        self.peak
    }

    /// A row under way, made where no tile has touched it.
    fn row(&mut self, index: usize) -> &mut Row {
        let (bytes, width) = (self.row_bytes(), self.width);
        let slot = &mut self.rows[index];
        if slot.is_none() {
            self.held += bytes;
        }
        slot.get_or_insert_with(|| Row {
            values: vec![0.0; CHANNELS * width as usize].into_boxed_slice(),
            missing: width,
        })
    }

    const fn row_bytes(&self) -> usize {
        CHANNELS * self.width as usize * size_of::<f32>()
    }
}

// === impl Band ===

impl Band {
    /// Canvas row of the first.
    #[must_use]
    pub const fn y0(&self) -> u32 {
        self.y0
    }

    /// How many rows; at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: a band has rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows from the top, red, green and blue values each: what [`super::Writer::row`] takes.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = [&[f32]; CHANNELS]> {
        let width = self.width;
        self.rows.iter().map(move |row| std::array::from_fn(|channel| &row[channel * width..][..width]))
    }
}

#[cfg(test)]
mod tests;
