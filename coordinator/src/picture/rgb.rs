//! An 8-bit RGB picture: values of a network in -1..1 in, rounded pixels out, and back.

mod unit;

use tessera_proto::Rect;

use crate::canvas::Planes;
use crate::canvas::blend::Row;

/// Channels of a picture, in the order red, green, blue.
pub const CHANNELS: usize = 3;

/// 8-bit RGB pixels, row-major from the top left, three bytes each.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// Why values are no picture.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// A side is 0, or there are more bytes than can be addressed.
    #[error("a picture of {width}x{height} px is empty or too large to address")]
    Size {
        /// Width received.
        width: u32,
        /// Height received.
        height: u32,
    },
    /// The number of values does not fit the size.
    #[error("a picture of {width}x{height} px has {expected} values, got {actual}")]
    Length {
        /// Width received.
        width: u32,
        /// Height received.
        height: u32,
        /// Three times the pixels.
        expected: usize,
        /// Values received.
        actual: usize,
    },
    /// The tensor has not three planes, or is too large for a picture.
    #[error("a tensor of shape {shape:?} is no picture, which has 3 channels")]
    Shape {
        /// Channels, rows, columns received.
        shape: [usize; 3],
    },
    /// A rectangle or row does not lie on the picture.
    #[error("{what} does not lie on a picture of {width}x{height} px")]
    Outside {
        /// What was to be read or painted.
        what: Place,
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// The network computed NaN or an infinity.
    #[error(
        "the decoded value at x {x}, y {y}, channel {channel} is {value}: the model's decoder overflowed"
    )]
    NotFinite {
        /// Column.
        x: u32,
        /// Row.
        y: u32,
        /// 0 red, 1 green, 2 blue.
        channel: usize,
        /// The value.
        value: f32,
    },
}

/// What lies outside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Part of a row of one channel.
    Row(Row),
    /// A rectangle.
    Rect(Rect),
}

// === impl Picture ===

