//! A model folder on its way to a cluster: a folder in; the list of its files, which was checked as if it came from a
//! stranger, out.

use std::{fs, path::Path};

use tessera_proto::{ContentHash, Manifest, ModelFile, manifest::INDEX};

use super::{Error, HashCache, ModelFolder, graph_file, hash, layout::Layout};

/// Lists the files of a model folder, with their hashes. It is called `name`, or as its folder.
///
/// # Errors
/// The folder is no model that we run; a file or folder in it is a link or nothing plain, has a name that cannot lie
/// everywhere, or is too large; a graph names weights that are none of these files.
pub fn parcel(
    folder: &Path,
    name: Option<&str>,
    hashes: &HashCache,
) -> Result<(ModelFolder, Manifest), Error> {
    let layout = Layout::find(folder)?;
    let listed = hash::files(&layout)?;
    // Links first: nothing that they lead to is read.
    listed.iter().try_for_each(|(_, name)| check_plain(&layout, name))?;
    let model = ModelFolder::open(folder, &[], hashes)?;
    let mut files = Vec::new();
    for (path, name) in listed {
        let read = || Ok((fs::symlink_metadata(&path)?.len(), hashes.of_file(&path)?));
        let (size, hash) = read().map_err(|source| Error::Unreadable { path: path.clone(), source })?;
        files.push(ModelFile { name, size, hash: ContentHash::new(hash) });
    }
    let manifest = Manifest::new(name.unwrap_or(&model.facts().name), files)?;
    for (_, file) in model.graphs() {
        check_weights(&layout, file, &manifest)?;
    }
    Ok((model, manifest))
}

/// Neither a file nor a folder above it leads elsewhere.
fn check_plain(layout: &Layout, name: &str) -> Result<(), Error> {
    let mut path = layout.root().to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let kind = fs::symlink_metadata(&path);
        let kind = kind.map_err(|source| Error::Unreadable { path: path.clone(), source })?.file_type();
        let plain = if parts.peek().is_some() { kind.is_dir() } else { kind.is_file() };
        if !plain {
            return Err(Error::NotPlain { path });
        }
    }
    Ok(())
}

/// A graph's weights lie beside it, among the files of the model. That they have plain names is checked with the graph.
fn check_weights(layout: &Layout, file: &Path, manifest: &Manifest) -> Result<(), Error> {
    let beside =
        file.parent().and_then(|folder| folder.strip_prefix(layout.root()).ok()).unwrap_or(Path::new(""));
    let beside = beside.to_string_lossy().replace('\\', "/");
    for name in graph_file::read(file)?.external_files() {
        let inside = format!("{beside}/{name}");
        if inside == INDEX || !manifest.files().iter().any(|file| file.name == inside) {
            return Err(Error::WeightsElsewhere { file: file.to_owned(), name: name.to_owned() });
        }
    }
    Ok(())
}
