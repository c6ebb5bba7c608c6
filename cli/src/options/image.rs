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
    let unreadable = |reason: String| Error::ImageFile { path: path.to_owned(), reason };
    let bytes = bytes_of(path, limits::IMAGE_FILE).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| Error::ImageBytes { path: path.to_owned() })?;
    let picture = picture::decode(&bytes, limits::IMAGE_PIXELS).map_err(|source| match source {
        // A safetensors file begins with the length of its header, which is JSON.
        picture::decode::Error::Format if bytes.get(8) == Some(&b'{') => {
            unreadable("it is a safetensors file: `tessera decode` makes a picture of a latent".to_owned())
        }
        source => Error::Image { path: path.to_owned(), source },
    })?;
    let size = Size { width: picture.width(), height: picture.height() };
    Ok(Image { bytes, size })
}

/// The bytes of a file, or why there are none; `None` = there are more than `most`.
pub(crate) fn bytes_of(path: &Path, most: usize) -> Result<Option<Vec<u8>>, String> {
    if path.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let file = File::open(path).map_err(|error| plain(&error))?;
    // A device or pipe has no length to ask for: the limit is on what is read.
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| plain(&error))?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= most))
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "we may not read it".to_owned(),
        _ => error.to_string(),
    }
}
