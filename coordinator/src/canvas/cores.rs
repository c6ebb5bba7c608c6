//! Tiles with disjoint cores: a canvas, a tile and a halo in; for each tile the px that it answers for, and the px that
//! its network must see, out.
//!
//! The cores partition the canvas, so results are only put side by side. Where a network looks no farther than the halo,
//! that is its result for the whole canvas: at the canvas' own rim a tile ends where the canvas does.

use tessera_proto::Rect;

use super::grid::{Error, MAX_TILES, TileIndex};

/// What the tiles shall be; all lengths in px of the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoresRequest {
    /// Width and height of the canvas, multiples of `multiple`.
    pub canvas: (u32, u32),
    /// Longest side of a core; 0 = the whole canvas.
    pub tile: u32,
    /// How far around its core a tile is seen; rounded up to a multiple of `multiple`.
    pub halo: u32,
    /// Edges lie on multiples of this.
    pub multiple: u32,
}

/// A canvas in tiles of disjoint cores, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    columns: Vec<Span>,
    rows: Vec<Span>,
}

/// One tile along one axis: half-open ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    core: (u32, u32),
    seen: (u32, u32),
}

// === impl Cores ===

impl Cores {
    /// The fewest tiles whose cores are no longer than asked for, as equal as `multiple` allows: equal tiles take
    /// equally long.
    ///
    /// # Errors
    /// A length is 0, or there would be more than [`MAX_TILES`] tiles.
    pub fn new(request: CoresRequest) -> Result<Self, Error> {
        let (width, height) = request.canvas;
        for (what, value) in [("canvas", width), ("canvas", height), ("multiple", request.multiple)] {
            if value == 0 {
                return Err(Error::Zero { what });
            }
        }
        let cores = Self { columns: spans(width, request), rows: spans(height, request) };
        let (columns, rows) = (cores.columns.len(), cores.rows.len());
        if MAX_TILES < columns * rows { Err(Error::TooMany { columns, rows }) } else { Ok(cores) }
    }

    /// How many tiles there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns.len() * self.rows.len()
    }

    /// The px that a tile answers for. Panics on the index of another, larger canvas.
    #[must_use]
    pub fn core(&self, tile: TileIndex) -> Rect {
        self.rect(tile, |span| span.core)
    }

    /// The px that its network must see: the core and the halo around it, as far as there is a canvas.
    #[must_use]
    pub fn seen(&self, tile: TileIndex) -> Rect {
        self.rect(tile, |span| span.seen)
    }

    /// Width and height of the largest tile that a network sees.
    #[must_use]
    pub fn largest_seen(&self) -> (u32, u32) {
        let longest = |spans: &[Span]| spans.iter().map(|span| span.seen.1 - span.seen.0).max().unwrap_or(0);
        (longest(&self.columns), longest(&self.rows))
    }

    /// Width and height of the largest core.
    #[must_use]
    pub fn largest_core(&self) -> (u32, u32) {
        let longest = |spans: &[Span]| spans.iter().map(|span| span.core.1 - span.core.0).max().unwrap_or(0);
        (longest(&self.columns), longest(&self.rows))
    }

    /// The network's px per px of the canvas: what halos cost, 1 for a single tile.
    #[must_use]
    pub fn redundancy(&self) -> f64 {
        let share = |spans: &[Span]| {
            let seen: u32 = spans.iter().map(|span| span.seen.1 - span.seen.0).sum();
            f64::from(seen) / f64::from(spans.last().map_or(1, |span| span.core.1))
        };
        share(&self.columns) * share(&self.rows)
    }

    fn rect(&self, tile: TileIndex, part: impl Fn(&Span) -> (u32, u32)) -> Rect {
        let columns = self.columns.len();
        let (x, y) = (part(&self.columns[tile.get() % columns]), part(&self.rows[tile.get() / columns]));
        Rect::new(x.0, y.0, x.1, y.1).expect("cores are at least 1 px long")
    }
}

