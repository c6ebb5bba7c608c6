//! How large a tensor's pixels are beside those of the network's input: an exact fraction.

use std::fmt;

use super::reach::gcd;

/// Pixels of a tensor for each pixel of the network's input, along either axis: 8 for a decoder's picture, 1/8 for an
/// encoder's result. Always in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scale {
    up: u32,
    down: u32,
}

// === impl Scale ===

impl Scale {
    /// The input's own.
    pub const ONE: Self = Self { up: 1, down: 1 };

    /// The fraction's numerator.
    #[must_use]
    pub fn up(self) -> u32 {
        self.up
    }

    /// The fraction's denominator.
    #[must_use]
    pub fn down(self) -> u32 {
        self.down
    }

    /// This scale on a tensor of another one: `floor(at * self / other)`, exact at multiples.
    pub(super) fn mapped(self, at: i64, other: Self) -> i64 {
        let (up, down) = (i64::from(self.up), i64::from(self.down));
        (at * up * i64::from(other.down)).div_euclid(down * i64::from(other.up))
    }

    /// How many pixels of this scale make one of a coarser one, along an axis; `None` when that is no whole number.
    pub(super) fn per(self, coarser: Self) -> Option<i64> {
        let pixels = i64::from(self.up) * i64::from(coarser.down);
        let whole = i64::from(self.down) * i64::from(coarser.up);
        (pixels % whole == 0).then(|| pixels / whole)
    }

    /// The coarser of two.
    pub(super) fn coarser(self, other: Self) -> Self {
        let (ours, theirs) =
            (u64::from(self.up) * u64::from(other.down), u64::from(other.up) * u64::from(self.down));
        if theirs < ours { other } else { self }
    }

    /// A scale `factor` times as fine; `None` beyond 2^16.
    pub(super) fn multiplied(self, factor: i64) -> Option<Self> {
        Self::reduced(i64::from(self.up).checked_mul(factor)?, i64::from(self.down))
    }

    /// A scale `factor` times as coarse; `None` beyond 2^-16.
    pub(super) fn divided(self, factor: i64) -> Option<Self> {
        Self::reduced(i64::from(self.up), i64::from(self.down).checked_mul(factor)?)
    }

    fn reduced(up: i64, down: i64) -> Option<Self> {
        let shared = gcd(up, down).max(1);
        let small =
            |number: i64| u16::try_from(number / shared).ok().filter(|&number| 0 < number).map(u32::from);
        Some(Self { up: small(up)?, down: small(down)? })
    }
}

impl fmt::Display for Scale {
    /// `8`, `1/8`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.down {
            1 => write!(f, "{}", self.up),
            down => write!(f, "{}/{down}", self.up),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_exact() {
        let eighth = Scale::ONE.divided(8).unwrap();
        assert_eq!(
            (eighth.to_string(), eighth.multiplied(16).unwrap().to_string()),
            ("1/8".into(), "2".into())
        );
        assert_eq!(eighth.multiplied(8), Some(Scale::ONE));
        assert_eq!((eighth.mapped(23, Scale::ONE), Scale::ONE.mapped(3, eighth)), (2, 24));
        assert_eq!((Scale::ONE.per(eighth), eighth.per(Scale::ONE)), (Some(8), None));
        assert_eq!(Scale::ONE.coarser(eighth), eighth);
        assert_eq!(Scale::ONE.divided(1 << 20), None);
    }
}
