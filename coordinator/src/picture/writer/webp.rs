//! A WebP under way: rows of samples in, nothing out until the last.
//!
//! Lossless WebP codes all pixels with codes that stand before the first of them, so the whole picture is needed.

use std::io::Write;

use image_webp::{ColorType, EncodingError, WebPEncoder};

use super::Error;

/// A WebP under way.
#[derive(Debug)]
pub(super) struct WebP<W> {
    sink: W,
    size: (u32, u32),
    exif: Option<Vec<u8>>,
    samples: Vec<u8>,
}

// === impl WebP ===

impl<W: Write> WebP<W> {
    pub(super) const fn new(sink: W, size: (u32, u32), exif: Option<Vec<u8>>) -> Self {
        Self { sink, size, exif, samples: Vec::new() }
    }

    pub(super) fn row(&mut self, samples: &[u8]) {
        if self.samples.is_empty() {
            // Exactly: growing would take up to three times as much on the way.
            self.samples.reserve_exact(samples.len() * self.size.1 as usize);
        }
        self.samples.extend_from_slice(samples);
    }

    pub(super) fn finish(mut self) -> Result<W, Error> {
        let mut encoder = WebPEncoder::new(&mut self.sink);
        if let Some(exif) = self.exif {
            encoder.set_exif_metadata(exif);
        }
        let (width, height) = self.size;
        encoder.encode(&self.samples, width, height, ColorType::Rgb8).map_err(refused)?;
        Ok(self.sink)
    }
}

fn refused(error: EncodingError) -> Error {
    match error {
        EncodingError::IoError(error) => Error::Io(error),
        error => Error::Encoder { format: "webp", reason: error.to_string() },
    }
}
