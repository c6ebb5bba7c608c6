//! A PNG under way: rows of samples in, its chunks out.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use png::{BitDepth, ColorType, Compression, DeflateCompression, EncodingError};

use super::{Error, Header};
use crate::picture::{encode, format::Depth};

/// Bytes of an IDAT chunk.
const CHUNK: usize = 1 << 16;

/// Zlib level of 16-bit pictures, whose low bytes the fast coder's fixed code would make longer than they are.
const LEVEL: u8 = 1;

/// A PNG under way.
pub(super) struct Png<W> {
    sink: W,
    /// Where the encoder puts its bytes: it would swallow the sink's errors at the end, and never give the sink back.
    encoded: Encoded,
    encoder: png::StreamWriter<'static, Encoded>,
}

/// Bytes on their way from the encoder to the sink; both ends hold it, one after the other.
#[derive(Debug, Clone, Default)]
struct Encoded(Arc<Mutex<Vec<u8>>>);

// === impl Png ===

impl<W: Write> Png<W> {
    pub(super) fn new(sink: W, header: &Header<'_>) -> Result<Self, Error> {
        let encoded = Encoded::default();
        let mut encoder = png::Encoder::new(encoded.clone(), header.width, header.height);
        encoder.set_color(ColorType::Rgb);
        match header.format.depth() {
            Depth::Eight => {
                encoder.set_depth(BitDepth::Eight);
                encoder.set_compression(Compression::Fast);
            }
            Depth::Sixteen => {
                encoder.set_depth(BitDepth::Sixteen);
                encoder.set_deflate_compression(DeflateCompression::Level(LEVEL));
            }
        }
        encode::add_texts(&mut encoder, header.metadata).map_err(refused)?;
        let writer = encoder.write_header().map_err(refused)?;
        let encoder = writer.into_stream_writer_with_size(CHUNK).map_err(refused)?;
        let mut png = Self { sink, encoded, encoder };
        png.pass_on()?;
        Ok(png)
    }

    pub(super) fn row(&mut self, samples: &[u8]) -> Result<(), Error> {
        self.encoder.write_all(samples)?;
        Ok(self.pass_on()?)
    }

    pub(super) fn finish(mut self) -> Result<W, Error> {
        let Self { encoder, .. } = self;
        encoder.finish().map_err(refused)?;
        self.encoded.drain_into(&mut self.sink)?;
        Ok(self.sink)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.encoded.drain_into(&mut self.sink)
    }
}

impl<W> fmt::Debug for Png<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Png").finish_non_exhaustive()
    }
}

// === impl Encoded ===

impl Encoded {
    fn drain_into(&self, sink: &mut impl Write) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sink.write_all(&bytes)?;
        bytes.clear();
        Ok(())
    }
}

impl Write for Encoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(error: EncodingError) -> Error {
    match error {
        EncodingError::IoError(error) => Error::Io(error),
        error => Error::Encoder { format: "png", reason: error.to_string() },
    }
}
