//! Pictures to be measured: a file's bytes in; its samples as they are, and its texts, out.

use std::io::Cursor;

use image::DynamicImage;
use png::text_metadata::{ITXtChunk, TEXtChunk};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::{
    decode::{self, Decoded},
    encode::{PARAMETERS, TESSERA},
    exif::{self, Texts},
    rgb::CHANNELS,
};

/// Name of a dump's tensor that is a picture: `[1, 3, height, width]` in -1..1, before rounding.
pub const IMAGE: &str = "image";

/// A picture in the samples of its file.
#[derive(Debug)]
pub struct Raster {
    width: u32,
    height: u32,
    samples: Samples,
    format: &'static str,
    texts: Texts,
}

/// RGB samples, row-major.
enum Samples {
    /// Interleaved.
    Eight(Vec<u8>),
    /// Interleaved.
    Sixteen(Vec<u16>),
    /// A whole safetensors file, little-endian, plane by plane from this byte on.
    Values { file: Vec<u8>, from: usize },
}

/// Why bytes are no picture that can be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no image.
    #[error(transparent)]
    Image(#[from] decode::Error),
    /// It looks like a safetensors file and is none.
    #[error("the safetensors file is damaged: {0}")]
    Safetensors(SafeTensorError),
    /// It holds no picture.
    #[error("the file has no tensor {IMAGE:?} of shape [1, 3, height, width] in f32: it has {found}")]
    Tensor {
        /// What it holds instead.
        found: String,
    },
    /// A value is NaN or infinite.
    #[error("the tensor {IMAGE:?} holds {value} at x {x}, y {y}, channel {channel}")]
    NotFinite {
        /// Column.
        x: usize,
        /// Row.
        y: usize,
        /// 0 red, 1 green, 2 blue.
        channel: usize,
        /// The value.
        value: f32,
    },
}

// === impl Raster ===

impl Raster {
    /// Reads a PNG, JPEG, WebP, BMP or TIFF of at most `max_pixels` px, or the tensor [`IMAGE`] of a dump.
    ///
    /// 16-bit samples stay as they are, others become 8 bits; what is transparent is laid on white, at 8 bits.
    ///
    /// # Errors
    /// The bytes are neither, are damaged, or of too large an image.
    pub fn read(bytes: Vec<u8>, max_pixels: u64) -> Result<Self, Error> {
        // A safetensors file begins with the length of its JSON head, in 8 bytes.
        if bytes.get(8) == Some(&b'{') {
            return Self::of_dump(bytes);
        }
        let Decoded { image, format, exif } = decode::decode_as_is(&bytes, max_pixels)?;
        let texts = match (format, exif) {
            ("png", _) => png_texts(&bytes),
            ("tiff", _) => exif::read(Cursor::new(&bytes)),
            (_, Some(exif)) => exif::read_bytes(&exif),
            (_, None) => Texts::default(),
        };
        drop(bytes);
        let (width, height) = (image.width(), image.height());
        let samples = match image {
            image if image.color().has_alpha() => Samples::Eight(decode::on_white(&image)),
            DynamicImage::ImageRgb16(pixels) => Samples::Sixteen(pixels.into_raw()),
            image @ DynamicImage::ImageLuma16(_) => Samples::Sixteen(image.into_rgb16().into_raw()),
            image => Samples::Eight(image.into_rgb8().into_raw()),
        };
        Ok(Self { width, height, samples, format, texts })
    }

    fn of_dump(file: Vec<u8>) -> Result<Self, Error> {
        let (head, metadata) = SafeTensors::read_metadata(&file).map_err(Error::Safetensors)?;
        let side = |side: usize| u32::try_from(side).ok().filter(|&side| 0 < side);
        let info = metadata.info(IMAGE);
        let size =
            info.filter(|info| info.dtype == Dtype::F32).and_then(|info| match *info.shape.as_slice() {
                [1, 3, height, width] => Some((side(width)?, side(height)?, info.data_offsets.0)),
                _ => None,
            });
        let Some((width, height, offset)) = size else {
            let found = match info {
                Some(info) => format!("{IMAGE:?} of shape {:?} in {:?}", info.shape, info.dtype),
                None => names(&metadata.offset_keys()),
            };
            return Err(Error::Tensor { found });
        };
        let samples = Samples::Values { from: size_of::<u64>() + head + offset, file };
        let raster = Self { width, height, samples, format: "safetensors", texts: Texts::default() };
        raster.check_finite()?;
        Ok(raster)
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

    /// What the file's format is called.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        self.format
    }

