//! The latent to decode: a path in, the bytes of a latent file that can be decoded out.

use std::path::Path;

use bytes::Bytes;
use tessera_coordinator::{latent::Latent, picture, render::Source};
use tessera_proto::limits;

use super::{Error, image};

/// Reads a latent file, so that a bad one is refused here.
///
/// # Errors
/// The file cannot be read, is too large to send, or holds no latent.
pub(super) fn read(path: &Path) -> Result<(Bytes, Source), Error> {
    const MOST: usize = limits::IMAGE_FILE;
    let unreadable = |reason: String| Error::LatentFile { path: path.to_owned(), reason };
    let file = image::bytes_of(path, MOST).map_err(unreadable)?;
    let file =
        file.ok_or_else(|| unreadable(format!("it has more than {MOST} bytes: save it as float16")))?;
    // With no pixel allowed, a picture fails for its size, and anything else for its format.
    if !matches!(picture::decode(&file, 0), Err(picture::decode::Error::Format)) {
        return Err(unreadable("it is a picture: `tessera encode` makes a latent of one".to_owned()));
    }
    let latent = Latent::read(&file).map_err(|source| Error::Latent { path: path.to_owned(), source })?;
    Ok((file.into(), Source::Latent(latent)))
}
