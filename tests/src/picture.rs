//! Picture files: hashes, texts and pixels out of PNG, and small pictures to start from.

use std::{
    fs::{self, File},
    io::{BufReader, Cursor},
    path::Path,
};

use image::{ImageFormat, Rgb, RgbImage};

/// Hash of a file's bytes, hexadecimal.
///
/// # Panics
/// There is no such file.
#[must_use]
pub fn hash(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    blake3::hash(&bytes).to_string()
}

/// The pixels of a picture.
///
/// # Panics
/// It is none.
#[must_use]
pub fn pixels(path: &Path) -> RgbImage {
    image::open(path).expect("a picture").to_rgb8()
}

/// A PNG's text of this keyword, latin-1 or international.
///
/// # Panics
/// It is no PNG.
#[must_use]
pub fn text(path: &Path, keyword: &str) -> Option<String> {
    let file = BufReader::new(File::open(path).expect("a picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    // Texts may stand behind the pixels.
    reader.finish().expect("a whole PNG");
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter();
    let plain = plain.filter(|text| text.keyword == keyword);
    let international = info.utf8_text.iter().filter(|text| text.keyword == keyword);
    let international = international.map(|text| text.get_text().expect("text in UTF-8"));
    plain.map(|text| text.text.clone()).chain(international).next()
}

/// A picture with an edge and a gradient in each direction.
#[must_use]
pub fn scene(width: u32, height: u32) -> RgbImage {
    let shade = |part: u32, whole: u32| u8::try_from(part * 255 / whole.max(1)).unwrap_or(u8::MAX);
    RgbImage::from_fn(width, height, |x, y| {
        let sky = if 2 * y < height { 200 } else { 40 };
        Rgb([shade(x, width), shade(y, height), sky])
    })
}

/// The bytes of a picture file.
///
/// # Panics
/// The format cannot be written.
#[must_use]
pub fn bytes(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("the format can be written");
    bytes.into_inner()
}

/// A small PNG that claims to be large.
///
/// # Panics
/// A side is 0.
#[must_use]
pub fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    // An empty zlib stream: nobody should come as far as to miss the pixels.
    let nothing = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    writer.write_chunk(png::chunk::IDAT, &nothing).expect("memory can be written");
    drop(writer);
    bytes
}
