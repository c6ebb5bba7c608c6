//! Tile grids: the length of a canvas, a tile and an overlap in, the place of every tile out.

use tessera_proto::Rect;
use tessera_proto::job::TileGrid;

/// Most tiles that a grid may have; 8192×8192 px with Tiled Diffusion's 96/48 has 441.
pub const MAX_TILES: usize = 65_536;

/// What one axis of a grid shall be; all lengths in px of the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisRequest {
    /// Length of the canvas.
    pub length: u32,
    /// Length of a tile; one longer than the canvas means one tile.
    pub tile: u32,
    /// Least overlap of neighbouring tiles, below `tile`.
    pub overlap: u32,
    /// The network takes only lengths that are multiples of this; 1 where it takes any.
    pub multiple: u32,
}

/// The tiles along one axis: all of one length, in ascending order, covering it from 0 to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    length: u32,
    tile: u32,
    padded: u32,
    starts: Vec<u32>,
}

/// The number of a tile in its grid, row-major: the order in which tiles are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileIndex(pub u32);

/// Equal tiles that cover a canvas: the product of two axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    x: Axis,
    y: Axis,
    tiles: Vec<Rect>,
}

/// Why there is no such grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A length is 0.
    #[error("the {what} is 0 px, it must be at least 1 px")]
    Zero {
        /// Which one: canvas, tile, multiple or scale.
        what: &'static str,
    },
    /// The overlap leaves no step from one tile to the next.
    #[error("an overlap of {overlap} px is too large for tiles of {tile} px: the limit is {} px", .tile - 1)]
    Overlap {
        /// Overlap received.
        overlap: u32,
        /// Tile received.
        tile: u32,
    },
    /// As [`Error::Overlap`], after the tile was rounded to what the network takes.
    #[error(
        "an overlap of {overlap} px is too large for tiles of {tile} px ({asked} px, rounded to a multiple of \
         {multiple}, which the model needs): the limit is {} px", .tile - 1
    )]
    OverlapOfRounded {
        /// Overlap received.
        overlap: u32,
        /// Tile after rounding.
        tile: u32,
        /// Tile received.
        asked: u32,
        /// What tiles must be a multiple of.
        multiple: u32,
    },
    /// More than [`MAX_TILES`] tiles.
    #[error(
        "the grid has {columns}x{rows} tiles, the limit is {MAX_TILES}: take larger tiles or less overlap"
    )]
    TooMany {
        /// Tiles in a row; on a single axis, its tiles.
        columns: usize,
        /// Tiles in a column.
        rows: usize,
    },
    /// A length does not fit 32 bits.
    #[error("a canvas of {length} px times {factor} is too large to address")]
    TooLarge {
        /// The length received.
        length: u32,
        /// What it was to be multiplied by, or rounded up to a multiple of.
        factor: u32,
    },
}

// === impl Axis ===

impl Axis {
    /// Places the tiles of an axis.
    ///
    /// With canvas `W`, tile `T` and overlap `O`, [`TileGrid::Spread`] has `n = ceil((W - O) / (T - O))` tiles, tile
    /// `i` at `floor(i * (W - T) / (n - 1))`: the real overlap is at least `O`. We compute in integers; Tiled
    /// Diffusion multiplies by a rounded quotient, which can end one px short of the edge.
    ///
    /// [`TileGrid::Stride`] puts tile `i` at `i * (T - O)`, as MultiDiffusion's panorama does, and one more flush with
    /// the end where those leave a strip uncovered.
    ///
    /// A cut axis gets tiles of a multiple of `multiple`, rounded down, at least `multiple`. An axis of one tile keeps
    /// its length, and [`Axis::padded`] says what the network must be given.
    ///
    /// # Errors
    /// A length is 0, the overlap is not below the tile, or there would be more than [`MAX_TILES`] tiles.
    pub fn new(kind: TileGrid, request: AxisRequest) -> Result<Self, Error> {
        let AxisRequest { length, tile: asked, overlap, multiple } = request;
        for (what, value) in [("canvas", length), ("tile", asked), ("multiple", multiple)] {
            if value == 0 {
                return Err(Error::Zero { what });
            }
        }
        if asked <= overlap {
            return Err(Error::Overlap { overlap, tile: asked });
        }
        let tile = if length <= asked { length } else { (asked / multiple * multiple).max(multiple) };
        if length <= tile {
            let padded = length.div_ceil(multiple).checked_mul(multiple);
            let padded = padded.ok_or(Error::TooLarge { length, factor: multiple })?;
            return Ok(Self { length, tile: length, padded, starts: vec![0] });
        }
        if tile <= overlap {
            return Err(Error::OverlapOfRounded { overlap, tile, asked, multiple });
        }
        let starts = match kind {
            TileGrid::Spread => spread(length, tile, overlap)?,
            TileGrid::Stride => strides(length, tile, tile - overlap)?,
        };
        Ok(Self { length, tile, padded: tile, starts })
    }

    /// Length of the canvas along this axis.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// Length of every tile on the canvas.
    #[must_use]
    pub const fn tile(&self) -> u32 {
        self.tile
    }

    /// Length of a tile as the network is given it, at least [`Axis::tile`]; the surplus lies at the end.
    #[must_use]
    pub const fn padded(&self) -> u32 {
        self.padded
    }

