//! The content hash of a model folder: its files in, 32 bytes out.
//!
//! How it follows from them, [`manifest::model_hash`] says. Only what makes the model counts: the folders of its parts,
//! with weights stored beside the graphs, and `model_index.json`; a README or a picture beside them changes nothing.

use std::path::{Path, PathBuf};

use tessera_proto::manifest::{self, INDEX, PARTS};

use super::layout::Layout;
use super::{Error, HashCache};
use crate::engine::Network;

/// Most files of a folder: exporters that store each weight in its own file write some thousand.
const MAX_FILES: usize = 100_000;

/// Deepest folder below a part.
const MAX_DEPTH: usize = 4;

/// Hashes a folder; files that `hashes` knows are not read.
///
/// # Errors
/// A file cannot be read or leads out of the folder; there are too many.
pub(super) fn of_folder(layout: &Layout, hashes: &HashCache) -> Result<[u8; 32], Error> {
    let mut files = files(layout)?;
    // Upscalers from elsewhere count as if they lay in the folder.
    for (network, file) in layout.graphs() {
        if let Network::Upscaler(name) = network
            && file.parent() != Some(&layout.root().join("upscalers"))
        {
            files.push((file.clone(), format!("upscalers/{name}.onnx")));
        }
    }
    files.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
    let mut hashed = Vec::new();
    for (path, name) in files {
        let hash = hashes.of_file(&path).map_err(|source| Error::Unreadable { path, source })?;
        hashed.push((name, hash));
    }
    hashes.save();
    Ok(manifest::model_hash(hashed.iter().map(|(name, hash)| (name.as_str(), hash))))
}

/// The files of the folder that make the model: their paths, and their names in it.
///
/// # Errors
/// As [`of_folder`].
pub(super) fn files(layout: &Layout) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut names = vec![INDEX.to_owned()];
    for part in PARTS {
        collect(layout, part, MAX_DEPTH, &mut names)?;
    }
    Ok(names.into_iter().map(|name| (layout.root().join(&name), name)).collect())
}

/// Adds the files below `relative`, without hidden ones.
fn collect(layout: &Layout, relative: &str, depth: usize, names: &mut Vec<String>) -> Result<(), Error> {
    let Some(folder) = layout.inside(relative)? else {
        return Ok(());
    };
    let unreadable = |source| Error::Unreadable { path: folder.clone(), source };
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        // A name that is no Unicode could not be hashed alike on every system; no model has one.
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let relative = format!("{relative}/{name}");
        let Some(path) = layout.inside(&relative)? else {
            continue;
        };
        if Path::is_dir(&path) {
            if 0 < depth {
                collect(layout, &relative, depth - 1, names)?;
            }
        } else {
            names.push(relative);
        }
        if MAX_FILES < names.len() {
            return Err(Error::TooManyFiles { folder: layout.folder().to_owned(), limit: MAX_FILES });
        }
    }
    Ok(())
}
