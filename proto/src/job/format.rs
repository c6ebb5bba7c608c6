//! File formats of finished pictures: a file's ending and wishes in, a format and its limits out.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::limits;

/// Bits of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Levels 0 to 255.
    #[default]
    Eight,
    /// Levels 0 to 65,535.
    Sixteen,
}

/// How true a JPEG is to its picture, 1 to 100 on libjpeg's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(u8);

/// How a picture is written; always RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PNG: exact.
    Png(Depth),
    /// Baseline JPEG, 8 bit. Chroma is halved both ways below quality 90.
    Jpeg(Quality),
    /// WebP in its lossless kind, 8 bit.
    WebP,
    /// TIFF, deflated: exact.
    Tiff(Depth),
}

/// What the user asked for beside the ending; `None` = what is usual for the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Bits of a channel: 8 or 16.
    pub bits: Option<u8>,
    /// Quality, 1 to 100.
    pub quality: Option<u8>,
}

/// Why a picture cannot be written in this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The ending is that of no format that is written.
    #[error(
        "a picture ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, not in {ending:?}: choose one of them"
    )]
    Ending {
        /// The ending, without its dot.
        ending: String,
    },
    /// No format has so many bits, or this one has not.
    #[error("a {format} cannot have {bits} bits a channel, only {limit}: .png and .tiff can have 16")]
    Bits {
        /// The format.
        format: &'static str,
        /// Bits received.
        bits: u8,
        /// Bits that it can have.
        limit: &'static str,
    },
    /// The quality is off the scale.
    #[error("a quality of {quality} is off the scale from 1 to 100")]
    Quality {
        /// Quality received.
        quality: u8,
    },
    /// The format loses nothing, so there is no quality to choose.
    #[error("a {format} is written without loss and takes no quality: only .jpg does")]
    Lossless {
        /// The format.
        format: &'static str,
    },
    /// A side is longer than the format's header can say.
    #[error(
        "a {format} has at most {limit} px a side, this picture is {width}x{height} px: choose .png or .tiff"
    )]
    Side {
        /// The format.
        format: &'static str,
        /// Longest side, px.
        limit: u32,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file would be longer than the format's offsets can say.
    #[error(
        "a tiff of {width}x{height} px may take over 4 GiB, which its offsets cannot address: choose .png"
    )]
    Bytes {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The file can only be made of the whole picture, which is too large to be held.
    #[error(
        "a webp of {width}x{height} px takes {mib} MiB of memory at its end, the limit is {} MiB: choose .png or .tiff",
        limits::WEBP_MEMORY >> 20
    )]
    Memory {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Memory needed, MiB.
        mib: u64,
    },
    /// The texts are longer than the format has room for.
    #[error(
        "the picture's settings take {bytes} bytes as EXIF, the limit of a jpeg is {limit}: shorten the prompt, or choose .png"
    )]
    Text {
        /// Bytes needed.
        bytes: usize,
        /// Bytes there are.
        limit: usize,
    },
}

/// Longest side of a JPEG, px: a 16-bit number in its frame header (ITU-T T.81, B.2.2).
const JPEG_SIDE: u32 = 65_535;
/// Longest side of a WebP, px: 14 bits, of which libwebp and with it every browser leaves the last value out.
const WEBP_SIDE: u32 = 16_383;
/// Longest side of a PNG or TIFF that we write, px; far above what a job may ask for.
const LONGEST_SIDE: u32 = 1 << 20;
/// Room that a TIFF keeps beside its pixels: directories, texts, what deflate adds to noise.
const TIFF_BESIDE: u64 = 64 << 20;

// === impl Depth ===

impl Depth {
    /// The depth of so many bits, 8 or 16.
    #[must_use]
    pub const fn of(bits: u32) -> Option<Self> {
        match bits {
            8 => Some(Self::Eight),
            16 => Some(Self::Sixteen),
            _ => None,
        }
    }

    /// Bytes of a sample.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }

    /// Bits of a sample.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }
}

// === impl Quality ===