    /// Bits of a sample: 8, 16, or 32 for values before rounding.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        match self.samples {
            Samples::Eight(_) => 8,
            Samples::Sixteen(_) => 16,
            Samples::Values { .. } => 32,
        }
    }

    /// What the file says of how it was made.
    #[must_use]
    pub const fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Sets `row` to a row's levels on the scale of 8 bits, red, green, blue for each pixel: 0 is black, 255 is white,
    /// what lies between the levels is kept, and so is what values before rounding have beyond.
    ///
    /// # Panics
    /// `y` is not below the height.
    pub fn levels(&self, y: u32, row: &mut Vec<f64>) {
        assert!(y < self.height, "row {y} does not lie on a picture of {} rows", self.height);
        row.clear();
        let length = self.width as usize * CHANNELS;
        let start = y as usize * length;
        match &self.samples {
            Samples::Eight(samples) => row.extend(samples[start..][..length].iter().copied().map(f64::from)),
            Samples::Sixteen(samples) => {
                row.extend(samples[start..][..length].iter().map(|&sample| f64::from(sample) / 257.0));
            }
            Samples::Values { .. } => {
                row.resize(length, 0.0);
                for channel in 0..CHANNELS {
                    let levels = row.iter_mut().skip(channel).step_by(CHANNELS);
                    for (level, value) in levels.zip(self.values(channel, y as usize)) {
                        *level = (f64::from(value) + 1.0) * 127.5;
                    }
                }
            }
        }
    }

    /// Values before rounding of a row of a channel; none where the samples are rounded.
    fn values(&self, channel: usize, y: usize) -> impl Iterator<Item = f32> {
        let bytes = match &self.samples {
            Samples::Values { file, from } => {
                let width = self.width as usize;
                let row = (channel * self.height as usize + y) * width;
                &file[from + row * size_of::<f32>()..][..width * size_of::<f32>()]
            }
            Samples::Eight(_) | Samples::Sixteen(_) => &[],
        };
        bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
    }

    fn check_finite(&self) -> Result<(), Error> {
        for channel in 0..CHANNELS {
            for y in 0..self.height as usize {
                let bad = self.values(channel, y).enumerate().find(|(_, value)| !value.is_finite());
                if let Some((x, value)) = bad {
                    return Err(Error::NotFinite { x, y, channel, value });
                }
            }
        }
        Ok(())
    }
}

// === impl Samples ===

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, count) = match self {
            Self::Eight(samples) => ("Eight", samples.len()),
            Self::Sixteen(samples) => ("Sixteen", samples.len()),
            Self::Values { file, .. } => ("Values", file.len()),
        };
        write!(f, "{kind}({count})")
    }
}

/// The texts of a PNG, wherever they stand in it.
fn png_texts(bytes: &[u8]) -> Texts {
    let mut reader = match png::Decoder::new(Cursor::new(bytes)).read_info() {
        Ok(reader) => reader,
        Err(_) => return Texts::default(),
    };
    // The pixels were decoded before, so only texts behind them can be damaged: then there are none.
    let _ = reader.finish();
    let info = reader.info();
    let plain = |text: &TEXtChunk| (text.keyword.clone(), text.text.clone());
    let international = |text: &ITXtChunk| text.get_text().ok().map(|found| (text.keyword.clone(), found));
    let texts: Vec<_> = info
        .uncompressed_latin1_text
        .iter()
        .map(plain)
        .chain(info.utf8_text.iter().filter_map(international))
        .collect();
    let find = |keyword| texts.iter().find(|(name, _)| name == keyword).map(|(_, text)| text.clone());
    Texts { parameters: find(PARAMETERS), tessera: find(TESSERA) }
}