impl Picture {
    /// A picture from its bytes.
    ///
    /// # Errors
    /// A side is 0, or there are not three bytes for each pixel.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, Error> {
        let expected = byte_len(width, height)?;
        if rgb.len() != expected {
            return Err(Error::Length { width, height, expected, actual: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// A black picture, to be painted row by row.
    ///
    /// # Errors
    /// A side is 0, or the picture is too large to address.
    pub fn black(width: u32, height: u32) -> Result<Self, Error> {
        Ok(Self { width, height, rgb: vec![0; byte_len(width, height)?] })
    }

    /// Rounds the values of a decoder, `[3, height, width]` in -1..1.
    ///
    /// # Errors
    /// There are not three planes, or a value is NaN or infinite.
    pub fn from_planes(planes: Planes<'_>) -> Result<Self, Error> {
        let shape @ [channels, rows, columns] = planes.shape();
        let side = |length: usize| u32::try_from(length).map_err(|_| Error::Shape { shape });
        let mut picture = Self::black(side(columns)?, side(rows)?)?;
        if channels != CHANNELS {
            return Err(Error::Shape { shape });
        }
        for channel in 0..CHANNELS {
            for y in 0..picture.height {
                picture.paint(Row { channel, y, x0: 0 }, planes.row(channel, y as usize))?;
            }
        }
        Ok(picture)
    }

    /// Rounds and paints a row of one channel: what [`crate::canvas::Blend::rows`] hands out, so that a decoded
    /// picture never exists in f32 as a whole.
    ///
    /// # Errors
    /// The row does not lie on the picture, or a value is NaN or infinite; nothing of the row is painted then.
    pub fn paint(&mut self, row: Row, values: &[f32]) -> Result<(), Error> {
        self.paint_by(row, values, quantise)
    }

    /// As [`Picture::paint`], with any rule for the byte of a finite value.
    fn paint_by(&mut self, row: Row, values: &[f32], level: impl Fn(f32) -> u8) -> Result<(), Error> {
        let Self { width, height, .. } = *self;
        let (x0, y) = (row.x0 as usize, row.y as usize);
        if CHANNELS <= row.channel || height <= row.y || (width as usize) < x0 + values.len() {
            return Err(Error::Outside { what: Place::Row(row), width, height });
        }
        // No early exit in the loop: it runs over every pixel and has to compile to SIMD code.
        if values.iter().fold(false, |bad, value| bad | !value.is_finite()) {
            return Err(not_finite(row, values));
        }
        let pixels = &mut self.rgb[(y * width as usize + x0) * CHANNELS..][..values.len() * CHANNELS];
        for (pixel, &value) in pixels.chunks_exact_mut(CHANNELS).zip(values) {
            pixel[row.channel] = level(value);
        }
        Ok(())
    }

    /// The values for an encoder of the pixels in `rect`: row-major `[3, height, width]` in -1..1.
    ///
    /// # Errors
    /// `rect` does not lie on the picture.
    pub fn planes(&self, rect: Rect) -> Result<Vec<f32>, Error> {
        self.values(rect, |byte| f32::from(byte) / 127.5 - 1.0)
    }

    /// As [`Picture::planes`], with any rule for the value of a byte.
    fn values(&self, rect: Rect, value: impl Fn(u8) -> f32) -> Result<Vec<f32>, Error> {
        let Self { width, height, .. } = *self;
        if width < rect.x1() || height < rect.y1() {
            return Err(Error::Outside { what: Place::Rect(rect), width, height });
        }
        let (columns, rows) = (rect.width() as usize, rect.height() as usize);
        let mut planes = Vec::with_capacity(CHANNELS * columns * rows);
        for channel in 0..CHANNELS {
            for y in rect.y0()..rect.y1() {
                let first = (y as usize * width as usize + rect.x0() as usize) * CHANNELS;
                let pixels = self.rgb[first..][..columns * CHANNELS].chunks_exact(CHANNELS);
                planes.extend(pixels.map(|pixel| value(pixel[channel])));
            }
        }
        Ok(planes)
    }

    /// The pixels in `rect` as a picture.
    ///
    /// # Errors
    /// `rect` does not lie on the picture.
    pub fn cropped(&self, rect: Rect) -> Result<Self, Error> {
        let Self { width, height, .. } = *self;
        if width < rect.x1() || height < rect.y1() {
            return Err(Error::Outside { what: Place::Rect(rect), width, height });
        }
        let rows = self.rgb.chunks_exact(width as usize * CHANNELS).skip(rect.y0() as usize);
        let span = rect.x0() as usize * CHANNELS..rect.x1() as usize * CHANNELS;
        let rgb = rows.take(rect.height() as usize).flat_map(|row| &row[span.clone()]).copied().collect();
        Self::new(rect.width(), rect.height(), rgb)
    }

    /// Columns, at least 1.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows, at least 1.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, three for each pixel, row-major.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Takes the bytes out.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{} px)", self.width, self.height)
    }
}

// === impl Place ===

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row(Row { channel, y, x0 }) => write!(f, "a row of channel {channel} from x {x0}, y {y}"),
            Self::Rect(rect) => write!(f, "rectangle {rect:?}"),
        }
    }
}

/// The byte of a finite value in -1..1: `((value + 1) * 127.5)`, rounded half up and clamped.
///
/// A1111 truncates instead, which darkens a picture by half a level each time; we round, and only here.
#[must_use]
pub fn quantise(value: f32) -> u8 {
    byte((value + 1.0) * 127.5)
}

/// A level, 0 to 255, rounded half up and clamped.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=255, then truncated"
)]
pub(super) fn byte(level: f32) -> u8 {
    let level = level.clamp(0.0, 255.0);
    // Truncating and looking at the rest is `round` without its call per pixel.
    let below = level as u8;
    below + u8::from(0.5 <= level - f32::from(below))
}

