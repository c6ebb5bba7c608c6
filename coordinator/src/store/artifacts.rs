//! Files of finished jobs in a folder: bytes in, whole files out.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempDir};
use tessera_proto::{Artifact, JobId};

/// A folder with one file per job and artifact.
///
/// Invariant: a file appears under its final name only when whole.
#[derive(Debug)]
pub(crate) struct Artifacts {
    folder: PathBuf,
    /// Removes the folder with us, when nobody asked to keep it.
    _temporary: Option<TempDir>,
}

// === impl Artifacts ===

impl Artifacts {
    /// Files in `folder`, which is made if it is absent; `None` = in a temporary one that goes with us.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn open(folder: Option<&Path>) -> io::Result<Self> {
        match folder {
            Some(folder) => {
                fs::create_dir_all(folder)?;
                Ok(Self { folder: folder.to_owned(), _temporary: None })
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("tessera-").tempdir()?;
                Ok(Self { folder: temporary.path().to_owned(), _temporary: Some(temporary) })
            }
        }
    }

    /// Where an artifact lies, if it does. Job ids are numbers, so no path can leave the folder.
    #[must_use]
    pub(crate) fn path(&self, job: JobId, artifact: Artifact) -> PathBuf {
        self.folder.join(format!("{job}.{}", artifact.extension()))
    }

    /// Writes an artifact: beside, synced, renamed.
    ///
    /// # Errors
    /// The disk is full, say; nothing lies under the final name then.
    pub(crate) fn put(&self, job: JobId, artifact: Artifact, bytes: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.path(job, artifact)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes all artifacts of a job.
    pub(crate) fn remove(&self, job: JobId) {
        for artifact in [Artifact::Picture, Artifact::Dump, Artifact::Report] {
            match fs::remove_file(self.path(job, artifact)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%job, %error, "cannot remove an artifact");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_lies_there_whole_until_removed() {
        let artifacts = Artifacts::open(None).unwrap();
        let job = JobId::new(7);
        artifacts.put(job, Artifact::Picture, b"png").unwrap();
        let path = artifacts.path(job, Artifact::Picture);
        assert_eq!(fs::read(&path).unwrap(), b"png");
        assert_eq!(fs::read_dir(&artifacts.folder).unwrap().count(), 1, "nothing is left beside it");
        artifacts.remove(job);
        assert!(!path.exists());
        let folder = artifacts.folder.clone();
        drop(artifacts);
        assert!(!folder.exists(), "a temporary folder goes with its owner");
    }
}