/// A dump's tensors in words.
fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use tessera_proto::job::format::{Depth, Format, Quality};

    use crate::picture::{Header, Metadata, Range, Writer};

    fn dump(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
        let other = TensorView::new(Dtype::U8, vec![3], b"abc").unwrap();
        safetensors::serialize([(name, view), ("other", other)], None).unwrap()
    }

    /// A file of 2 x 2 px whose levels grow by 20.4 from 0.
    fn file(format: Format) -> Vec<u8> {
        let metadata = Metadata { parameters: Some("text"), tessera: Some("{}") };
        let header = Header { format, width: 2, height: 2, range: Range::Unit, metadata };
        let mut writer = Writer::new(Cursor::new(Vec::new()), header).unwrap();
        let level = |index: u8| f32::from(index) * 0.08;
        for y in 0..2_u8 {
            let row = |channel| [level(6 * y + channel), level(6 * y + 3 + channel)];
            writer.row([&row(0), &row(1), &row(2)]).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn samples_and_texts_of_every_format_are_read() {
        let formats = [
            (Format::Png(Depth::Eight), 8, 0.5),
            (Format::Png(Depth::Sixteen), 16, 0.002),
            (Format::Tiff(Depth::Eight), 8, 0.5),
            (Format::Tiff(Depth::Sixteen), 16, 0.002),
            (Format::WebP, 8, 0.5),
            (Format::Jpeg(Quality::new(100).unwrap()), 8, 4.0),
        ];
        for (format, bits, error) in formats {
            let raster = Raster::read(file(format), 4).unwrap();
            assert_eq!((raster.width(), raster.height(), raster.bits()), (2, 2, bits), "{format:?}");
            assert_eq!(raster.format(), format.name());
            assert_eq!(raster.texts().parameters.as_deref(), Some("text"), "{format:?}");
            assert_eq!(raster.texts().tessera.as_deref(), Some("{}"), "{format:?}");
            let mut row = Vec::new();
            for y in 0..2_u8 {
                raster.levels(y.into(), &mut row);
                for (index, level) in (6 * y..).zip(&row) {
                    let expected = f64::from(index) * 20.4;
                    assert!((level - expected).abs() <= error, "{format:?}: {level}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn a_dump_keeps_what_rounding_would_lose() {
        let values: Vec<f32> = (0..12_u8).map(|index| f32::from(index) / 5.0 - 1.1).collect();
        let raster = Raster::read(dump(IMAGE, &[1, 3, 2, 2], &values), 0).unwrap();
        assert_eq!((raster.width(), raster.height(), raster.bits()), (2, 2, 32));
        let mut row = Vec::new();
        raster.levels(1, &mut row);
        let expected = [2, 6, 10, 3, 7, 11].map(|index| (f64::from(values[index]) + 1.0) * 127.5);
        assert_eq!(row, expected);
    }

    #[test]
    fn what_is_no_picture_is_said_in_a_sentence() {
        let error = |bytes: Vec<u8>| Raster::read(bytes, 100).unwrap_err().to_string();
        assert_eq!(
            error(dump("latent", &[2], &[0.0; 2])),
            "the file has no tensor \"image\" of shape [1, 3, height, width] in f32: it has latent, other"
        );
        assert_eq!(
            error(dump(IMAGE, &[3, 1, 1], &[0.0; 3])),
            "the file has no tensor \"image\" of shape [1, 3, height, width] in f32: it has \"image\" of shape \
             [3, 1, 1] in F32"
        );
        assert_eq!(
            error(dump(IMAGE, &[1, 3, 1, 2], &[0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0])),
            "the tensor \"image\" holds NaN at x 1, y 0, channel 1"
        );
        let mut cut = dump(IMAGE, &[1, 3, 1, 1], &[0.0; 3]);
        cut.truncate(40);
        assert!(error(cut).starts_with("the safetensors file is damaged: "));
        assert!(error(b"a text, no picture".to_vec()).starts_with("the file is not an image"));
    }
}
