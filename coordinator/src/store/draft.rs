//! A picture on its way into the folder: rows in, a whole file beside its final name out.

use std::io::{self, BufWriter};

use tempfile::NamedTempFile;

use crate::picture::{self, Band, Writer};

/// Bytes that are handed to the file system at once.
const BUFFER: usize = 1 << 20;

/// A picture file under way; dropping it removes what was written.
#[derive(Debug)]
pub(crate) struct Draft {
    writer: Writer<BufWriter<NamedTempFile>>,
    ending: &'static str,
}

/// A whole picture, safely on the disk, without its name.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(super) file: NamedTempFile,
    pub(super) ending: &'static str,
}

/// Why files could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The picture could not be encoded, or not be written.
    #[error(transparent)]
    Picture(#[from] picture::writer::Error),
    /// The disk is full, say.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The report could not be made.
    #[error(transparent)]
    Report(#[from] serde_json::Error),
    /// What wrote them panicked.
    #[error("writing ended unexpectedly")]
    Background,
}

// === impl Error ===

impl Error {
    /// Whether the same may succeed later: the disk is full, say.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Picture(picture::writer::Error::Io(_)))
    }
}

// === impl Draft ===

impl Draft {
    /// Begins in an empty file.
    pub(super) fn new(file: NamedTempFile, header: picture::Header<'_>) -> Result<Self, Error> {
        let writer = Writer::new(BufWriter::with_capacity(BUFFER, file), header)?;
        Ok(Self { writer, ending: header.format.ending() })
    }

    /// Writes the next rows.
    ///
    /// # Errors
    /// The disk is full, say, or a value is no number.
    pub(crate) fn write(&mut self, band: &Band) -> Result<(), Error> {
        Ok(band.rows().try_for_each(|row| self.writer.row(row))?)
    }

    /// Ends the file and brings it to the disk.
    ///
    /// # Errors
    /// Rows are missing, or as [`Draft::write`].
    pub(crate) fn finish(self) -> Result<Whole, Error> {
        let file = self.writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        Ok(Whole { file, ending: self.ending })
    }
}
