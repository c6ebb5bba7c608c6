//! Statistics that are estimated from a smaller picture: sizes and a cut in, what is taken from it out.

use tessera_proto::job::Size;

/// How statistics are estimated before tiles are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The smaller picture, px of the network's input.
    pub size: Size,
    /// The first barriers, whose statistics are taken from it; the others' are merged over all tiles.
    pub barriers: usize,
}

// === impl Estimate ===

impl Estimate {
    /// From a picture whose longer side is a tile's, as Tiled VAE has it; sides are multiples of `multiple`.
    pub(super) fn new(canvas: Size, (tile, multiple): (u32, u32), barriers: usize) -> Self {
        let longest = u64::from(canvas.width.max(canvas.height));
        let side = |length: u32| {
            let px = u64::from(length) * u64::from(tile) / longest / u64::from(multiple);
            u32::try_from(px).unwrap_or(1).max(1) * multiple
        };
        Self { size: Size { width: side(canvas.width), height: side(canvas.height) }, barriers }
    }
}
