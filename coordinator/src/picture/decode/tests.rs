//! Every format against the same pixels; refusals by their sentences; damaged bytes never panic.

use image::{ExtendedColorType, ImageEncoder};
use proptest::prelude::*;

use super::*;
use crate::picture::{Metadata, encode_png};

/// Soft colours, so that JPEG keeps them within a few levels.
fn soft(width: u32, height: u32) -> Picture {
    let byte = |value: u32| u8::try_from(value).unwrap();
    let pixel = |x, y| [byte(x * 200 / width), byte(y * 200 / height), 90];
    let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)));
    Picture::new(width, height, rgb.collect()).unwrap()
}

fn encoded(picture: &Picture, format: ImageFormat) -> Vec<u8> {
    let image = image::RgbImage::from_raw(picture.width(), picture.height(), picture.rgb().to_vec()).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png_of(color: ExtendedColorType, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes).write_image(data, width, height, color).unwrap();
    bytes
}

/// A PNG that is nothing but a header which claims a size.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode_png(&Picture::black(1, 1).unwrap(), Metadata::default()).unwrap();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

fn text(bytes: &[u8], max_pixels: u64) -> String {
    decode(bytes, max_pixels).unwrap_err().to_string()
}

#[test]
fn lossless_formats_give_the_same_pixels() {
    let picture = soft(37, 21);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        assert_eq!(decode(&encoded(&picture, format), MAX_PIXELS).unwrap(), picture, "{format:?}");
    }
    let jpeg = decode(&encoded(&picture, ImageFormat::Jpeg), MAX_PIXELS).unwrap();
    assert!(jpeg.rgb().iter().zip(picture.rgb()).all(|(a, b)| a.abs_diff(*b) < 24));
}

#[test]
fn other_pixels_become_8_bit_rgb() {
    let rgb = |bytes: Vec<u8>| decode(&bytes, MAX_PIXELS).unwrap().rgb().to_vec();
    assert_eq!(rgb(png_of(ExtendedColorType::L8, 2, 1, &[7, 200])), [7, 7, 7, 200, 200, 200]);
    // 16 bits: 0x00FF is 255 / 257 of a level, 0x0080 is 0.498 of one.
    let deep: Vec<u8> = [0x00FF_u16, 0x0080, 0xFFFF].into_iter().flat_map(u16::to_ne_bytes).collect();
    assert_eq!(rgb(png_of(ExtendedColorType::Rgb16, 1, 1, &deep)), [1, 0, 255]);
    let alpha = [10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 255, 51];
    assert_eq!(
        rgb(png_of(ExtendedColorType::Rgba8, 3, 1, &alpha)),
        [10, 20, 30, 255, 255, 255, 204, 224, 255]
    );
    assert_eq!(rgb(png_of(ExtendedColorType::La8, 2, 1, &[0, 255, 0, 0])), [0, 0, 0, 255, 255, 255]);
}

#[test]
fn a_jpeg_is_turned_upright() {
    let picture = soft(32, 16);
    let jpeg = encoded(&picture, ImageFormat::Jpeg);
    // After the start marker, EXIF data with one entry: orientation 6, to be turned clockwise by a quarter.
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let turned = [&jpeg[..2], &[0xFF, 0xE1], &length, exif, &jpeg[2..]].concat();
    let (flat, upright) = (decode(&jpeg, MAX_PIXELS).unwrap(), decode(&turned, MAX_PIXELS).unwrap());
    assert_eq!((upright.width(), upright.height()), (16, 32));
    // Clockwise: the left bottom corner comes to the left top.
    assert_eq!(upright.rgb()[..3], flat.rgb()[15 * 32 * 3..][..3]);
}

#[test]
fn too_many_pixels_are_refused_before_decoding() {
    assert_eq!(
        text(&bomb(40_000, 40_000), MAX_PIXELS),
        "the image is 40000x40000 px (1600 Mpx), the limit is 67.11 Mpx"
    );
    let line = text(&bomb(u32::MAX >> 1, 3), 1 << 20);
    assert_eq!(line, "the png image needs more than 24 MiB to decode, which is the limit");
    let picture = soft(40, 30);
    for format in
        [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Jpeg]
    {
        let bytes = encoded(&picture, format);
        assert!(decode(&bytes, 1200).is_ok());
        assert!(
            matches!(decode(&bytes, 1199), Err(Error::TooLarge { pixels: 1200, limit: 1199, .. })),
            "{format:?}"
        );
    }
}

#[test]
fn a_header_without_pixels_is_damaged() {
    let message = text(&bomb(4000, 4000), MAX_PIXELS);
    assert!(message.starts_with("the png image is damaged or of an unknown variant: "), "{message}");
}

#[test]
fn what_is_no_image_is_refused() {
    let expected = "the file is not an image that can be read: it must be png, jpeg, webp, bmp or tiff";
    for bytes in [&b""[..], b"hello", b"GIF89a\x01\0\x01\0", b"%PDF-1.7"] {
        assert_eq!(text(bytes, MAX_PIXELS), expected);
    }
}

#[test]
fn a_cut_file_is_damaged() {
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let bytes = encoded(&soft(64, 64), format);
        let message = text(&bytes[..bytes.len() * 2 / 3], MAX_PIXELS);
        assert!(message.contains("image is damaged"), "{format:?}: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn flipped_bits_never_panic(format in 0_usize..5, at in any::<prop::sample::Index>(), mask in 1_u8..) {
        use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
        let mut bytes = encoded(&soft(20, 20), [Png, Jpeg, WebP, Bmp, Tiff][format]);
        let place = at.index(bytes.len());
        bytes[place] ^= mask;
        if let Ok(picture) = decode(&bytes, 10_000) {
            prop_assert!(u64::from(picture.width()) * u64::from(picture.height()) <= 10_000);
        }
    }
}