impl Quality {
    /// A quality of 1 to 100.
    ///
    /// # Errors
    /// It is off the scale.
    pub const fn new(quality: u8) -> Result<Self, Error> {
        if quality == 0 || 100 < quality { Err(Error::Quality { quality }) } else { Ok(Self(quality)) }
    }

    /// On libjpeg's scale.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    /// 80, as A1111's.
    fn default() -> Self {
        Self(80)
    }
}

// === impl Format ===

impl Format {
    /// The format of a file's ending, without its dot, in any case.
    ///
    /// # Errors
    /// The ending is unknown, or the format cannot do what is wished.
    pub fn of(ending: &str, wish: Wish) -> Result<Self, Error> {
        let quality = wish.quality.map(Quality::new).transpose()?;
        let format = match ending.to_ascii_lowercase().as_str() {
            "png" => Self::Png(depth("png", wish.bits)?),
            "tif" | "tiff" => Self::Tiff(depth("tiff", wish.bits)?),
            "jpg" | "jpeg" => Self::Jpeg(quality.unwrap_or_default()),
            "webp" => Self::WebP,
            _ => return Err(Error::Ending { ending: ending.to_owned() }),
        };
        match (format, wish) {
            (Self::Jpeg(_) | Self::WebP, Wish { bits: Some(bits), .. }) if bits != 8 => {
                Err(Error::Bits { format: format.name(), bits, limit: "8" })
            }
            (Self::Png(_) | Self::WebP | Self::Tiff(_), Wish { quality: Some(_), .. }) => {
                Err(Error::Lossless { format: format.name() })
            }
            _ => Ok(format),
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Png(_) => "png",
            Self::Jpeg(_) => "jpeg",
            Self::WebP => "webp",
            Self::Tiff(_) => "tiff",
        }
    }

    /// The ending of its files, without the dot.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Jpeg(_) => "jpg",
            Self::Png(_) | Self::WebP | Self::Tiff(_) => self.name(),
        }
    }

    /// Bits of a channel in the file.
    #[must_use]
    pub const fn depth(self) -> Depth {
        match self {
            Self::Png(depth) | Self::Tiff(depth) => depth,
            Self::Jpeg(_) | Self::WebP => Depth::Eight,
        }
    }

    /// Whether a picture of this size, px, can be written: known before anything is computed.
    ///
    /// # Errors
    /// A side or the file would be too long.
    pub fn check(self, width: u32, height: u32) -> Result<(), Error> {
        let limit = match self {
            Self::Png(_) | Self::Tiff(_) => LONGEST_SIDE,
            Self::Jpeg(_) => JPEG_SIDE,
            Self::WebP => WEBP_SIDE,
        };
        if limit < width.max(height) {
            return Err(Error::Side { format: self.name(), limit, width, height });
        }
        let bytes = u64::from(width) * u64::from(height) * 3 * self.depth().bytes() as u64;
        if matches!(self, Self::Tiff(_)) && u64::from(u32::MAX) - TIFF_BESIDE < bytes {
            return Err(Error::Bytes { width, height });
        }
        let memory = self.memory(width, height);
        if matches!(self, Self::WebP) && limits::WEBP_MEMORY < memory {
            return Err(Error::Memory { width, height, mib: memory >> 20 });
        }
        Ok(())
    }

    /// Bytes that whoever writes it holds at most for a picture of this size, px; about.
    ///
    /// A WebP is made at the end, of the whole picture: 3 bytes a px of it, 4 of what the encoder makes of it, and up to
    /// 3 of the file. All others hold a few rows.
    #[must_use]
    pub fn memory(self, width: u32, height: u32) -> u64 {
        let (width, height) = (u64::from(width), u64::from(height));
        match self {
            Self::WebP => width * height * 10,
            Self::Jpeg(_) => width * 16 * 12 + (1 << 20),
            Self::Png(depth) | Self::Tiff(depth) => width * 3 * depth.bytes() as u64 * 8 + (2 << 20),
        }
    }
}

