use std::io::{Cursor, ErrorKind, SeekFrom};

use image::{DynamicImage, ImageFormat};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::*;
use crate::picture::{
    Picture, encode_png,
    exif::{self, Texts},
    format::{Depth, Quality, Wish},
};

const TEXTS: Metadata<'_> =
    Metadata { parameters: Some("a café\nSteps: 1, Seed: 2, Size: 3x4"), tessera: Some("{\"a\":\"漢\"}") };

/// Values in -1..1 with gradients, an edge and noise, `[3, height, width]`.
fn values(width: u32, height: u32) -> Vec<f32> {
    let mut noise = 1_u32;
    let mut value = |channel: u32, x: u32, y: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let edge = if x * 3 < width + y { 0.3 } else { -0.2 };
        let slope = (channel + 1) * (x + 2 * y) % 97;
        let noise = f32::from(u8::try_from(noise >> 24).unwrap()) / 2560.0;
        edge + f32::from(u8::try_from(slope).unwrap()) / 100.0 - 0.4 + noise
    };
    let mut values = Vec::new();
    for channel in 0..3 {
        for y in 0..height {
            values.extend((0..width).map(|x| value(channel, x, y)));
        }
    }
    values
}

fn header(format: Format, (width, height): (u32, u32)) -> Header<'static> {
    Header { format, width, height, range: Range::Signed, metadata: TEXTS }
}

fn format(ending: &str, bits: Option<u8>, quality: Option<u8>) -> Format {
    Format::of(ending, Wish { bits, quality }).unwrap()
}

/// A file of [`values`], written in bands of so many rows.
fn file(format: Format, (width, height): (u32, u32), band: u32) -> Vec<u8> {
    let values = values(width, height);
    let planes = Planes::new([3, height as usize, width as usize], &values).unwrap();
    let mut writer = Writer::new(Cursor::new(Vec::new()), header(format, (width, height))).unwrap();
    for y0 in (0..height).step_by(band as usize) {
        let rows = y0..height.min(y0 + band);
        let band: Vec<f32> = (0..3)
            .flat_map(|channel| rows.clone().flat_map(move |y| planes.row(channel, y as usize)))
            .copied()
            .collect();
        writer.write(Planes::new([3, rows.len(), width as usize], &band).unwrap()).unwrap();
    }
    assert_eq!(writer.rows_left(), 0);
    writer.finish().unwrap().into_inner()
}

/// The rounded picture that every exact 8-bit format holds.
fn rounded(width: u32, height: u32) -> Picture {
    let values = values(width, height);
    Picture::from_planes(Planes::new([3, height as usize, width as usize], &values).unwrap()).unwrap()
}

fn all() -> [Format; 7] {
    [
        format("png", None, None),
        format("png", Some(16), None),
        format("jpg", None, None),
        format("jpg", None, Some(75)),
        format("webp", None, None),
        format("tif", None, None),
        format("tif", Some(16), None),
    ]
}

#[test]
fn bands_leave_no_trace() {
    for format in all() {
        for size in [(33, 50), (1, 1), (70, 16), (16, 8)] {
            let whole = file(format, size, size.1);
            for band in [1, 7, 8, 16, 33] {
                assert!(file(format, size, band) == whole, "{format:?} of {size:?} px in bands of {band}");
            }
        }
    }
}

#[test]
fn exact_formats_hold_the_rounded_picture() {
    let picture = rounded(333, 211);
    for format in [format("png", None, None), format("webp", None, None), format("tif", None, None)] {
        let image = image::load_from_memory(&file(format, (333, 211), 8)).unwrap();
        assert!(matches!(image, DynamicImage::ImageRgb8(_)), "{format:?}");
        assert!(image.to_rgb8().as_raw() == picture.rgb(), "{format:?}");
    }
}

#[test]
fn sixteen_bits_are_in_the_file() {
    let values = values(333, 211);
    let level = |value: f32| ((f64::from(value) + 1.0) * 32_767.5).clamp(0.0, 65_535.0);
    for format in [format("png", Some(16), None), format("tif", Some(16), None)] {
        let image = image::load_from_memory(&file(format, (333, 211), 8)).unwrap();
        assert!(matches!(image, DynamicImage::ImageRgb16(_)), "{format:?}");
        let samples = image.to_rgb16().into_raw();
        for (pixel, sample) in samples.chunks_exact(3).enumerate() {
            for (channel, &sample) in sample.iter().enumerate() {
                let expected = level(values[channel * 333 * 211 + pixel]);
                // Half a level, and what f32 adds at 65,535: 2^-8.
                assert!(
                    (f64::from(sample) - expected).abs() < 0.51,
                    "{format:?} at {pixel}: {sample} {expected}"
                );
            }
        }
    }
}

