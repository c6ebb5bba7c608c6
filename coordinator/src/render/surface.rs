//! Where decoded values go: disjoint parts of a picture in any order in; a picture in memory, or rows for a file, out. Pure.
//!
//! A picture that a later stage needs is rounded straight into 8-bit pixels and kept whole. The finished picture is not: its
//! rows leave as soon as they are whole, and are rounded where they are written.

use tessera_proto::{Rect, job::Size};

use super::error::Error;
use crate::{
    canvas::{Planes, blend::Row},
    picture::{Band, Bands, Picture, rgb},
};

/// Values of the finished picture that may be under way, bytes: 2.7 rows of tiles of 512 px where it is 16,384 px wide, and
/// the whole of it up to 4,700 x 4,700 px.
///
/// Tests' pictures are small, and shall reach the limit all the same.
const AHEAD: usize = if cfg!(test) { 0 } else { 256 << 20 };

/// A picture under way.
#[derive(Debug)]
pub(super) struct Surface {
    size: Size,
    pixels: Pixels,
    /// The picture before rounding, `[3, h, w]`, when it shall be kept.
    image: Option<Vec<f32>>,
}

#[derive(Debug)]
enum Pixels {
    /// For a stage that goes on with them.
    Kept(Picture),
    /// For a file.
    Passing(Bands),
}

/// What a whole picture leaves in memory.
#[derive(Debug)]
pub(super) enum Painted {
    /// The pixels.
    Picture(Picture),
    /// Nothing, as all rows have left; but `[3, h, w]` before rounding, when it was to be kept.
    File(Option<Vec<f32>>),
}

// === impl Surface ===

impl Surface {
    /// A picture of this size, px, to be kept.
    pub(super) fn kept(size: Size) -> Result<Self, Error> {
        let picture = Picture::black(size.width, size.height)?;
        Ok(Self { size, pixels: Pixels::Kept(picture), image: None })
    }

    /// A picture of this size, px, whose rows go to a file; its values are kept where `keep_image` says so.
    pub(super) fn passing(size: Size, keep_image: bool) -> Result<Self, Error> {
        let bands = Bands::new(size.width, size.height)?;
        let values = || rgb::CHANNELS * size.width as usize * size.height as usize;
        Ok(Self { size, pixels: Pixels::Passing(bands), image: keep_image.then(|| vec![0.0; values()]) })
    }

    /// The same without anything painted.
    pub(super) fn emptied(&self) -> Result<Self, Error> {
        match self.pixels {
            Pixels::Kept(_) => Self::kept(self.size),
            Pixels::Passing(_) => Self::passing(self.size, self.image.is_some()),
        }
    }

    /// Takes the final values of a part, `[3, height, width]`.
    pub(super) fn paint(&mut self, part: Rect, values: &[f32]) -> Result<(), Error> {
        let (columns, rows) = (part.width() as usize, part.height() as usize);
        let planes = Planes::new([rgb::CHANNELS, rows, columns], values)?;
        match &mut self.pixels {
            Pixels::Passing(bands) => bands.put(part, values)?,
            Pixels::Kept(picture) => {
                for channel in 0..rgb::CHANNELS {
                    for (line, y) in (part.y0()..part.y1()).enumerate() {
                        picture.paint(Row { channel, y, x0: part.x0() }, planes.row(channel, line))?;
                    }
                }
            }
        }
        if let Some(image) = &mut self.image {
            let (width, height) = (self.size.width as usize, self.size.height as usize);
            for channel in 0..rgb::CHANNELS {
                for line in 0..rows {
                    let start = (channel * height + part.y0() as usize + line) * width + part.x0() as usize;
                    image[start..][..columns].copy_from_slice(planes.row(channel, line));
                }
            }
        }
        Ok(())
    }

    /// Rows that are whole now and go to the file, if any.
    pub(super) fn take(&mut self) -> Option<Band> {
        match &mut self.pixels {
            Pixels::Passing(bands) => bands.take(),
            Pixels::Kept(_) => None,
        }
    }

    /// How many rows below those that are written may be under way.
    ///
    /// Values of tiles that were handed out, of rows that miss a tile and of rows that wait for the disk lie in memory:
    /// for a file at most [`AHEAD`] bytes, but at least two rows of tiles, so that one is computed while the other's last
    /// tile comes. `tile` is the tallest tile, px.
    pub(super) fn rows_ahead(&self, tile: u32) -> u32 {
        match self.pixels {
            Pixels::Kept(_) => u32::MAX,
            Pixels::Passing(_) => rows_within(AHEAD, self.size.width).max(tile.saturating_mul(2)),
        }
    }

    /// What is left once all parts are painted and all rows taken.
    pub(super) fn finish(self) -> Painted {
        match self.pixels {
            Pixels::Kept(picture) => Painted::Picture(picture),
            Pixels::Passing(_) => Painted::File(self.image),
        }
    }
}

/// Rows of values of a picture so wide, px, that so many bytes hold.
fn rows_within(bytes: usize, width: u32) -> u32 {
    u32::try_from(bytes / (rgb::CHANNELS * width as usize * size_of::<f32>())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 4, height: 4 };

    fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
        Rect::new(x0, y0, x1, y1).unwrap()
    }

    #[test]
    fn a_kept_picture_has_the_pixels_that_the_rows_of_a_file_are_rounded_to() {
        let parts = [rect(0, 0, 3, 2), rect(3, 0, 4, 4), rect(0, 2, 3, 4)];
        let (mut kept, mut passing) = (Surface::kept(SIZE).unwrap(), Surface::passing(SIZE, true).unwrap());
        let mut rounded = Vec::new();
        for part in parts {
            let value = |index: usize| f32::from(u8::try_from(index).unwrap()) / 20.0 - 0.9;
            let values: Vec<_> = (0..3 * usize::try_from(part.area()).unwrap()).map(value).collect();
            kept.paint(part, &values).unwrap();
            passing.paint(part, &values).unwrap();
            assert!(kept.take().is_none());
            for row in passing.take().iter().flat_map(Band::rows) {
                rounded.extend((0..4).flat_map(|x| row.map(|values| rgb::quantise(values[x]))));
            }
        }
        let Painted::Picture(picture) = kept.finish() else { panic!("it was to be kept") };
        assert_eq!(picture.rgb(), rounded);
        let Painted::File(Some(image)) = passing.finish() else { panic!("its values were to be kept") };
        let whole = Picture::from_planes(Planes::new([3, 4, 4], &image).unwrap()).unwrap();
        assert!(whole == picture);
    }

    #[test]
    fn wide_pictures_have_fewer_rows_under_way() {
        assert_eq!(rows_within(256 << 20, 16_384), 1365);
        assert!(16_384 < rows_within(256 << 20, 1024), "all of a narrow one");
        assert_eq!(Surface::passing(SIZE, false).unwrap().rows_ahead(8), 16, "two rows of tiles");
        assert_eq!(Surface::kept(SIZE).unwrap().rows_ahead(8), u32::MAX);
    }
}