impl Default for Format {
    /// PNG of 8 bits.
    fn default() -> Self {
        Self::Png(Depth::default())
    }
}

/// `{"name":"png","bits":8}`, or with the quality of a JPEG.
impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Format", 2)?;
        fields.serialize_field("name", self.name())?;
        match self {
            Self::Jpeg(quality) => fields.serialize_field("quality", &quality.get())?,
            Self::Png(_) | Self::WebP | Self::Tiff(_) => {
                fields.serialize_field("bits", &self.depth().bits())?;
            }
        }
        fields.end()
    }
}

/// The depth that was wished for, of a format that has both.
const fn depth(format: &'static str, bits: Option<u8>) -> Result<Depth, Error> {
    match bits {
        None | Some(8) => Ok(Depth::Eight),
        Some(16) => Ok(Depth::Sixteen),
        Some(bits) => Err(Error::Bits { format, bits, limit: "8 or 16" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides() {
        let of = |ending| Format::of(ending, Wish::default());
        assert_eq!(of("PNG"), Ok(Format::Png(Depth::Eight)));
        assert_eq!(of("jpeg"), Ok(Format::Jpeg(Quality(80))));
        assert_eq!(of("webp"), Ok(Format::WebP));
        assert_eq!(of("tif"), of("TIFF"));
        let sixteen = Wish { bits: Some(16), quality: None };
        assert_eq!(Format::of("tif", sixteen), Ok(Format::Tiff(Depth::Sixteen)));
        let rough = Wish { bits: Some(8), quality: Some(60) };
        assert_eq!(Format::of("jpg", rough), Ok(Format::Jpeg(Quality(60))));
    }

    #[test]
    fn what_a_format_cannot_do_is_said_in_a_sentence() {
        let of = |ending, bits, quality| Format::of(ending, Wish { bits, quality }).unwrap_err().to_string();
        assert_eq!(
            of("gif", None, None),
            "a picture ends in .png, .jpg, .jpeg, .webp, .tif or .tiff, not in \"gif\": choose one of them"
        );
        assert_eq!(
            of("jpg", Some(16), None),
            "a jpeg cannot have 16 bits a channel, only 8: .png and .tiff can have 16"
        );
        assert_eq!(
            of("png", Some(12), None),
            "a png cannot have 12 bits a channel, only 8 or 16: .png and .tiff can have 16"
        );
        assert_eq!(of("jpg", None, Some(0)), "a quality of 0 is off the scale from 1 to 100");
        assert_eq!(
            of("webp", None, Some(80)),
            "a webp is written without loss and takes no quality: only .jpg does"
        );
    }

    #[test]
    fn sizes_are_refused_before_anything_is_computed() {
        let jpeg = Format::Jpeg(Quality::default());
        for format in [Format::Png(Depth::Sixteen), Format::Tiff(Depth::Sixteen), jpeg] {
            assert_eq!(format.check(16_384, 16_384), Ok(()), "{}", format.name());
            assert!(format.memory(16_384, 16_384) < 16 << 20, "{}", format.name());
        }
        assert_eq!(Format::WebP.check(16_383, 6_000), Ok(()));
        assert_eq!(Format::WebP.check(8_192, 8_192), Ok(()));
        assert_eq!(
            Format::WebP.check(12_000, 12_000).unwrap_err().to_string(),
            "a webp of 12000x12000 px takes 1373 MiB of memory at its end, the limit is 1024 MiB: choose .png or .tiff"
        );
        assert_eq!(
            Format::WebP.check(16_384, 8).unwrap_err().to_string(),
            "a webp has at most 16383 px a side, this picture is 16384x8 px: choose .png or .tiff"
        );
        assert!(jpeg.check(65_536, 8).is_err());
        let error = Format::Tiff(Depth::Sixteen).check(32_768, 32_768).unwrap_err().to_string();
        assert_eq!(
            error,
            "a tiff of 32768x32768 px may take over 4 GiB, which its offsets cannot address: choose .png"
        );
    }
}
