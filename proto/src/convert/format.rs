//! File formats of pictures: a message in, a format out, and back.

use super::{Error, required};
use crate::{
    job::format::{Depth, Format, Quality},
    wire::{self, output_format as message},
};

impl From<Format> for wire::OutputFormat {
    fn from(format: Format) -> Self {
        use message::{Jpeg, Kind, Png, Tiff, WebP};
        let bits = Some(format.depth().bits().into());
        Self {
            kind: Some(match format {
                Format::Png(_) => Kind::Png(Png { bits }),
                Format::Jpeg(quality) => Kind::Jpeg(Jpeg { quality: Some(quality.get().into()) }),
                Format::WebP => Kind::Webp(WebP {}),
                Format::Tiff(_) => Kind::Tiff(Tiff { bits }),
            }),
        }
    }
}

impl TryFrom<wire::OutputFormat> for Format {
    type Error = Error;

    fn try_from(message: wire::OutputFormat) -> Result<Self, Error> {
        use message::{Jpeg, Kind, Png, Tiff, WebP};
        let wire::OutputFormat { kind } = message;
        Ok(match required("output_format.kind", kind)? {
            Kind::Png(Png { bits }) => Self::Png(depth(bits)?),
            Kind::Jpeg(Jpeg { quality: None }) => Self::Jpeg(Quality::default()),
            Kind::Jpeg(Jpeg { quality: Some(quality) }) => {
                let range = Error::Range { field: "output_format.jpeg.quality" };
                let quality = u8::try_from(quality).ok().and_then(|quality| Quality::new(quality).ok());
                Self::Jpeg(quality.ok_or(range)?)
            }
            Kind::Webp(WebP {}) => Self::WebP,
            Kind::Tiff(Tiff { bits }) => Self::Tiff(depth(bits)?),
        })
    }
}

fn depth(bits: Option<u32>) -> Result<Depth, Error> {
    match bits {
        None => Ok(Depth::default()),
        Some(bits) => Depth::of(bits).ok_or(Error::Range { field: "output_format.bits" }),
    }
}
