//! Files that appear under their names only when whole: bytes in, a file beside its final name until it is published.
//!
//! Invariant: a reader of the final name sees the old file or the new one, never a part; a failure leaves nothing.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {reason}", path.display())]
pub(crate) struct Error {
    path: PathBuf,
    reason: String,
}

// === impl Draft ===

impl Draft {
    /// Opens a hidden file in the folder of `target`.
    ///
    /// # Errors
    /// The folder is absent or not writable.
    pub(crate) fn create(target: &Path) -> Result<Self, Error> {
        let mut builder = Builder::new();
        builder.prefix(".tessera-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What any program's new file gets; the umask takes its share.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder_of(target)).map_err(|error| Error::new(target, &error))?;
        Ok(Self { file, target: target.to_owned() })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::new(&self.target, &error))
    }

    /// Moves the files to their final names in the order given, once all are safely on the disk. Where one cannot be
    /// moved, those moved before it are removed again.
    ///
    /// # Errors
    /// The disk is full or gone, or a name is taken by a folder.
    pub(crate) fn publish(drafts: Vec<Self>) -> Result<(), Error> {
        drafts.iter().try_for_each(Self::sync)?;
        let mut published = Vec::with_capacity(drafts.len());
        for Self { file, target } in drafts {
            if let Err(error) = file.persist(&target) {
                for path in &published {
                    // It stays behind only where the disk has gone meanwhile.
                    let _ = fs::remove_file(path);
                }
                return Err(Error::new(&target, &error.error));
            }
            published.push(target);
        }
        // New names survive a power cut only with their folder; where folders cannot be synced, the files are whole all
        // the same.
        #[cfg(unix)]
        for path in &published {
            let _ = fs::File::open(folder_of(path)).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.as_file().sync_all().map_err(|error| Error::new(&self.target, &error))
    }
}

// === impl Error ===

impl Error {
    fn new(path: &Path, error: &io::Error) -> Self {
        Self { path: path.to_owned(), reason: reason(path, error) }
    }
}

/// The folder that a path's last part lies in; a bare name lies in the current one.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What to do about the common cases; the temporary name that the system's text holds helps nobody.
fn reason(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !folder_of(path).exists() => {
            "its folder does not exist: create it first".to_owned()
        }
        // Some pseudo file systems (Linux's /proc) deny new files in this way.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "its folder is not writable: choose another one".to_owned()
        }
        io::ErrorKind::NotADirectory => "its folder is no folder".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.png");
        fs::write(&target, "old").unwrap();
        let mut draft = Draft::create(&target).unwrap();
        draft.write(b"ne").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        draft.write(b"w").unwrap();
        Draft::publish(vec![draft]).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["out.png"]);
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::create(&folder.path().join("out.png")).unwrap();
        draft.write(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(draft);
        assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_the_file_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let target = folder.path().join("out.png");
        Draft::publish(vec![Draft::create(&target).unwrap()]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));
    }

    #[test]
    fn an_absent_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("none/out.png");
        let error = Draft::create(&target).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("cannot write {}: its folder does not exist: create it first", target.display())
        );
    }

    #[test]
    fn a_folder_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.png");
        fs::create_dir(&target).unwrap();
        assert!(Draft::publish(vec![Draft::create(&target).unwrap()]).is_err());
        assert_eq!(names(folder.path()), ["out.png"]);
    }

    #[test]
    fn files_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["out.json", "out.png", "out.safetensors"].map(|name| folder.path().join(name));
        let drafts = || paths.iter().map(|path| Draft::create(path).unwrap()).collect();
        fs::create_dir(&paths[1]).unwrap();
        let error = Draft::publish(drafts()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", paths[1].display())), "{error}");
        assert_eq!(names(folder.path()), ["out.png"], "only the folder was there before");
        fs::remove_dir(&paths[1]).unwrap();
        Draft::publish(drafts()).unwrap();
        assert_eq!(names(folder.path()), ["out.json", "out.png", "out.safetensors"]);
    }
}
