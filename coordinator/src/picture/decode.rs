//! Image files: bytes in, an upright 8-bit RGB picture or one sentence out.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, metadata::Orientation,
};

use super::rgb::Picture;

/// Most pixels of a picture that is read, unless the caller sets another limit: 8192 × 8192.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Bytes that the decoder may allocate for each pixel of the limit: 16-bit RGBA.
const BYTES_PER_PIXEL: u64 = 8;
/// Bytes that it may allocate beyond: tables, and text chunks of small pictures.
const BYTES_BESIDE: u64 = 16 << 20;

/// Why bytes are no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The first bytes are those of no format that is read.
    #[error("the file is not an image that can be read: it must be png, jpeg, webp, bmp or tiff")]
    Format,
    /// More pixels than allowed; the pixels have not been decoded.
    #[error("the image is {width}x{height} px ({} Mpx), the limit is {} Mpx", megapixels(*.pixels), megapixels(*.limit))]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Their product.
        pixels: u64,
        /// Most pixels allowed.
        limit: u64,
    },
    /// The file asks for more memory than pictures of the allowed size need.
    #[error("the {format} image needs more than {} MiB to decode, which is the limit", .limit >> 20)]
    Memory {
        /// The file's format.
        format: &'static str,
        /// Most bytes allowed.
        limit: u64,
    },
    /// The file is cut short or contradicts itself, or uses a variant of its format that cannot be read.
    #[error("the {format} image is damaged or of an unknown variant: {message}")]
    Damaged {
        /// The file's format.
        format: &'static str,
        /// What the decoder said, in one line.
        message: String,
    },
}

/// Decodes an image of at most `max_pixels` px; its size is checked before its pixels are decoded.
///
/// The picture is turned upright where the file's EXIF data says so. Grey, palette, 16-bit and float pixels become
/// 8-bit RGB, rounded; what is transparent is laid on white, as A1111's img2img does by default. Of an animation the
/// first frame is read. Colour profiles are not applied.
///
/// # Errors
/// The bytes are of no known format, damaged, or of too large an image.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Picture, Error> {
    let Decoded { image, .. } = decode_as_is(bytes, max_pixels)?;
    let rgb = if image.color().has_alpha() { on_white(&image) } else { image.to_rgb8().into_raw() };
    Ok(Picture::new(image.width(), image.height(), rgb)
        .expect("an image has three bytes for each of its pixels"))
}

/// An image file, read.
#[derive(Debug)]
pub(super) struct Decoded {
    /// The upright image, in the file's own samples.
    pub(super) image: DynamicImage,
    /// What the file's format is called.
    pub(super) format: &'static str,
    /// The file's EXIF data, where the decoder finds any.
    pub(super) exif: Option<Vec<u8>>,
}

/// As [`decode`], without making 8-bit RGB of it.
pub(super) fn decode_as_is(bytes: &[u8], max_pixels: u64) -> Result<Decoded, Error> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| Error::Format)?;
    let format = reader.format().and_then(name).ok_or(Error::Format)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(BYTES_BESIDE));
    let failed = |source| refusal(format, &limits, source);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if max_pixels < pixels {
        return Err(Error::TooLarge { width, height, pixels, limit: max_pixels });
    }
    let mut remaining = limits.clone();
    (remaining.max_image_width, remaining.max_image_height) = (Some(width), Some(height));
    remaining.reserve(decoder.total_bytes()).map_err(failed)?;
    decoder.set_limits(remaining).map_err(failed)?;
    // Damaged EXIF data is no reason to refuse a picture.
    let exif = decoder.exif_metadata().unwrap_or(None);
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(Decoded { image, format, exif })
}

/// The RGB bytes of an image on white.
pub(super) fn on_white(image: &DynamicImage) -> Vec<u8> {
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        u8::try_from((value * alpha + 255 * (255 - alpha) + 127) / 255)
            .expect("a mean of two bytes is a byte")
    };
    let rgba = image.to_rgba8();
    rgba.pixels().flat_map(|&image::Rgba([r, g, b, a])| [over(r, a), over(g, a), over(b, a)]).collect()
}

/// How a format is called; `None` for those that are not read.
const fn name(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Png => Some("png"),
        ImageFormat::Jpeg => Some("jpeg"),
        ImageFormat::WebP => Some("webp"),
        ImageFormat::Bmp => Some("bmp"),
        ImageFormat::Tiff => Some("tiff"),
        _ => None,
    }
}

fn refusal(format: &'static str, limits: &Limits, source: ImageError) -> Error {
    match (source, limits.max_alloc) {
        (ImageError::Limits(_), Some(limit)) => Error::Memory { format, limit },
        (source, _) => Error::Damaged { format, message: one_line(&source) },
    }
}

/// Pixels as a text in millions, with two digits where the number is small.
fn megapixels(pixels: u64) -> String {
    let hundredths = pixels.saturating_add(5_000) / 10_000;
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    if rest == 0 || 100 <= whole { whole.to_string() } else { format!("{whole}.{rest:02}") }
}

/// A decoder's words without the line ends that some of them have.
fn one_line(error: &ImageError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
