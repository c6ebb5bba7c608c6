//! The decoder of a model folder in stages: a graph file in, its stages or one sentence why there are none out.

use std::{path::Path, sync::Arc};

use super::{Error, graph_file};
use crate::graph::staged::Staged;

/// Cuts a decoder; the inner error is the sentence that says why it cannot be.
///
/// # Errors
/// The file cannot be read or is damaged.
pub(super) fn of_decoder(file: &Path) -> Result<Result<Arc<Staged>, String>, Error> {
    let model = graph_file::read(file)?;
    let refused = |error| format!("the VAE decoder cannot be cut at its normalisations: {error}");
    Ok(Staged::cut(&model).map(Arc::new).map_err(refused))
}
