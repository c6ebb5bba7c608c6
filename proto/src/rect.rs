//! Half-open rectangles on a canvas: four corners in, areas, intersections and shifts out.

use std::fmt;

/// A half-open rectangle: it holds the cells with `x0 <= x < x1` and `y0 <= y < y1`.
///
/// The unit (latent px or image px) is that of the canvas it lies on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rect {
    x0: u32,
    y0: u32,
    x1: u32,
    y1: u32,
}

/// Why four numbers are no rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The right edge lies left of the left edge, or on it.
    #[error("rectangle has no width: x0 {x0}, x1 {x1}")]
    NoWidth {
        /// Left edge, inclusive.
        x0: u32,
        /// Right edge, exclusive.
        x1: u32,
    },
    /// The bottom edge lies above the top edge, or on it.
    #[error("rectangle has no height: y0 {y0}, y1 {y1}")]
    NoHeight {
        /// Top edge, inclusive.
        y0: u32,
        /// Bottom edge, exclusive.
        y1: u32,
    },
}

// === impl Rect ===

impl Rect {
    /// The rectangle between two corners, `x1` and `y1` exclusive.
    ///
    /// # Errors
    /// An empty rectangle is refused: no tile, cell or picture is one.
    pub const fn new(x0: u32, y0: u32, x1: u32, y1: u32) -> Result<Self, Error> {
        if x1 <= x0 {
            return Err(Error::NoWidth { x0, x1 });
        }
        if y1 <= y0 {
            return Err(Error::NoHeight { y0, y1 });
        }
        Ok(Self { x0, y0, x1, y1 })
    }

    /// Left edge, inclusive.
    #[must_use]
    pub const fn x0(self) -> u32 {
        self.x0
    }

    /// Top edge, inclusive.
    #[must_use]
    pub const fn y0(self) -> u32 {
        self.y0
    }

    /// Right edge, exclusive.
    #[must_use]
    pub const fn x1(self) -> u32 {
        self.x1
    }

    /// Bottom edge, exclusive.
    #[must_use]
    pub const fn y1(self) -> u32 {
        self.y1
    }

    /// Columns, at least 1.
    #[must_use]
    pub const fn width(self) -> u32 {
        self.x1 - self.x0
    }

    /// Rows, at least 1.
    #[must_use]
    pub const fn height(self) -> u32 {
        self.y1 - self.y0
    }

    /// Cells inside.
    #[must_use]
    pub const fn area(self) -> u64 {
        self.width() as u64 * self.height() as u64
    }

    /// Whether every cell of `inner` is one of ours.
    #[must_use]
    pub const fn contains(self, inner: Self) -> bool {
        self.x0 <= inner.x0 && self.y0 <= inner.y0 && inner.x1 <= self.x1 && inner.y1 <= self.y1
    }

    /// The cells that both hold, if any.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (x0, y0) = (self.x0.max(other.x0), self.y0.max(other.y0));
        let (x1, y1) = (self.x1.min(other.x1), self.y1.min(other.y1));
        Self::new(x0, y0, x1, y1).ok()
    }

    /// The same rectangle on a canvas `factor` times as fine (latent px to image px: 8).
    ///
    /// Returns `None` where an edge would not fit in `u32`, or `factor` is 0.
    #[must_use]
    pub fn scaled(self, factor: u32) -> Option<Self> {
        let [x0, y0, x1, y1] = [self.x0, self.y0, self.x1, self.y1].map(|edge| edge.checked_mul(factor));
        Self::new(x0?, y0?, x1?, y1?).ok()
    }
}

impl fmt::Debug for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}..{}) x [{}..{})", self.x0, self.x1, self.y0, self.y1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_rectangle_is_refused() {
        assert_eq!(Rect::new(3, 0, 3, 4), Err(Error::NoWidth { x0: 3, x1: 3 }));
        assert_eq!(Rect::new(0, 5, 1, 4), Err(Error::NoHeight { y0: 5, y1: 4 }));
    }

    #[test]
    fn touching_rectangles_share_no_cell() {
        let left = Rect::new(0, 0, 4, 4).unwrap();
        let right = Rect::new(4, 0, 8, 4).unwrap();
        assert_eq!(left.intersection(right), None);
        assert_eq!(left.intersection(Rect::new(3, 1, 9, 9).unwrap()), Rect::new(3, 1, 4, 4).ok());
    }

    #[test]
    fn scaling_past_u32_is_refused() {
        let wide = Rect::new(0, 0, u32::MAX / 4, 1).unwrap();
        assert_eq!(wide.scaled(8), None);
        assert_eq!(Rect::new(1, 2, 3, 4).unwrap().scaled(8), Rect::new(8, 16, 24, 32).ok());
    }
}
