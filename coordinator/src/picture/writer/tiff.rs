//! A TIFF under way: rows of samples in, deflated strips out, the directories last.
//!
//! Baseline RGB of TIFF 6.0, high byte first, with two extensions that every reader of today has: Adobe's deflate
//! (compression 8, TIFF Technical Note of 2002) and horizontal differencing (section 14). Written here because the
//! encoders to be had borrow themselves while a picture is under way, and none writes EXIF data.

use std::io::{Seek, SeekFrom, Write};

use flate2::{Compression, write::ZlibEncoder};

use super::Error;
use crate::picture::{
    encode::Metadata,
    exif,
    format::{self, Depth},
    ifd::{Directory, MAGIC, Value},
    rgb::CHANNELS,
};

/// Bytes of a strip before compression: large enough to compress, small enough to hold.
const STRIP: usize = 256 << 10;

/// Zlib level.
const LEVEL: u32 = 1;

/// A TIFF under way.
#[derive(Debug)]
pub(super) struct Tiff<W> {
    sink: W,
    width: u32,
    height: u32,
    depth: Depth,
    exif: Option<Directory>,
    /// Samples of the strip under way, each but a row's first pixel as its difference from the one before.
    strip: Vec<u8>,
    rows_per_strip: u32,
    rows_in_strip: u32,
    /// Where the next byte goes.
    at: u32,
    offsets: Vec<u32>,
    lengths: Vec<u32>,
}

// === impl Tiff ===

impl<W: Write + Seek> Tiff<W> {
    pub(super) fn new(
        mut sink: W,
        (width, height): (u32, u32),
        depth: Depth,
        metadata: Metadata<'_>,
    ) -> Result<Self, Error> {
        // The offset of the first directory follows when it is known.
        sink.write_all(&MAGIC)?;
        sink.write_all(&[0; 4])?;
        let row = width as usize * CHANNELS * depth.bytes();
        let rows_per_strip = u32::try_from((STRIP / row).max(1)).unwrap_or(u32::MAX).min(height);
        Ok(Self {
            sink,
            width,
            height,
            depth,
            exif: exif::directory(metadata),
            strip: Vec::with_capacity(row * rows_per_strip as usize),
            rows_per_strip,
            rows_in_strip: 0,
            at: 8,
            offsets: Vec::new(),
            lengths: Vec::new(),
        })
    }

    pub(super) fn row(&mut self, samples: &[u8]) -> Result<(), Error> {
        difference(&mut self.strip, samples, self.depth);
        self.rows_in_strip += 1;
        if self.rows_in_strip == self.rows_per_strip { self.end_strip() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<W, Error> {
        if 0 < self.rows_in_strip {
            self.end_strip()?;
        }
        let too_long = format::Error::Bytes { width: self.width, height: self.height };
        let mut first = self.directory();
        if let Some(exif) = self.exif.take() {
            let at = self.at;
            let bytes = exif.to_bytes(at).ok_or_else(|| too_long.clone())?;
            self.put(&bytes)?;
            first.set(exif::POINTER, Value::Longs(vec![at]));
        }
        let at = self.at;
        let bytes = first.to_bytes(at).ok_or(too_long)?;
        self.put(&bytes)?;
        self.sink.seek(SeekFrom::Start(4))?;
        self.sink.write_all(&at.to_be_bytes())?;
        self.sink.seek(SeekFrom::End(0))?;
        Ok(self.sink)
    }

    fn end_strip(&mut self) -> Result<(), Error> {
        let mut encoder = ZlibEncoder::new(Vec::with_capacity(self.strip.len()), Compression::new(LEVEL));
        encoder.write_all(&self.strip)?;
        let bytes = encoder.finish()?;
        self.strip.clear();
        self.rows_in_strip = 0;
        self.offsets.push(self.at);
        self.lengths.push(length(&bytes, (self.width, self.height))?);
        self.put(&bytes)
    }

    /// Writes bytes, and one more where the next offset would be odd.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let size = (self.width, self.height);
        let end = self.at.checked_add(length(bytes, size)?).and_then(|end| end.checked_next_multiple_of(2));
        self.sink.write_all(bytes)?;
        if !bytes.len().is_multiple_of(2) {
            self.sink.write_all(&[0])?;
        }
        self.at = end.ok_or(format::Error::Bytes { width: size.0, height: size.1 })?;
        Ok(())
    }

    /// What TIFF 6.0 asks of an RGB picture (section 6), and the two extensions.
    fn directory(&mut self) -> Directory {
        let mut directory = Directory::default();
        let mut short = |tag, values: &[u16]| directory.set(tag, Value::Shorts(values.to_vec()));
        short(258, &[u16::from(self.depth.bits()); CHANNELS]); // BitsPerSample
        short(259, &[8]); // Compression: deflate
        short(262, &[2]); // PhotometricInterpretation: RGB
        short(277, &[3]); // SamplesPerPixel
        short(284, &[1]); // PlanarConfiguration: interleaved
        short(296, &[2]); // ResolutionUnit: inch
        short(317, &[2]); // Predictor: horizontal differences
        let mut long = |tag, values| directory.set(tag, Value::Longs(values));
        long(256, vec![self.width]); // ImageWidth
        long(257, vec![self.height]); // ImageLength
        long(273, std::mem::take(&mut self.offsets)); // StripOffsets
        long(278, vec![self.rows_per_strip]); // RowsPerStrip
        long(279, std::mem::take(&mut self.lengths)); // StripByteCounts
        // XResolution, YResolution.
        directory.set(282, Value::Rational(72, 1));
        directory.set(283, Value::Rational(72, 1));
        directory
    }
}

/// Appends a row, each sample as its difference from the same channel's in the pixel before (section 14).
fn difference(strip: &mut Vec<u8>, samples: &[u8], depth: Depth) {
    let pixel = CHANNELS * depth.bytes();
    let (first, rest) = samples.split_at(pixel);
    strip.extend_from_slice(first);
    match depth {
        Depth::Eight => strip.extend(rest.iter().zip(samples).map(|(now, before)| now.wrapping_sub(*before))),
        Depth::Sixteen => {
            let wide = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
            let pairs = rest.chunks_exact(2).zip(samples.chunks_exact(2));
            strip.extend(pairs.flat_map(|(now, before)| wide(now).wrapping_sub(wide(before)).to_be_bytes()));
        }
    }
}

fn length(bytes: &[u8], (width, height): (u32, u32)) -> Result<u32, format::Error> {
    u32::try_from(bytes.len()).map_err(|_| format::Error::Bytes { width, height })
}