/// The first value of a row that is no number.
pub(super) fn not_finite(row: Row, values: &[f32]) -> Error {
    let (x, value) =
        (row.x0..).zip(values).find(|(_, value)| !value.is_finite()).expect("a value is not finite");
    Error::NotFinite { x, y: row.y, channel: row.channel, value: *value }
}

/// Bytes of a picture.
pub(super) fn byte_len(width: u32, height: u32) -> Result<usize, Error> {
    let pixels = (width as usize).checked_mul(height as usize);
    let bytes = pixels.and_then(|pixels| pixels.checked_mul(CHANNELS));
    bytes
        .filter(|&bytes| 0 < bytes && bytes <= isize::MAX.unsigned_abs())
        .ok_or(Error::Size { width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_to_the_network_and_back() {
        let rgb: Vec<u8> = (0..=255).chain(0..=255).chain(0..=255).collect();
        let picture = Picture::new(16, 16, rgb).unwrap();
        let values = picture.planes(Rect::new(0, 0, 16, 16).unwrap()).unwrap();
        assert_eq!(Picture::from_planes(Planes::new([3, 16, 16], &values).unwrap()).unwrap(), picture);
    }

    #[test]
    fn values_are_rounded_not_truncated_and_clamped() {
        // numpy: np.clip(np.floor((v + 1) * 127.5 + 0.5), 0, 255), half a level is 1 / 255
        let table =
            [(-1.0, 0), (-0.99, 1), (0.0, 128), (0.003, 128), (-0.003, 127), (0.995, 254), (0.997, 255)];
        for (value, byte) in table.into_iter().chain([(1.0, 255), (7.5, 255), (-7.5, 0), (f32::MAX, 255)]) {
            assert_eq!(quantise(value), byte, "{value}");
        }
        for step in 0..=51_000_u16 {
            let value = f32::from(step) / 25_000.0 - 1.02;
            let rounded = ((value + 1.0) * 127.5).round().clamp(0.0, 255.0);
            assert_eq!(f32::from(quantise(value)), rounded, "{value}");
        }
    }

    #[test]
    fn planes_of_a_rectangle_are_channel_by_channel() {
        let picture = Picture::new(3, 2, (0..18).map(|i| i * 15).collect()).unwrap();
        let values = picture.planes(Rect::new(1, 0, 3, 2).unwrap()).unwrap();
        let bytes: Vec<u8> = values.iter().map(|&value| quantise(value) / 15).collect();
        assert_eq!(bytes, [3, 6, 12, 15, 4, 7, 13, 16, 5, 8, 14, 17]);
        let cut = picture.cropped(Rect::new(1, 1, 2, 2).unwrap()).unwrap();
        assert_eq!(cut.rgb(), [12 * 15, 13 * 15, 14 * 15]);
    }

    #[test]
    fn what_is_no_number_is_refused_with_its_place() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.0; 3 * 4 * 5];
            values[20 + 7] = bad;
            let error = Picture::from_planes(Planes::new([3, 4, 5], &values).unwrap()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the decoded value at x 2, y 1, channel 1 is {bad}: the model's decoder overflowed")
            );
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let text = |result: Result<Picture, Error>| result.unwrap_err().to_string();
        assert_eq!(text(Picture::black(0, 4)), "a picture of 0x4 px is empty or too large to address");
        assert_eq!(text(Picture::new(2, 2, vec![0; 11])), "a picture of 2x2 px has 12 values, got 11");
        let four = Planes::new([4, 1, 1], &[0.0; 4]).unwrap();
        assert_eq!(
            text(Picture::from_planes(four)),
            "a tensor of shape [4, 1, 1] is no picture, which has 3 channels"
        );
        let mut picture = Picture::black(4, 4).unwrap();
        let row = Row { channel: 2, y: 3, x0: 2 };
        assert!(picture.paint(row, &[0.0; 2]).is_ok());
        assert_eq!(
            picture.paint(row, &[0.0; 3]).unwrap_err().to_string(),
            "a row of channel 2 from x 2, y 3 does not lie on a picture of 4x4 px"
        );
    }
}
