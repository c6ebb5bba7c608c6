//! The content hash of a model folder: its files in, 32 bytes out.
//!
//! BLAKE3 over, for each file in the order of their names: the name with `/` between its parts, a zero byte, and the
//! BLAKE3 hash of the contents. Only what makes the model counts: the folders of its parts, with weights stored beside
//! the graphs, and `model_index.json`; a README or a picture beside them changes nothing.

use std::path::Path;

use super::layout::Layout;
use super::{Error, HashCache};
use crate::engine::Network;

/// The folders that make a model.
const PARTS: [&str; 7] =
    ["scheduler", "text_encoder", "tokenizer", "unet", "upscalers", "vae_decoder", "vae_encoder"];

/// Most files of a folder: exporters that store each weight in its own file write some thousand.
const MAX_FILES: usize = 100_000;

/// Deepest folder below a part.
const MAX_DEPTH: usize = 4;

/// Hashes a folder; files that `hashes` knows are not read.
///
/// # Errors
/// A file cannot be read or leads out of the folder; there are too many.
pub(super) fn of_folder(layout: &Layout, hashes: &HashCache) -> Result<[u8; 32], Error> {
    let mut names = vec!["model_index.json".to_owned()];
    for part in PARTS {
        collect(layout, part, MAX_DEPTH, &mut names)?;
    }
    let mut files: Vec<_> = names.into_iter().map(|name| (layout.root().join(&name), name)).collect();
    // Upscalers from elsewhere count as if they lay in the folder.
    for (network, file) in layout.graphs() {
        if let Network::Upscaler(name) = network
            && file.parent() != Some(&layout.root().join("upscalers"))
        {
            files.push((file.clone(), format!("upscalers/{name}.onnx")));
        }
    }
    files.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
    let mut hasher = blake3::Hasher::new();
    for (path, name) in files {
        let hash = hashes.of_file(&path).map_err(|source| Error::Unreadable { path, source })?;
        hasher.update(name.as_bytes()).update(&[0]).update(&hash);
    }
    hashes.save();
    Ok(*hasher.finalize().as_bytes())
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