/// The chunks of a PNG, in order, all IDAT as one: type and data.
fn chunks(png: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut rest = &png[8..];
    let mut chunks: Vec<(String, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        let (name, data) = (String::from_utf8(rest[4..8].to_vec()).unwrap(), &rest[8..8 + length]);
        match chunks.last_mut() {
            Some((last, joined)) if *last == name && name == "IDAT" => joined.extend(data),
            _ => chunks.push((name, data.to_vec())),
        }
        rest = &rest[12 + length..];
    }
    chunks
}

#[test]
fn a_png_is_what_it_was_when_it_was_written_at_once_but_for_the_length_of_its_chunks() {
    let (width, height) = (333, 211);
    let once = encode_png(&rounded(width, height), TEXTS).unwrap();
    assert!(chunks(&file(format("png", None, None), (width, height), 8)) == chunks(&once));
}

#[test]
fn a_jpeg_is_what_its_encoder_makes_of_the_whole_picture() {
    for (quality, sampling, block) in [(95, SamplingFactor::F_1_1, 8), (75, SamplingFactor::F_2_2, 16)] {
        for (width, height) in [(333, 211), (64, 192), (9, 5)] {
            let mut whole = Vec::new();
            let mut encoder = Encoder::new(&mut whole, quality);
            encoder.set_sampling_factor(sampling);
            encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
            encoder.set_restart_interval(u16::try_from(width).unwrap().div_ceil(block));
            encoder.add_exif_metadata(&exif::to_bytes(TEXTS).unwrap()).unwrap();
            let picture = rounded(width, height);
            let side = |side: u32| u16::try_from(side).unwrap();
            encoder.encode(picture.rgb(), side(width), side(height), ColorType::Rgb).unwrap();
            let file = file(format("jpg", None, Some(quality)), (width, height), 3);
            assert!(file == whole, "{width}x{height} px in quality {quality}");
        }
    }
}

/// Mean square error of a JPEG of a picture with gradients and edges, 8-bit levels.
fn jpeg_error(quality: u8) -> f64 {
    let level = |channel: usize, x: u32, y: u32| match channel {
        0 => x * 255 / 319,
        1 => y * 255 / 199,
        _ => (x * x / 64 + y * 3) / 8 % 256,
    };
    let level = |channel, x, y| u8::try_from(level(channel, x, y)).unwrap();
    let row = |channel, y| (0..320).map(move |x| f32::from(level(channel, x, y)) / 255.0).collect::<Vec<_>>();
    let header = Header { range: Range::Unit, ..header(format("jpg", None, Some(quality)), (320, 200)) };
    let mut writer = Writer::new(Cursor::new(Vec::new()), header).unwrap();
    for y in 0..200 {
        let rows: [Vec<f32>; 3] = std::array::from_fn(|channel| row(channel, y));
        writer.row(std::array::from_fn(|channel| rows[channel].as_slice())).unwrap();
    }
    let image = image::load_from_memory(&writer.finish().unwrap().into_inner()).unwrap().to_rgb8();
    let error = |(x, y, pixel): (u32, u32, &image::Rgb<u8>)| {
        let channel = |channel| f64::from(pixel[channel]) - f64::from(level(channel, x, y));
        (0..3).map(|index| channel(index).powi(2)).sum::<f64>()
    };
    image.enumerate_pixels().map(error).sum::<f64>() / 192_000.0
}

#[test]
fn a_jpeg_is_as_near_its_picture_as_that_of_libjpeg() {
    // Pillow 13 (libjpeg-turbo), the same quality and chroma: mean((decoded - picture) ** 2)
    for (quality, expected) in [(95, 0.555_573), (75, 5.211_625)] {
        let error = jpeg_error(quality);
        assert!((error / expected - 1.0).abs() < 0.03, "quality {quality}: {error}, libjpeg {expected}");
    }
}

