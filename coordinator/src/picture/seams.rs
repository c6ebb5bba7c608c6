//! How much tile borders show: a raster and the places of its borders in, gradient energies there and elsewhere out.
//!
//! The gradient energy of a place between two neighbouring pixels is the square of their difference, meant over the
//! channels, on the scale of 8 bits. Where nothing shows, places on borders are like any others and the ratio of the two
//! means is near 1; what a picture itself has there lets it stray, the less the more borders there are.

use serde::Serialize;

use super::{borders::Borders, raster::Raster, rgb::CHANNELS};

/// Gradient energies of a picture, squares of levels of 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seams {
    /// Mean on tile borders.
    pub on_borders: f64,
    /// Mean elsewhere.
    pub elsewhere: f64,
    /// The first by the second; `None` where nothing changes elsewhere.
    pub ratio: Option<f64>,
    /// Places on borders, each between two pixels.
    pub places: u64,
}

/// A sum of energies and how many they are.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    energy: f64,
    places: u64,
}

/// Measures the borders of a picture; `None` where there is nothing to measure: no borders, or nothing but borders.
#[must_use]
pub fn seams(raster: &Raster, borders: &Borders) -> Option<Seams> {
    let (mut on, mut elsewhere) = (Sum::default(), Sum::default());
    let is_border = marks(borders.columns(), raster.width());
    let (mut above, mut row) = (Vec::new(), Vec::new());
    for y in 0..raster.height() {
        raster.levels(y, &mut row);
        // Between columns x - 1 and x, then between rows y - 1 and y.
        let (mut on_row, mut off_row) = (Sum::default(), Sum::default());
        let pixels = row.chunks_exact(CHANNELS);
        for ((left, pixel), &is_border) in pixels.clone().zip(pixels.skip(1)).zip(&is_border[1..]) {
            if is_border { on_row.add(left, pixel) } else { off_row.add(left, pixel) }
        }
        if 0 < y {
            let sum = if borders.rows().contains(&y) { &mut on_row } else { &mut off_row };
            for (upper, pixel) in above.chunks_exact(CHANNELS).zip(row.chunks_exact(CHANNELS)) {
                sum.add(upper, pixel);
            }
        }
        on.merge(on_row);
        elsewhere.merge(off_row);
        std::mem::swap(&mut above, &mut row);
    }
    let (on_borders, rest) = (on.mean()?, elsewhere.mean()?);
    let ratio = (0.0 < rest).then(|| on_borders / rest);
    Some(Seams { on_borders, elsewhere: rest, ratio, places: on.places })
}

// === impl Sum ===

impl Sum {
    fn add(&mut self, a: &[f64], b: &[f64]) {
        let squares = a.iter().zip(b).map(|(a, b)| (b - a) * (b - a));
        self.energy += squares.sum::<f64>() / 3.0;
        self.places += 1;
    }

    fn merge(&mut self, other: Self) {
        self.energy += other.energy;
        self.places += other.places;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of pixels are far below 2^53")]
    fn mean(self) -> Option<f64> {
        (0 < self.places).then(|| self.energy / self.places as f64)
    }
}

/// For each column, whether a border lies left of it.
fn marks(borders: &[u32], width: u32) -> Vec<bool> {
    let mut marks = vec![false; width as usize];
    for &border in borders {
        if let Some(mark) = marks.get_mut(border as usize) {
            *mark = true;
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::testing::{raster, scene};

    /// The scene with its right and lower tiles of 16 px raised by some levels.
    fn raised(levels: u8) -> Raster {
        raster(40, 32, |channel, x, y| {
            scene(channel, x, y) / 2 + levels * u8::from((x / 16 + y / 16) % 2 == 1)
        })
    }

    #[test]
    fn energies_are_those_that_numpy_finds() {
        let borders = Borders::every(16, 40, 32);
        // p = scene // 2 + n * ((x // 16 + y // 16) % 2), in float64; gx = (diff(p, axis=1) ** 2).mean(2) and gy likewise;
        // on = concatenate(gx[:, [15, 31]], gy[[15], :]), elsewhere the rest; the two means
        let table = [(0, 2288.660256410257, 2271.3892617449665), (6, 2331.5064102564106, 2271.3892617449665)];
        for (levels, on, elsewhere) in table {
            let seams = seams(&raised(levels), &borders).unwrap();
            assert!((seams.on_borders - on).abs() < 1e-9, "{levels}: {seams:?}");
            assert!((seams.elsewhere - elsewhere).abs() < 1e-9, "{levels}: {seams:?}");
            assert_eq!(seams.ratio, Some(seams.on_borders / seams.elsewhere));
            assert_eq!(seams.places, 2 * 32 + 40);
        }
    }

    #[test]
    fn a_flat_picture_has_no_ratio_and_a_single_tile_no_borders() {
        let flat = raster(20, 20, |_, _, _| 7);
        let found = seams(&flat, &Borders::every(10, 20, 20)).unwrap();
        assert_eq!((found.on_borders, found.ratio), (0.0, None));
        assert_eq!(seams(&flat, &Borders::every(20, 20, 20)), None);
        assert_eq!(seams(&flat, &Borders::every(1, 20, 20)), None, "nothing but borders");
    }
}
