//! Model folders: the tiny one and the demo, and copies of the tiny one to be damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::root;

/// The tiny Stable Diffusion 1.x with random weights.
#[must_use]
pub fn tiny() -> PathBuf {
    root().join("tests/models/tiny-sd15")
}

/// A tiny upscaling network of random weights, by its name.
#[must_use]
pub fn upscaler(name: &str) -> PathBuf {
    root().join("tests/models/tiny-upscalers").join(name).with_extension("onnx")
}

/// The demo model.
#[must_use]
pub fn demo() -> PathBuf {
    root().join("deploy/models/demo")
}

/// A copy of the tiny model that may be damaged.
///
/// # Panics
/// It cannot be written.
#[must_use]
pub fn copy_of_tiny() -> TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    copy_folder(&tiny(), copy.path());
    copy
}

/// All files below a folder, sorted, as paths from the working directory or root as `folder` is.
///
/// # Panics
/// A folder cannot be listed.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        let inner = file.strip_prefix(from).expect("the file lies in the folder");
        let target = to.join(inner);
        let folder = target.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("a temporary folder");
        fs::copy(&file, target).expect("a temporary file");
    }
}