#[test]
fn texts_come_back_from_every_format() {
    let expected =
        Texts { parameters: TEXTS.parameters.map(str::to_owned), tessera: TEXTS.tessera.map(str::to_owned) };
    for format in all() {
        let bytes = file(format, (20, 20), 8);
        let texts = match format {
            Format::Png(_) => continue,
            Format::Tiff(_) => exif::read(Cursor::new(&bytes)),
            Format::Jpeg(_) | Format::WebP => {
                use image::ImageDecoder as _;
                let mut decoder = image::ImageReader::new(Cursor::new(&bytes))
                    .with_guessed_format()
                    .unwrap()
                    .into_decoder()
                    .unwrap();
                exif::read_bytes(&decoder.exif_metadata().unwrap().unwrap())
            }
        };
        assert_eq!(texts, expected, "{format:?}");
    }
}

#[test]
fn a_jpeg_leaves_out_the_json_before_it_refuses_a_text() {
    let long = "x".repeat(40_000);
    let size = (8, 8);
    let with = |metadata| Header { metadata, ..header(format("jpg", None, None), size) };
    let both = Metadata { parameters: Some("short"), tessera: Some(&long) };
    assert!(with(both).check().is_ok());
    let both = Metadata { parameters: Some("short"), tessera: Some(&long.repeat(2)) };
    assert!(with(both).check().is_ok());
    let exif = jpeg::exif_of(both).unwrap().unwrap();
    assert_eq!(exif::read_bytes(&exif), Texts { parameters: Some("short".to_owned()), tessera: None });
    let error = with(Metadata { parameters: Some(&long), tessera: None }).check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the picture's settings take 80052 bytes as EXIF, the limit of a jpeg is 65527: shorten the prompt, or \
         choose .png"
    );
}

#[test]
fn formats_are_found_by_their_first_bytes() {
    let guesses = all().map(|format| image::guess_format(&file(format, (8, 8), 8)).unwrap());
    use ImageFormat::{Jpeg, Png, Tiff, WebP};
    assert_eq!(guesses, [Png, Png, Jpeg, Jpeg, WebP, Tiff, Tiff]);
}

#[test]
fn wrong_rows_are_refused() {
    for format in all() {
        let mut writer = Writer::new(Cursor::new(Vec::new()), header(format, (4, 2))).unwrap();
        let row = [0.0; 5];
        let error = writer.row([&row, &row, &row]).unwrap_err();
        assert_eq!(error.to_string(), "a row of 5 px does not fit a picture of 4 px across");
        let bad = [0.0, f32::NAN, 0.0, 0.0];
        let error = writer.row([&row[..4], &bad, &row[..4]]).unwrap_err();
        assert!(
            matches!(error, Error::Values(rgb::Error::NotFinite { x: 1, y: 0, channel: 1, .. })),
            "{error}"
        );
        writer.row([&row[..4]; 3]).unwrap();
        writer.row([&row[..4]; 3]).unwrap();
        assert_eq!(writer.row([&row[..4]; 3]).unwrap_err().to_string(), "a picture of 2 rows got 3");
        assert!(writer.finish().is_ok());
        let writer = Writer::new(Cursor::new(Vec::new()), header(format, (4, 2))).unwrap();
        assert_eq!(writer.finish().unwrap_err().to_string(), "a picture of 2 rows got 0");
        assert!(Writer::new(Cursor::new(Vec::new()), header(format, (0, 2))).is_err());
    }
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_comes() {
    let values = values(40, 40);
    let planes = Planes::new([3, 40, 40], &values).unwrap();
    for format in all() {
        let write = |room| {
            let mut writer = Writer::new(Disk(room), header(format, (40, 40)))?;
            writer.write(planes)?;
            writer.finish().map(drop)
        };
        let length = file(format, (40, 40), 8).len();
        // A TIFF's offset is written twice.
        assert!(write(length + 4).is_ok(), "{format:?}");
        for room in [0, 9, length / 2, length - 1] {
            assert!(matches!(write(room), Err(Error::Io(_))), "{format:?} with {room} of {length} bytes");
        }
    }
}

#[test]
fn quality_decides_the_size() {
    let size = |quality| file(Format::Jpeg(Quality::new(quality).unwrap()), (200, 200), 8).len();
    assert!(size(50) < size(80) && size(80) < size(95), "{} {} {}", size(50), size(80), size(95));
    assert_eq!(Format::Png(Depth::Eight).depth().bits(), 8);
}
