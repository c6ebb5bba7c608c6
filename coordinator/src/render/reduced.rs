//! A smaller picture that stands for a large one: bands of the large one in, the small one out. Pure.
//!
//! Tiled VAE's rule (SEMANTICS 2.9): nearest px, as torch's `nearest-exact` picks them; each channel brought back to the
//! mean and the deviation of the large picture; all clamped to its range.

use tessera_proto::{Moments, Rect, Tensor, job::Size};

use super::error::Error;

/// Makes a picture of size `to` from the bands of one of size `from`: whole rows `[1, c, h, width]`, from the top.
pub(super) fn reduced(
    (from, to): (Size, Size),
    bands: impl Iterator<Item = Result<Tensor, Error>>,
) -> Result<Tensor, Error> {
    let mut whole: Option<Moments> = None;
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    let mut rows: Vec<Vec<Vec<f32>>> = Vec::new();
    let mut top = 0;
    for band in bands {
        let band = band?;
        let [_, channels, height, width] = band.nchw().unwrap_or_default();
        let moments = Moments::of(&band, area(&band)?)?;
        match &mut whole {
            Some(whole) => whole.merge(&moments)?,
            None => whole = Some(moments),
        }
        least = band.data().iter().copied().fold(least, f32::min);
        most = band.data().iter().copied().fold(most, f32::max);
        rows.resize(channels, Vec::new());
        for y in (0..to.height as usize).map(|y| nearest(y, from.height, to.height)) {
            if !(top..top + height).contains(&y) {
                continue;
            }
            for (channel, rows) in rows.iter_mut().enumerate() {
                let row = &band.data()[(channel * height + y - top) * width..][..width];
                let picked = (0..to.width as usize).map(|x| row[nearest(x, from.width, to.width)]);
                rows.push(picked.collect());
            }
        }
        top += height;
    }
    let channels = rows.len();
    let values = rows.into_iter().flatten().flatten().collect();
    let small = Tensor::new([1, channels, to.height as usize, to.width as usize], values)?;
    match whole {
        Some(whole) => restored(small, &whole, (least, most)),
        None => Ok(small),
    }
}

/// The px of `from` that is nearest to the middle of px `at` of `to`.
fn nearest(at: usize, from: u32, to: u32) -> usize {
    ((2 * at + 1) * from as usize / (2 * to as usize)).min(from as usize - 1)
}

/// Brings each channel to the mean and the deviation of the whole picture, within its range.
fn restored(mut small: Tensor, whole: &Moments, (least, most): (f32, f32)) -> Result<Tensor, Error> {
    let own = Moments::of(&small, area(&small)?)?;
    #[expect(clippy::cast_precision_loss, reason = "a picture has fewer than 2^53 px")]
    let deviation =
        |moments: &Moments, channel: usize| (moments.m2()[channel] / moments.count().max(1) as f64).sqrt();
    let [_, channels, height, width] = small.nchw().unwrap_or_default();
    for channel in 0..channels {
        let (wanted, has) = (deviation(whole, channel), deviation(&own, channel));
        let factor = if 0.0 < has { wanted / has } else { 1.0 };
        for value in &mut small.data_mut()[channel * height * width..][..height * width] {
            let moved = (f64::from(*value) - own.mean()[channel]) * factor + whole.mean()[channel];
            #[expect(clippy::cast_possible_truncation, reason = "networks take f32")]
            let moved = moved as f32;
            *value = moved.clamp(least, most);
        }
    }
    Ok(small)
}

/// All of a picture.
fn area(picture: &Tensor) -> Result<Rect, Error> {
    let [_, _, height, width] = picture.nchw().unwrap_or_default();
    let side = |length: usize| u32::try_from(length).unwrap_or(0);
    Rect::new(0, 0, side(width), side(height))
        .map_err(|_| Error::Output { expected: 1, actual: picture.data().len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> Tensor {
        let length = 2 * width as usize * height as usize;
        #[expect(clippy::cast_precision_loss, reason = "test data")]
        let values = (0..length).map(|at| ((at * 7919) % 1009) as f32 / 100.0 - 3.0).collect();
        Tensor::new([1, 2, height as usize, width as usize], values).unwrap()
    }

    fn bands(whole: &Tensor, rows: usize) -> Vec<Result<Tensor, Error>> {
        let [_, channels, height, width] = whole.nchw().unwrap();
        let band = |top: usize| {
            let count = rows.min(height - top);
            let planes = whole.data().chunks_exact(height * width);
            let values = planes.flat_map(|plane| plane[top * width..][..count * width].to_vec()).collect();
            Ok(Tensor::new([1, channels, count, width], values)?)
        };
        (0..height).step_by(rows).map(band).collect()
    }

    #[test]
    fn mean_and_deviation_are_the_large_pictures() {
        let (from, to) = (Size { width: 53, height: 37 }, Size { width: 16, height: 11 });
        let large = picture(53, 37);
        let small = reduced((from, to), bands(&large, 37).into_iter()).unwrap();
        assert_eq!(small.shape(), [1, 2, 11, 16]);
        let of = |tensor: &Tensor| Moments::of(tensor, area(tensor).unwrap()).unwrap();
        let (large_of, small_of) = (of(&large), of(&small));
        for channel in 0..2 {
            assert!((large_of.mean()[channel] - small_of.mean()[channel]).abs() < 0.05);
            let variance = |moments: &Moments, count: f64| moments.m2()[channel] / count;
            let (large, small) = (variance(&large_of, 53.0 * 37.0), variance(&small_of, 16.0 * 11.0));
            assert!((large / small - 1.0).abs() < 0.05, "{large} {small}");
        }
    }

    #[test]
    fn bands_of_any_height_give_the_same_px() {
        let (from, to) = (Size { width: 53, height: 37 }, Size { width: 53, height: 37 });
        let large = picture(53, 37);
        let same = reduced((from, to), bands(&large, 5).into_iter()).unwrap();
        let apart = same.data().iter().zip(large.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "of its own size it is the picture itself: {apart}");
    }

    #[test]
    fn nearest_is_torchs_nearest_exact() {
        // torch.nn.functional.interpolate(arange(10), size=4, mode="nearest-exact")
        let picked: Vec<usize> = (0..4).map(|at| nearest(at, 10, 4)).collect();
        assert_eq!(picked, [1, 3, 6, 8]);
    }
}