/// The tiles along an axis of `length` px.
fn spans(length: u32, request: CoresRequest) -> Vec<Span> {
    let CoresRequest { tile, halo, multiple, .. } = request;
    let longest = if tile == 0 { length } else { (tile / multiple).max(1) * multiple };
    let count = u64::from(length.div_ceil(longest));
    // Edges in units of `multiple`, of which the last one may be incomplete on canvases that are no multiple.
    let units = u64::from(length.div_ceil(multiple));
    let edge = |index: u64| {
        let unit = (index * units).div_ceil(count) * u64::from(multiple);
        u32::try_from(unit).map_or(length, |px| px.min(length))
    };
    let halo = halo.div_ceil(multiple).saturating_mul(multiple);
    let span = |index: u64| {
        let core = (edge(index), edge(index + 1));
        Span { core, seen: (core.0.saturating_sub(halo), core.1.saturating_add(halo).min(length)) }
    };
    (0..count).map(span).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cores(canvas: (u32, u32), tile: u32, halo: u32, multiple: u32) -> Cores {
        Cores::new(CoresRequest { canvas, tile, halo, multiple }).unwrap()
    }

    fn indices(cores: &Cores) -> impl Iterator<Item = TileIndex> + use<> {
        (0..u32::try_from(cores.count()).unwrap()).map(TileIndex)
    }

    #[test]
    fn a_core_is_seen_with_its_halo_up_to_the_rim() {
        let cores = cores((512, 200), 192, 94, 1);
        assert_eq!(cores.count(), 6);
        assert_eq!(cores.core(TileIndex(1)), Rect::new(171, 0, 342, 100).unwrap());
        assert_eq!(cores.seen(TileIndex(1)), Rect::new(77, 0, 436, 194).unwrap());
        assert_eq!(cores.seen(TileIndex(0)), Rect::new(0, 0, 265, 194).unwrap());
        assert_eq!((cores.largest_seen(), cores.largest_core()), ((359, 194), (171, 100)));
    }

    #[test]
    fn no_tile_means_one_and_nothing_is_refused() {
        let one = cores((512, 200), 0, 349, 1);
        assert_eq!((one.count(), one.seen(TileIndex(0))), (1, Rect::new(0, 0, 512, 200).unwrap()));
        assert!((one.redundancy() - 1.0).abs() < 1e-12);
        let request = CoresRequest { canvas: (0, 8), tile: 8, halo: 0, multiple: 1 };
        assert_eq!(Cores::new(request), Err(Error::Zero { what: "canvas" }));
        let many = CoresRequest { canvas: (16_384, 16_384), tile: 32, halo: 0, multiple: 1 };
        assert_eq!(Cores::new(many), Err(Error::TooMany { columns: 512, rows: 512 }));
    }

    proptest! {
        #[test]
        fn cores_partition_the_canvas(
            (width, height) in (1_u32..300, 1_u32..300),
            tile in 8_u32..128, // smaller ones are too many on the largest of these canvases
            halo in 0_u32..64,
            multiple in 1_u32..5,
        ) {
            let canvas = (width * multiple, height * multiple);
            let cores = cores(canvas, tile, halo, multiple);
            let mut area = 0;
            for index in indices(&cores) {
                let (core, seen) = (cores.core(index), cores.seen(index));
                area += u64::from(core.width()) * u64::from(core.height());
                let longest = tile.max(multiple);
                prop_assert!(core.width() <= longest && core.height() <= longest);
                prop_assert!(seen.x0() == 0 || halo <= core.x0() - seen.x0());
                prop_assert!(seen.y1() == canvas.1 || halo <= seen.y1() - core.y1());
                for edge in [core.x0(), core.x1(), seen.x0(), seen.x1(), seen.y0(), seen.y1()] {
                    prop_assert!(edge.is_multiple_of(multiple));
                }
            }
            prop_assert_eq!(area, u64::from(canvas.0) * u64::from(canvas.1));
        }
    }
}
