//! What open jobs need to go on: specifications and checkpoints as bytes in, whole files in a folder out.

use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use fail::fail_point;
use tessera_proto::JobId;

use super::whole;

/// A folder with a specification, and perhaps a checkpoint, per open job.
///
/// Invariant: a file appears under its final name only when whole, and once [`Shelf::put`] has returned it is on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

/// What is kept of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// What was asked for.
    Spec,
    /// How far it is, as written by the coordinator of this epoch.
    Checkpoint(i64),
}

// === impl Shelf ===

impl Shelf {
    /// Files in `folder`, which is made if it is absent.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes a file: beside its name, synced, renamed, the name synced too.
    ///
    /// # Errors
    /// The disk is full, say; what lay under the name still does.
    pub(crate) fn put(&self, job: JobId, kept: Kept, bytes: &[u8]) -> io::Result<()> {
        fail_point!("shelf-begin", |_| std::process::abort());
        let mut file = whole::begin(&self.folder, &job.to_string())?;
        file.write_all(bytes)?;
        fail_point!("shelf-written", |_| std::process::abort());
        file.as_file().sync_all()?;
        whole::publish(file, &self.path(job, kept))?;
        fail_point!("shelf-named", |_| std::process::abort());
        Ok(())
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn get(&self, job: JobId, kept: Kept) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(job, kept)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes all that is kept of a job.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn clear(&self, job: JobId) -> io::Result<()> {
        self.remove(|other| other == job)
    }

    /// Removes what is kept of all jobs but these, and what was not finished.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn retain(&self, jobs: &HashSet<JobId>) -> io::Result<()> {
        whole::sweep(&self.folder)?;
        self.remove(|job| !jobs.contains(&job))
    }

    fn remove(&self, unwanted: impl Fn(JobId) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let job = name.to_string_lossy().split('.').next().and_then(|name| name.parse().ok());
            if job.is_some_and(&unwanted) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Job ids are numbers, so no path can leave the folder.
    fn path(&self, job: JobId, kept: Kept) -> PathBuf {
        self.folder.join(match kept {
            Kept::Spec => format!("{job}.job"),
            Kept::Checkpoint(epoch) => format!("{job}.{epoch}.safetensors"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_until_its_job_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        let (one, two) = (JobId::new(1), JobId::new(2));
        assert_eq!(shelf.get(one, Kept::Spec).unwrap(), None);
        for (job, kept, bytes) in [
            (one, Kept::Spec, "a"),
            (one, Kept::Checkpoint(3), "b"),
            (one, Kept::Checkpoint(3), "c"),
            (two, Kept::Spec, "d"),
        ] {
            shelf.put(job, kept, bytes.as_bytes()).unwrap();
        }
        assert_eq!(shelf.get(one, Kept::Checkpoint(3)).unwrap().unwrap(), b"c", "the last one");
        assert_eq!(shelf.get(one, Kept::Checkpoint(2)).unwrap(), None);
        shelf.retain(&HashSet::from([one, two])).unwrap();
        assert_eq!(shelf.get(one, Kept::Checkpoint(3)).unwrap().unwrap(), b"c");
        shelf.clear(one).unwrap();
        assert_eq!(shelf.get(one, Kept::Spec).unwrap(), None);
        assert_eq!(shelf.get(two, Kept::Spec).unwrap().unwrap(), b"d");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        shelf.retain(&HashSet::from([one])).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
