//! Files that appear whole: bytes written beside a name in; the name, when they are on the disk, out.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use tempfile::NamedTempFile;

/// Ending of a file while it is written; it begins with a dot.
const PART: &str = ".part";

/// Begins a file in a folder; dropping it removes it. `name` is for people who look there meanwhile.
///
/// # Errors
/// The folder takes no files.
pub(crate) fn begin(folder: &Path, name: &str) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(PART).tempfile_in(folder)
}

/// Gives a synced file its name, and brings that to the disk.
///
/// # Errors
/// The folder is gone, say; what lay under the name still does.
pub(crate) fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)?;
    // Elsewhere a folder cannot be opened, and a name is safe with its file.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Removes files that were begun and never finished: by a coordinator that was killed.
///
/// # Errors
/// The folder cannot be read, or a file not be removed.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(PART) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_appears_whole_or_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let names = || -> Vec<_> {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let (mut whole, lost) = (begin(folder.path(), "a").unwrap(), begin(folder.path(), "b").unwrap());
        whole.write_all(b"bytes").unwrap();
        assert!(names().iter().all(|name| name.starts_with('.')), "{:?}", names());
        publish(whole, &folder.path().join("a")).unwrap();
        // As a process leaves it that is killed.
        lost.keep().unwrap();
        assert_eq!(names().len(), 2);
        sweep(folder.path()).unwrap();
        assert_eq!(names(), ["a"]);
    }
}
