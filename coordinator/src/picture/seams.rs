//! How much tile borders show: a raster and the places of its borders in, gradient energies there and elsewhere out.
//!
//! The gradient energy of a place between two neighbouring pixels is the square of their difference, meant over the
//! channels, on the scale of 8 bits. Where nothing shows, places on borders are like any others, and the ratio of the two
//! means is near 1, but for what the picture itself has there: with few borders that is much. Places beside the borders
//! have the same to show, so the ratio to them strays less.

use serde::Serialize;

use super::{borders::Borders, raster::Raster, rgb::CHANNELS};

/// How far from a border is beside it, px: near enough to show the same, too far for the border's own slope.
const BESIDE: std::ops::RangeInclusive<u32> = 2..=8;

/// Gradient energies of a picture, squares of levels of 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seams {
    /// Mean on tile borders.
    pub on_borders: f64,
    /// Mean at all other places.
    pub elsewhere: f64,
    /// Mean at those of the others that lie 2 to 8 px from a border; `None` where there are none.
    pub beside: Option<f64>,
    /// On borders by elsewhere; `None` where nothing changes elsewhere.
    pub ratio: Option<f64>,
    /// On borders by beside; `None` where nothing changes there.
    pub ratio_beside: Option<f64>,
    /// Places on borders, each between two pixels.
    pub places: u64,
}

/// Where a place lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    On,
    Beside,
    Far,
}

/// Energies and how many they are, at each kind of place.
#[derive(Debug, Clone, Copy, Default)]
struct Sums([Sum; 3]);

/// A sum of energies and how many they are.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    energy: f64,
    places: u64,
}

/// Measures the borders of a picture; `None` where there is nothing to measure: no borders, or nothing but borders.
#[must_use]
pub fn seams(raster: &Raster, borders: &Borders) -> Option<Seams> {
    let columns = places(borders.columns(), raster.width());
    let rows = places(borders.rows(), raster.height());
    let mut sums = Sums::default();
    let (mut above, mut row) = (Vec::new(), Vec::new());
    for (y, &place) in (0..raster.height()).zip(&rows) {
        raster.levels(y, &mut row);
        // A sum per row first: terms of one size add up without loss over any number of rows.
        let mut here = Sums::default();
        // Between columns x - 1 and x, then between rows y - 1 and y.
        let pixels = row.chunks_exact(CHANNELS);
        for ((left, pixel), &place) in pixels.clone().zip(pixels.skip(1)).zip(&columns[1..]) {
            here.add(place, left, pixel);
        }
        if 0 < y {
            for (upper, pixel) in above.chunks_exact(CHANNELS).zip(row.chunks_exact(CHANNELS)) {
                here.add(place, upper, pixel);
            }
        }
        sums.merge(here);
        std::mem::swap(&mut above, &mut row);
    }
    sums.seams()
}

// === impl Sums ===

impl Sums {
    fn add(&mut self, place: Place, a: &[f64], b: &[f64]) {
        let squares = a.iter().zip(b).map(|(a, b)| (b - a) * (b - a));
        let sum = &mut self.0[place as usize];
        sum.energy += squares.sum::<f64>() / 3.0;
        sum.places += 1;
    }

    fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, other)| sum.merge(other));
    }

    fn seams(self) -> Option<Seams> {
        let [on, beside, mut elsewhere] = self.0;
        elsewhere.merge(beside);
        let (on_borders, beside, rest) = (on.mean()?, beside.mean(), elsewhere.mean()?);
        let ratio = |energy: f64| (0.0 < energy).then(|| on_borders / energy);
        Some(Seams {
            on_borders,
            elsewhere: rest,
            beside,
            ratio: ratio(rest),
            ratio_beside: beside.and_then(ratio),
            places: on.places,
        })
    }
}

// === impl Sum ===

impl Sum {
    fn merge(&mut self, other: Self) {
        self.energy += other.energy;
        self.places += other.places;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of pixels are far below 2^53")]
    fn mean(self) -> Option<f64> {
        (0 < self.places).then(|| self.energy / self.places as f64)
    }
}

/// For each line, where the place before it lies.
fn places(borders: &[u32], length: u32) -> Vec<Place> {
    let mut places = vec![Place::Far; length as usize];
    for &border in borders {
        let sides = BESIDE.flat_map(|far| [border.checked_sub(far), border.checked_add(far)]);
        let beside = sides.flatten().filter(|line| borders.iter().all(|other| 1 < other.abs_diff(*line)));
        for (line, place) in beside.map(|line| (line, Place::Beside)).chain([(border, Place::On)]) {
            if let Some(found) = places.get_mut(line as usize) {
                *found = place;
            }
        }
    }
    places
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
        // on = concatenate(gx[:, [15, 31]], gy[[15], :]); elsewhere the rest; beside those of it 2 to 8 from one; means
        let table = [
            (0, 2288.660256410257, 2271.3892617449665, 2326.5490900383143),
            (6, 2331.5064102564106, 2271.3892617449665, 2326.5490900383143),
        ];
        for (levels, on, elsewhere, beside) in table {
            let seams = seams(&raised(levels), &borders).unwrap();
            assert!((seams.on_borders - on).abs() < 1e-9, "{levels}: {seams:?}");
            assert!((seams.elsewhere - elsewhere).abs() < 1e-9, "{levels}: {seams:?}");
            assert!((seams.beside.unwrap() - beside).abs() < 1e-9, "{levels}: {seams:?}");
            assert_eq!(seams.ratio, Some(seams.on_borders / seams.elsewhere));
            assert!((seams.ratio_beside.unwrap() - on / beside).abs() < 1e-9, "{levels}: {seams:?}");
            assert_eq!(seams.places, 2 * 32 + 40);
        }
    }

    #[test]
    fn a_flat_picture_has_no_ratio_and_a_single_tile_no_borders() {
        let flat = raster(20, 20, |_, _, _| 7);
        let found = seams(&flat, &Borders::every(10, 20, 20)).unwrap();
        assert_eq!((found.on_borders, found.ratio, found.ratio_beside), (0.0, None, None));
        let narrow = seams(&flat, &Borders::every(2, 20, 20)).unwrap();
        assert_eq!(narrow.beside, None, "all other places touch a border");
        assert_eq!(seams(&flat, &Borders::every(20, 20, 20)), None);
        assert_eq!(seams(&flat, &Borders::every(1, 20, 20)), None, "nothing but borders");
    }
}
