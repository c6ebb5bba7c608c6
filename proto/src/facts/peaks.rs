//! How much memory a VAE network takes in tiles: numbers counted from its graph in, bytes of one worker for a picture and
//! a tile size out.
//!
//! What is counted are the values between nodes, as f32, of the graph as it was exported: fused attention takes less.
//! Weights and what an engine needs besides are not in it.

use serde::Serialize;

use super::Error;

/// Most entries of a table.
const MAX_SIDES: usize = 16;

/// Largest side of a core in a table, latent px: no canvas is longer.
const MAX_SIDE: u32 = crate::limits::SIDE;

/// Largest number of bytes that is believed: 1 PiB.
const MAX_BYTES: u64 = 1 << 50;

/// Memory of one worker, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Peaks {
    tiles: Vec<(u32, u64)>,
    whole: u64,
    kept: u64,
    run: u64,
}

// === impl Peaks ===

impl Peaks {
    /// `tiles`: for square cores in the middle of a large picture, their side in latent px and the most bytes that one
    /// takes, both ascending; none = not known. `whole` and `kept`: for each latent px of the whole picture, the most
    /// bytes of planes alive while the stages on the whole run, and the bytes that stay while tiles run. `run`: most
    /// bytes of one run of the stages on the whole.
    ///
    /// # Errors
    /// The table is too long or does not ascend, or a number is beyond all reason.
    pub fn new(tiles: Vec<(u32, u64)>, whole: u64, kept: u64, run: u64) -> Result<Self, Error> {
        let count = tiles.len() as u64;
        let range = |field, value, max| {
            if max < value { Err(Error::Range { field, value, min: 0, max }) } else { Ok(()) }
        };
        range("peaks.tiles", count, MAX_SIDES as u64)?;
        for (field, value) in [("peaks.whole", whole), ("peaks.kept", kept), ("peaks.run", run)] {
            range(field, value, MAX_BYTES)?;
        }
        let mut before = (0, 0);
        for &(side, bytes) in &tiles {
            if side <= before.0 || MAX_SIDE < side {
                let (value, min, max) = (side.into(), u64::from(before.0) + 1, MAX_SIDE.into());
                return Err(Error::Range { field: "peaks.tiles.side", value, min, max });
            }
            if bytes < before.1 || MAX_BYTES < bytes {
                return Err(Error::Range {
                    field: "peaks.tiles.bytes",
                    value: bytes,
                    min: before.1,
                    max: MAX_BYTES,
                });
            }
            before = (side, bytes);
        }
        Ok(Self { tiles, whole, kept, run })
    }

    /// The table of tiles.
    #[must_use]
    pub fn tiles(&self) -> &[(u32, u64)] {
        &self.tiles
    }

    /// Bytes for each latent px while the stages on the whole run.
    #[must_use]
    pub fn whole(&self) -> u64 {
        self.whole
    }

    /// Bytes for each latent px while tiles run.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Most bytes of one run on the whole.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Most bytes of one tile whose core has this longest side, latent px; `None` where the table does not tell.
    ///
    /// Between two entries the straight line lies above the truth, which grows with the square of the side.
    #[must_use]
    pub fn tile(&self, side: u32) -> Option<u64> {
        let above = self.tiles.iter().position(|&(entry, _)| side <= entry)?;
        let (right, high) = self.tiles[above];
        let Some(&(left, low)) = above.checked_sub(1).and_then(|below| self.tiles.get(below)) else {
            return Some(high);
        };
        let share = u128::from(high - low) * u128::from(side - left) / u128::from(right - left);
        Some(low + u64::try_from(share).unwrap_or(high - low))
    }

    /// Most bytes of one worker for a picture of so many latent px in cores of this longest side, latent px. Tiles that
    /// wait come on top, as far as the worker keeps them in memory.
    #[must_use]
    pub fn worker(&self, pixels: u64, side: u32) -> Option<u64> {
        let at_tiles = self.kept.saturating_mul(pixels).saturating_add(self.tile(side)?);
        let at_whole = self.whole.saturating_mul(pixels).saturating_add(self.run);
        Some(at_tiles.max(at_whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peaks() -> Peaks {
        Peaks::new(vec![(16, 100), (32, 300), (64, 1000)], 5, 2, 50).unwrap()
    }

    #[test]
    fn sides_between_two_entries_lie_between_them() {
        let sides = [1, 16, 24, 32, 48, 64].map(|side| peaks().tile(side));
        assert_eq!(sides, [100, 100, 200, 300, 650, 1000].map(Some));
        assert_eq!(peaks().tile(65), None, "beyond the table nothing is known");
        assert_eq!(Peaks::default().tile(16), None);
    }

    #[test]
    fn a_worker_needs_the_larger_of_two_moments() {
        assert_eq!(peaks().worker(10, 64), Some(1020), "a tile beside what is kept");
        assert_eq!(peaks().worker(10_000, 16), Some(50_050), "the stages on the whole");
    }

    #[test]
    fn hostile_tables_are_refused() {
        let refusal = |tiles: &[(u32, u64)], whole| {
            Peaks::new(tiles.to_vec(), whole, 0, 0).map(|_| ()).unwrap_err().to_string()
        };
        let unsorted = refusal(&[(16, 1), (16, 2)], 0);
        assert_eq!(unsorted, "model fact peaks.tiles.side is 16, must be 17 to 16384");
        assert!(refusal(&[(16, 2), (32, 1)], 0).contains("peaks.tiles.bytes is 1, must be 2 to"));
        assert!(refusal(&[], u64::MAX).contains("peaks.whole"));
        assert!(refusal(&[(1, 1); 17], 0).contains("peaks.tiles is 17, must be 0 to 16"));
    }
}
