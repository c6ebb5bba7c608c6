//! The one place where a finished picture is rounded: rows of values in, rows of interleaved samples out.

use super::{format::Depth, rgb};
use crate::canvas::blend::Row;

/// What values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// -1 is black, 1 is white: what VAE decoders give.
    #[default]
    Signed,
    /// 0 is black, 1 is white: what upscaler networks give.
    Unit,
}

/// Appends a row's samples, red, green, blue for each pixel, 16 bits with the high byte first.
///
/// A value's level is `(value + 1) / 2 * top` or `value * top`, rounded half up and clamped; for 8 bits of [`Range::Signed`]
/// that is [`rgb::quantise`], bit for bit. `y` is for the error's sake.
///
/// # Errors
/// A value is NaN or infinite; nothing has been appended then.
///
/// # Panics
/// The three slices are not of one length: the caller sees to it.
pub(super) fn append(
    samples: &mut Vec<u8>,
    y: u32,
    channels: [&[f32]; rgb::CHANNELS],
    (depth, range): (Depth, Range),
) -> Result<(), rgb::Error> {
    let width = channels[0].len();
    assert!(channels.iter().all(|channel| channel.len() == width), "a row has three channels of one length");
    for (channel, values) in channels.into_iter().enumerate() {
        // No early exit in the loop: it runs over every value and has to compile to SIMD code.
        if values.iter().fold(false, |bad, value| bad | !value.is_finite()) {
            return Err(rgb::not_finite(Row { channel, y, x0: 0 }, values));
        }
    }
    let start = samples.len();
    samples.resize(start + width * rgb::CHANNELS * depth.bytes(), 0);
    let row = &mut samples[start..];
    for (channel, values) in channels.into_iter().enumerate() {
        match (depth, range) {
            (Depth::Eight, Range::Signed) => eight(row, channel, values, rgb::quantise),
            (Depth::Eight, Range::Unit) => eight(row, channel, values, |value| rgb::byte(value * 255.0)),
            (Depth::Sixteen, Range::Signed) => {
                sixteen(row, channel, values, |value| (value + 1.0) * 32_767.5)
            }
            (Depth::Sixteen, Range::Unit) => sixteen(row, channel, values, |value| value * 65_535.0),
        }
    }
    Ok(())
}

fn eight(row: &mut [u8], channel: usize, values: &[f32], level: impl Fn(f32) -> u8) {
    for (pixel, &value) in row.chunks_exact_mut(rgb::CHANNELS).zip(values) {
        pixel[channel] = level(value);
    }
}

fn sixteen(row: &mut [u8], channel: usize, values: &[f32], level: impl Fn(f32) -> f32) {
    for (pixel, &value) in row.chunks_exact_mut(2 * rgb::CHANNELS).zip(values) {
        pixel[2 * channel..][..2].copy_from_slice(&wide(level(value)).to_be_bytes());
    }
}

/// A level rounded half up to 16 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=65535, then truncated"
)]
fn wide(level: f32) -> u16 {
    let level = level.clamp(0.0, 65_535.0);
    let below = level as u16;
    below + u16::from(0.5 <= level - f32::from(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32], how: (Depth, Range)) -> Vec<u8> {
        let mut samples = vec![9];
        append(&mut samples, 0, [values, values, values], how).unwrap();
        samples.split_off(1)
    }

    #[test]
    fn eight_bits_of_signed_values_are_quantised_as_ever() {
        let values: Vec<f32> = (0..=51_000_u16).map(|step| f32::from(step) / 25_000.0 - 1.02).collect();
        let expected: Vec<u8> = values.iter().flat_map(|&value| [rgb::quantise(value); 3]).collect();
        assert_eq!(row(&values, (Depth::Eight, Range::Signed)), expected);
        // Halving is exact, so the same values as 0..1 give the same bytes.
        let unit: Vec<f32> = values.iter().map(|value| (value + 1.0) / 2.0).collect();
        assert_eq!(row(&unit, (Depth::Eight, Range::Unit)), expected);
    }

    #[test]
    fn sixteen_bits_are_rounded_half_up() {
        // numpy: np.clip(np.floor(np.float32(v) * np.float32(65535) + np.float32(.5)), 0, 65535)
        let table = [
            (0.0, 0),
            (0.25, 16_384),
            (0.5, 32_768),
            (1.0, 65_535),
            (0.375, 24_576),
            (-3.0, 0),
            (9.0, 65_535),
        ];
        for (value, level) in table {
            let bytes = row(&[value], (Depth::Sixteen, Range::Unit));
            assert_eq!(u16::from_be_bytes([bytes[0], bytes[1]]), level, "{value}");
            let signed = row(&[value * 2.0 - 1.0], (Depth::Sixteen, Range::Signed));
            assert_eq!(u16::from_be_bytes([signed[4], signed[5]]), level, "{value}");
        }
        for level in 0..=u16::MAX {
            let bytes = row(&[f32::from(level) / 65_535.0], (Depth::Sixteen, Range::Unit));
            assert_eq!(
                u16::from_be_bytes([bytes[0], bytes[1]]),
                level,
                "a 16-bit level survives its way through f32"
            );
        }
    }

    #[test]
    fn samples_are_interleaved() {
        let mut samples = Vec::new();
        let how = (Depth::Eight, Range::Unit);
        append(&mut samples, 0, [&[0.0, 1.0], &[0.2, 0.4], &[0.6, 0.8]], how).unwrap();
        assert_eq!(samples, [0, 51, 153, 255, 102, 204]);
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        let mut samples = Vec::new();
        let bad = [0.0, f32::NAN];
        let error = append(&mut samples, 7, [&[0.0; 2], &[0.0; 2], &bad], Default::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the decoded value at x 1, y 7, channel 2 is NaN: the model's decoder overflowed"
        );
        assert!(samples.is_empty());
    }
}
