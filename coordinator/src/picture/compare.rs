//! How far two pictures are apart: two rasters of one size in, measures of their difference out.
//!
//! All measures are on the scale of 8 bits, 0 to 255, whatever the files hold, and in f64.

use serde::Serialize;

use super::{raster::Raster, rgb::CHANNELS};

/// How far picture B is from picture A.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Columns, px.
    pub width: u32,
    /// Rows, px.
    pub height: u32,
    /// Over all samples.
    pub all: Measures,
    /// Over the red ones.
    pub red: Measures,
    /// Over the green ones.
    pub green: Measures,
    /// Over the blue ones.
    pub blue: Measures,
}

/// Measures of the difference d = B - A over some samples, levels of 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Peak signal-to-noise ratio, dB: `10 log10(255² / mean(d²))`; `None` where nothing differs.
    pub psnr_db: Option<f64>,
    /// Largest |d|.
    pub max_abs: f64,
    /// Root of the mean of d².
    pub rms: f64,
    /// Mean of d: how much brighter B is.
    pub mean_shift: f64,
    /// Share of samples that differ once both are rounded to 8 bits, 0 to 1.
    pub differing: f64,
}

/// Why pictures cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They are of different sizes.
    #[error(
        "the pictures are of different sizes, {}x{} and {}x{} px: compare pictures of one size",
        a.0, a.1, b.0, b.1
    )]
    Size {
        /// Columns and rows of A, px.
        a: (u32, u32),
        /// Columns and rows of B, px.
        b: (u32, u32),
    },
}

/// Sums over samples.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: u64,
    difference: f64,
    square: f64,
    max_abs: f64,
    differing: u64,
}

/// Compares two pictures of one size.
///
/// Values before rounding count as they are where both pictures have them; beside a rounded picture they are cut to
/// 0..255 first, as rounding does.
///
/// # Errors
/// The sizes differ.
pub fn compare(a: &Raster, b: &Raster) -> Result<Comparison, Error> {
    let (width, height) = (a.width(), a.height());
    if (width, height) != (b.width(), b.height()) {
        return Err(Error::Size { a: (width, height), b: (b.width(), b.height()) });
    }
    let is_exact = a.bits() == 32 && b.bits() == 32;
    let (mut row_a, mut row_b) = (Vec::new(), Vec::new());
    let mut channels = [Sums::default(); CHANNELS];
    for y in 0..height {
        a.levels(y, &mut row_a);
        b.levels(y, &mut row_b);
        // A sum per row first: terms of one size add up without loss over any number of rows.
        let mut rows = [Sums::default(); CHANNELS];
        for (a, b) in row_a.chunks_exact(CHANNELS).zip(row_b.chunks_exact(CHANNELS)) {
            for (sums, (&a, &b)) in rows.iter_mut().zip(a.iter().zip(b)) {
                if is_exact { sums.add(a, b) } else { sums.add(a.clamp(0.0, 255.0), b.clamp(0.0, 255.0)) }
            }
        }
        channels.iter_mut().zip(&rows).for_each(|(sums, row)| sums.merge(row));
    }
    let mut all = Sums::default();
    channels.iter().for_each(|sums| all.merge(sums));
    let [red, green, blue] = channels.map(|sums| sums.measures());
    Ok(Comparison { width, height, all: all.measures(), red, green, blue })
}

// === impl Sums ===

impl Sums {
    fn add(&mut self, a: f64, b: f64) {
        let difference = b - a;
        self.count += 1;
        self.difference += difference;
        self.square += difference * difference;
        self.max_abs = self.max_abs.max(difference.abs());
        self.differing += u64::from(eight_bits(a) != eight_bits(b));
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.difference += other.difference;
        self.square += other.square;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.differing += other.differing;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
    fn measures(&self) -> Measures {
        let count = self.count as f64;
        let mean_square = self.square / count;
        Measures {
            psnr_db: (0.0 < mean_square).then(|| 10.0 * (255.0 * 255.0 / mean_square).log10()),
            max_abs: self.max_abs,
            rms: mean_square.sqrt(),
            mean_shift: self.difference / count,
            differing: self.differing as f64 / count,
        }
    }
}

/// A level as 8 bits hold it, still as a number: rounded half up and clamped.
fn eight_bits(level: f64) -> f64 {
    (level + 0.5).floor().clamp(0.0, 255.0)
}

#[cfg(test)]
mod tests;
