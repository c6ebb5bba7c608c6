//! A graph file: a path in, the checked graph out.

use std::{fs, path::Path};

use bytes::Bytes;

use super::Error;
use crate::graph::{Model, limits};

/// Reads a graph, its size checked first.
///
/// # Errors
/// The file cannot be read or is damaged.
pub(super) fn read(file: &Path) -> Result<Model, Error> {
    let unreadable = |source| Error::Unreadable { path: file.to_owned(), source };
    let damaged = |source| Error::Damaged { file: file.to_owned(), source };
    limits::check_length(fs::metadata(file).map_err(unreadable)?.len()).map_err(damaged)?;
    Model::parse(Bytes::from(fs::read(file).map_err(unreadable)?)).map_err(damaged)
}
