//! Picture files that are written from the top: rows of values in, a file's bytes out, a few rows at a time.
//!
//! The same rows and texts give the same bytes, whatever bands they came in. A PNG, JPEG or TIFF never lies in memory: a
//! row, eight or sixteen, or a strip of 256 KiB does. A WebP can only be made of the whole picture
//! ([`Format::memory`](super::Format::memory)).

mod jpeg;
mod png;
mod tiff;
mod webp;

use std::io::{self, Seek, Write};

use super::{
    encode::Metadata,
    exif,
    format::{self, Format},
    levels::{self, Range},
    rgb::{self, CHANNELS},
};
use crate::canvas::Planes;

use jpeg::Jpeg;
use png::Png;
use tiff::Tiff;
use webp::WebP;

/// What is known of a picture before its first row.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// How it is written.
    pub format: Format,
    /// Columns, px.
    pub width: u32,
    /// Rows, px.
    pub height: u32,
    /// What its values mean.
    pub range: Range,
    /// Its texts. PNG has chunks for them, all others EXIF data. A JPEG has room for 64 KiB: where both do not fit, the
    /// JSON is left out.
    pub metadata: Metadata<'a>,
}

/// A picture file under way.
#[derive(Debug)]
pub struct Writer<W: Write + Seek> {
    format: Format,
    width: u32,
    height: u32,
    range: Range,
    /// Rows that are written.
    y: u32,
    /// The samples of the row under way.
    samples: Vec<u8>,
    file: File<W>,
}

/// Why a picture file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The format cannot hold this picture.
    #[error(transparent)]
    Format(#[from] format::Error),
    /// A side is 0, or a value is no number.
    #[error(transparent)]
    Values(#[from] rgb::Error),
    /// The rows are of another width than the picture.
    #[error("a row of {actual} px does not fit a picture of {expected} px across")]
    Width {
        /// Columns of the picture.
        expected: u32,
        /// Columns received.
        actual: usize,
    },
    /// There are more rows than the picture has, or it was ended early.
    #[error("a picture of {expected} rows got {actual}")]
    Height {
        /// Rows of the picture.
        expected: u32,
        /// Rows received.
        actual: u64,
    },
    /// The encoder refused what we made sure it takes.
    #[error("cannot encode a picture as {format}: {reason}")]
    Encoder {
        /// The format.
        format: &'static str,
        /// What the encoder said.
        reason: String,
    },
    /// The file cannot be written: the disk is full, say.
    #[error("cannot write the picture: {0}")]
    Io(#[from] io::Error),
}

/// The encoders. Each takes whole rows of interleaved samples, and knows the size and what comes last.
#[derive(Debug)]
enum File<W: Write + Seek> {
    Png(Box<Png<W>>),
    Jpeg(Jpeg<W>),
    WebP(WebP<W>),
    Tiff(Tiff<W>),
}

// === impl Header ===

impl Header<'_> {
    /// Whether such a picture can be written: known before anything is computed.
    ///
    /// # Errors
    /// A side is 0, the format cannot hold the picture, or a JPEG its text.
    pub fn check(&self) -> Result<(), Error> {
        rgb::byte_len(self.width, self.height)?;
        self.format.check(self.width, self.height)?;
        if matches!(self.format, Format::Jpeg(_)) {
            jpeg::exif_of(self.metadata)?;
        }
        Ok(())
    }
}

// === impl Writer ===

impl<W: Write + Seek> Writer<W> {
    /// Begins a file at the start of `sink`; what a file system is asked for are many small pieces, so buffer it.
    ///
    /// # Errors
    /// [`Header::check`] fails, or the sink does.
    pub fn new(sink: W, header: Header<'_>) -> Result<Self, Error> {
        header.check()?;
        let Header { format, width, height, range, metadata } = header;
        let file = match format {
            Format::Png(_) => File::Png(Box::new(Png::new(sink, &header)?)),
            Format::Jpeg(quality) => {
                File::Jpeg(Jpeg::new(sink, (width, height), quality, jpeg::exif_of(metadata)?))
            }
            Format::WebP => File::WebP(WebP::new(sink, (width, height), exif::to_bytes(metadata))),
            Format::Tiff(depth) => File::Tiff(Tiff::new(sink, (width, height), depth, metadata)?),
        };
        Ok(Self { format, width, height, range, y: 0, samples: Vec::new(), file })
    }

    /// Writes the next row: its red, green and blue values, one for each column. Here they are rounded, once.
    ///
    /// # Errors
    /// The row is of another width or one too many, a value is NaN or infinite, or the sink fails.
    pub fn row(&mut self, channels: [&[f32]; CHANNELS]) -> Result<(), Error> {
        if let Some(wrong) = channels.iter().find(|values| values.len() != self.width as usize) {
            return Err(Error::Width { expected: self.width, actual: wrong.len() });
        }
        if self.y == self.height {
            return Err(Error::Height { expected: self.height, actual: u64::from(self.y) + 1 });
        }
        self.samples.clear();
        levels::append(&mut self.samples, self.y, channels, (self.format.depth(), self.range))?;
        match &mut self.file {
            File::Png(file) => file.row(&self.samples)?,
            File::Jpeg(file) => file.row(&self.samples)?,
            File::WebP(file) => file.row(&self.samples),
            File::Tiff(file) => file.row(&self.samples)?,
        }
        self.y += 1;
        Ok(())
    }

    /// Writes the next rows, `[3, rows, width]`.
    ///
    /// # Errors
    /// There are not three planes, or as [`Writer::row`].
    pub fn write(&mut self, planes: Planes<'_>) -> Result<(), Error> {
        let shape @ [channels, rows, _] = planes.shape();
        if channels != CHANNELS {
            return Err(rgb::Error::Shape { shape }.into());
        }
        (0..rows).try_for_each(|y| self.row(std::array::from_fn(|channel| planes.row(channel, y))))
    }

    /// Rows that are still to come.
    #[must_use]
    pub const fn rows_left(&self) -> u32 {
        self.height - self.y
    }

    /// Ends the file and gives the sink back, flushed.
    ///
    /// # Errors
    /// Rows are missing, or the sink fails.
    pub fn finish(self) -> Result<W, Error> {
        if self.y < self.height {
            return Err(Error::Height { expected: self.height, actual: self.y.into() });
        }
        let mut sink = match self.file {
            File::Png(file) => file.finish()?,
            File::Jpeg(file) => file.finish()?,
            File::WebP(file) => file.finish()?,
            File::Tiff(file) => file.finish()?,
        };
        sink.flush()?;
        Ok(sink)
    }
}

#[cfg(test)]
mod tests;
