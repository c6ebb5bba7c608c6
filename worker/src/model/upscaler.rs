//! Upscaling networks: graph files in, what a plan must know of them out; files from elsewhere join a model folder's own.

use std::path::{Path, PathBuf};

use tessera_proto::facts::{MAX_NAME_BYTES, UpscalerFacts, is_network_name};

use super::{Error, HashCache, check, graph_file, layout::Layout};
use crate::{engine::Network, graph::receptive};

/// Adds files to a layout as if they lay in its `upscalers/`: a model has the same hash either way.
///
/// # Errors
/// A file cannot be read, keeps its weights elsewhere, or has the name of another network.
pub(super) fn join(layout: &mut Layout, files: &[PathBuf], hashes: &HashCache) -> Result<(), Error> {
    for file in files {
        let unreadable = |source| Error::Unreadable { path: file.clone(), source };
        let name = file.file_stem().and_then(|name| name.to_str()).filter(|name| is_network_name(name));
        let name = name.ok_or_else(|| Error::UpscalerName { file: file.clone(), limit: MAX_NAME_BYTES })?;
        let path = file.canonicalize().map_err(unreadable)?;
        if !path.is_file() {
            return Err(Error::UpscalerFile { path: file.clone() });
        }
        let network = Network::Upscaler(name.to_owned());
        let Some((_, known)) = layout.graphs().iter().find(|(other, _)| *other == network) else {
            if !graph_file::read(file)?.external_files().is_empty() {
                return Err(Error::WeightsBeside { file: file.clone() });
            }
            layout.add(network, path);
            continue;
        };
        let hash = |path: &Path| {
            let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
            hashes.of_file(path).map_err(unreadable)
        };
        if hash(&path)? != hash(known)? {
            return Err(Error::UpscalerTwice { file: file.clone(), name: name.to_owned() });
        }
    }
    Ok(())
}

/// What a plan must know of the network in a file.
///
/// # Errors
/// The file is no ONNX graph, or no upscaling network; the sentence says what it is instead.
pub(super) fn facts(name: &str, file: &Path) -> Result<UpscalerFacts, Error> {
    let model = graph_file::read(file)?;
    check::picture_to_picture(file, &model.facts())?;
    let read = receptive::upscaling(&model);
    let upscaling =
        read.map_err(|error| Error::Graph { file: file.to_owned(), reason: error.to_string() })?;
    let receptive::Upscaling { scale, radius, multiple } = upscaling;
    Ok(UpscalerFacts { name: name.to_owned(), scale, radius, multiple })
}

#[cfg(test)]
mod tests;
