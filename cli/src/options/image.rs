//! The picture to start from: a path in, the bytes of a picture file that can be decoded out.

use std::{fs::File, io::Read, path::Path};

use tessera_coordinator::picture;
use tessera_proto::{job::Size, limits};

use super::Error;

/// A picture file that can be decoded.
#[derive(Debug)]
pub(super) struct Image {
    /// The file, as it is.
    pub(super) bytes: Vec<u8>,
    /// Its size when upright, px.
    pub(super) size: Size,
}

/// Reads a picture file and makes sure that it can be decoded within our limits, so that a bad one is refused here
/// and not minutes later.
///
/// # Errors
/// The file cannot be read, is no picture, is damaged, or has too many bytes or pixels.
pub(super) fn read(path: &Path) -> Result<Image, Error> {
    let bytes = bytes_of(path)?;
    let picture = picture::decode(&bytes, limits::IMAGE_PIXELS)
        .map_err(|source| Error::Image { path: path.to_owned(), source })?;
    let size = Size { width: picture.width(), height: picture.height() };
    Ok(Image { bytes, size })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |reason: String| Error::ImageFile { path: path.to_owned(), reason };
    if path.is_dir() {
        return Err(unreadable("it is a folder".to_owned()));
    }
    let file = File::open(path).map_err(|error| unreadable(plain(&error)))?;
    // A device or pipe has no length to ask for: the limit is on what is read.
    let most = u64::try_from(limits::IMAGE_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| unreadable(plain(&error)))?;
    if limits::IMAGE_FILE < bytes.len() {
        return Err(Error::ImageBytes { path: path.to_owned() });
    }
    Ok(bytes)
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "we may not read it".to_owned(),
        _ => error.to_string(),
    }
}
