//! Pictures for the tests of measures: levels from a formula that numpy can repeat.

use super::{Metadata, Picture, encode_png, raster::Raster};

/// A level with slopes and edges: `((3 x² + 5 y² + 7 (channel + 1) x y) // 8 + 40 channel) % 256`.
pub(crate) fn scene(channel: u8, x: u32, y: u32) -> u8 {
    let channel = u32::from(channel);
    let level = (3 * x * x + 5 * y * y + 7 * (channel + 1) * x * y) / 8 + 40 * channel;
    u8::try_from(level % 256).expect("a rest of 256 is a byte")
}

/// A picture as its 8-bit PNG is read.
pub(crate) fn raster(width: u32, height: u32, level: impl Fn(u8, u32, u32) -> u8) -> Raster {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| [level(0, x, y), level(1, x, y), level(2, x, y)]);
    let picture = Picture::new(width, height, rgb.collect()).expect("three bytes a pixel");
    let png = encode_png(&picture, Metadata::default()).expect("a small picture");
    Raster::read(png, 1 << 20).expect("a PNG")
}
