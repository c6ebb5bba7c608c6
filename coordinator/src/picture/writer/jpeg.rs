//! A JPEG under way: rows of samples in, its scan out, one row of blocks at a time.
//!
//! Encoders of one whole picture cannot be fed from above. A restart marker, though, makes what follows it independent of
//! what precedes it (ITU-T T.81, E.1.4): with one behind every row of blocks, each such row is encoded as a picture of its
//! own, and its scan is a piece of ours. The file is the one that the encoder makes of the whole picture with the same
//! restart interval, byte for byte.

use std::io::Write;

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, EncodingError, SamplingFactor};

use super::Error;
use crate::picture::{
    encode::Metadata,
    exif,
    format::{self, Quality},
    rgb::CHANNELS,
};

/// Most bytes of EXIF data: a segment holds 65,533, of which `Exif` and two zeros take six.
const EXIF_LIMIT: usize = 65_527;

/// Markers: start of a baseline frame, start of a scan (ITU-T T.81, table B.1); the first restart of eight.
const FRAME: u8 = 0xC0;
const SCAN: u8 = 0xDA;
const RESTART: u8 = 0xD0;
/// End of the image.
const END: [u8; 2] = [0xFF, 0xD9];

/// From this quality on chroma has the picture's full size.
const FULL_CHROMA: u8 = 90;

/// A JPEG under way.
#[derive(Debug)]
pub(super) struct Jpeg<W> {
    sink: W,
    width: u16,
    height: u16,
    quality: Quality,
    exif: Option<Vec<u8>>,
    /// Samples of the row of blocks under way.
    samples: Vec<u8>,
    /// Rows of blocks that are written.
    written: u32,
}

/// A picture's EXIF data, without our JSON where that does not fit.
pub(super) fn exif_of(metadata: Metadata<'_>) -> Result<Option<Vec<u8>>, format::Error> {
    let all = exif::to_bytes(metadata);
    if all.as_ref().is_none_or(|bytes| bytes.len() <= EXIF_LIMIT) {
        return Ok(all);
    }
    let text = exif::to_bytes(Metadata { tessera: None, ..metadata });
    match text {
        Some(bytes) if EXIF_LIMIT < bytes.len() => {
            Err(format::Error::Text { bytes: bytes.len(), limit: EXIF_LIMIT })
        }
        text => Ok(text),
    }
}

// === impl Jpeg ===

impl<W: Write> Jpeg<W> {
    /// `width` and `height` have passed [`format::Format::check`].
    pub(super) fn new(sink: W, size: (u32, u32), quality: Quality, exif: Option<Vec<u8>>) -> Self {
        let side = |side: u32| u16::try_from(side).expect("a JPEG's sides were checked");
        Self {
            sink,
            width: side(size.0),
            height: side(size.1),
            quality,
            exif,
            samples: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn row(&mut self, samples: &[u8]) -> Result<(), Error> {
        self.samples.extend_from_slice(samples);
        if self.samples.len() == usize::from(self.width) * CHANNELS * usize::from(self.block()) {
            self.piece()?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, Error> {
        if !self.samples.is_empty() {
            self.piece()?;
        }
        self.sink.write_all(&END)?;
        Ok(self.sink)
    }

    /// Encodes the row of blocks under way.
    fn piece(&mut self) -> Result<(), Error> {
        let rows = self.samples.len() / (usize::from(self.width) * CHANNELS);
        let rows = u16::try_from(rows).expect("a row of blocks has at most 16 rows");
        let mut bytes = Vec::with_capacity(self.samples.len() / 2 + 4096);
        self.encoder(&mut bytes)?.encode(&self.samples, self.width, rows, ColorType::Rgb).map_err(refused)?;
        self.samples.clear();
        let (head, scan) = split(&mut bytes, self.height).ok_or_else(|| Error::Encoder {
            format: "jpeg",
            reason: "the encoder's headers are not in their order".to_owned(),
        })?;
        if self.written == 0 {
            self.sink.write_all(head)?;
        } else {
            let restart = u8::try_from((self.written - 1) % 8).expect("a rest of 8 is a byte");
            self.sink.write_all(&[0xFF, RESTART + restart])?;
        }
        self.sink.write_all(scan)?;
        self.written += 1;
        Ok(())
    }

    fn encoder<'b>(&self, bytes: &'b mut Vec<u8>) -> Result<Encoder<&'b mut Vec<u8>>, Error> {
        let mut encoder = Encoder::new(bytes, self.quality.get());
        encoder.set_sampling_factor(if self.block() == 8 {
            SamplingFactor::F_1_1
        } else {
            SamplingFactor::F_2_2
        });
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        encoder.set_restart_interval(self.width.div_ceil(self.block()));
        if let (0, Some(exif)) = (self.written, &self.exif) {
            encoder.add_exif_metadata(exif).map_err(refused)?;
        }
        Ok(encoder)
    }

    /// Side of a block of all three channels, px.
    const fn block(&self) -> u16 {
        if FULL_CHROMA <= self.quality.get() { 8 } else { 16 }
    }
}

/// Splits an encoded piece into what stands before its scan's data, and that data; the frame header gets the height of the
/// whole picture.
fn split(bytes: &mut [u8], height: u16) -> Option<(&[u8], &[u8])> {
    let mut at = 2;
    loop {
        let &[0xFF, marker, high, low] = bytes.get(at..at + 4)? else {
            return None;
        };
        if marker == FRAME {
            // Length, precision, then the height.
            bytes.get_mut(at + 5..at + 7)?.copy_from_slice(&height.to_be_bytes());
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == SCAN {
            break;
        }
    }
    let (head, scan) = bytes.split_at_checked(at)?;
    Some((head, scan.strip_suffix(&END)?))
}

fn refused(error: EncodingError) -> Error {
    match error {
        EncodingError::IoError(error) => Error::Io(error),
        error => Error::Encoder { format: "jpeg", reason: error.to_string() },
    }
}