    /// Where each tile begins, strictly ascending, the first at 0.
    #[must_use]
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The same tiles on an axis `factor` times as fine.
    fn scaled(&self, factor: u32) -> Option<Self> {
        let scale = |value: u32| value.checked_mul(factor);
        Some(Self {
            length: scale(self.length)?,
            tile: scale(self.tile)?,
            padded: scale(self.padded)?,
            starts: self.starts.iter().copied().map(scale).collect::<Option<_>>()?,
        })
    }
}

// === impl TileIndex ===

impl TileIndex {
    /// As an index into a list with one entry per tile.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

// === impl Grid ===

impl Grid {
    /// The grid of all pairs of a row and a column of tiles.
    ///
    /// # Errors
    /// There would be more than [`MAX_TILES`] tiles.
    pub fn new(x: Axis, y: Axis) -> Result<Self, Error> {
        let (columns, rows) = (x.starts.len(), y.starts.len());
        if MAX_TILES < columns * rows {
            return Err(Error::TooMany { columns, rows });
        }
        let row = |&y0: &u32| x.starts.iter().map(move |&x0| (x0, y0));
        let tiles = y.starts.iter().flat_map(row).map(|(x0, y0)| {
            Rect::new(x0, y0, x0 + x.tile, y0 + y.tile)
                .expect("tiles are at least 1 px long and end on the canvas")
        });
        Ok(Self { tiles: tiles.collect(), x, y })
    }

    /// The axis of columns.
    #[must_use]
    pub const fn x(&self) -> &Axis {
        &self.x
    }

    /// The axis of rows.
    #[must_use]
    pub const fn y(&self) -> &Axis {
        &self.y
    }

    /// Every tile, row-major, indexed by [`TileIndex::get`].
    #[must_use]
    pub fn tiles(&self) -> &[Rect] {
        &self.tiles
    }

    /// Where a tile lies. Panics on the index of another, larger grid.
    #[must_use]
    pub fn tile(&self, index: TileIndex) -> Rect {
        self.tiles[index.get()]
    }

    /// Every tile's index, in order.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = TileIndex> + ExactSizeIterator + use<> {
        let count = u32::try_from(self.tiles.len()).expect("a grid has at most MAX_TILES tiles");
        (0..count).map(TileIndex)
    }

    /// The row and column of a tile in the grid.
    #[must_use]
    pub const fn row_and_column(&self, index: TileIndex) -> (usize, usize) {
        let columns = self.x.starts.len();
        (index.get() / columns, index.get() % columns)
    }

    /// Width and height of the canvas.
    #[must_use]
    pub const fn canvas(&self) -> (u32, u32) {
        (self.x.length, self.y.length)
    }

    /// Width and height of a tile as the network is given it.
    #[must_use]
    pub const fn padded(&self) -> (u32, u32) {
        (self.x.padded, self.y.padded)
    }

    /// Whether tiles are larger for the network than on the canvas.
    #[must_use]
    pub const fn is_padded(&self) -> bool {
        self.x.tile < self.x.padded || self.y.tile < self.y.padded
    }

    /// The network's pixels per canvas pixel: what tiling and padding cost, 1 for a single unpadded tile.
    #[must_use]
    pub fn redundancy(&self) -> f64 {
        let area = |width: u32, height: u32| f64::from(width) * f64::from(height);
        let tiles = f64::from(u32::try_from(self.tiles.len()).expect("a grid has at most MAX_TILES tiles"));
        tiles * area(self.x.padded, self.y.padded) / area(self.x.length, self.y.length)
    }

    /// The same tiles on a canvas `factor` times as fine (latent px to image px: 8).
    ///
    /// # Errors
    /// `factor` is 0, or the canvas would not fit 32 bits.
    pub fn scaled(&self, factor: u32) -> Result<Self, Error> {
        if factor == 0 {
            return Err(Error::Zero { what: "scale" });
        }
        let scaled = |axis: &Axis| axis.scaled(factor).ok_or(Error::TooLarge { length: axis.length, factor });
        Self::new(scaled(&self.x)?, scaled(&self.y)?)
    }
}

/// Starts of the fewest tiles that overlap by at least `overlap`, spread from edge to edge; `tile < length`.
fn spread(length: u32, tile: u32, overlap: u32) -> Result<Vec<u32>, Error> {
    let count = (length - overlap).div_ceil(tile - overlap);
    check_count(count)?;
    let room = u64::from(length - tile);
    let gaps = u64::from(count - 1);
    let start = |i: u32| u32::try_from(u64::from(i) * room / gaps).expect("a start lies on the canvas");
    Ok((0..count).map(start).collect())
}

/// Starts `stride` apart, and one more flush with the end where those leave a rest; `tile < length`.
fn strides(length: u32, tile: u32, stride: u32) -> Result<Vec<u32>, Error> {
    let room = length - tile;
    let count = room / stride + 1;
    check_count(count)?;
    let flush = (!room.is_multiple_of(stride)).then_some(room);
    Ok((0..count).map(|i| i * stride).chain(flush).collect())
}

/// Refuses an axis that alone has too many tiles, before its list is made.
fn check_count(count: u32) -> Result<(), Error> {
    let columns = usize::try_from(count).unwrap_or(usize::MAX);
    if MAX_TILES < columns {
        return Err(Error::TooMany { columns, rows: 1 });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
