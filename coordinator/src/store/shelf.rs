//! What open jobs need to go on: specifications and checkpoints as bytes in, whole files out.

use std::{collections::HashSet, io};

use tessera_proto::JobId;

use super::depot::Depot;
use crate::Place;

/// A specification, and perhaps a checkpoint, per open job.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    depot: Depot,
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
    /// Files in a place; a folder is made if it is absent.
    ///
    /// # Errors
    /// The place cannot be used.
    pub(crate) fn open(place: &Place) -> io::Result<Self> {
        Ok(Self { depot: Depot::open(place)? })
    }

    /// Writes a file; once this has returned it is safe.
    ///
    /// # Errors
    /// The disk is full, say; what lay under the name still does.
    pub(crate) fn put(&self, job: JobId, kept: Kept, bytes: Vec<u8>) -> io::Result<()> {
        self.depot.put(&name(job, kept), bytes)
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn get(&self, job: JobId, kept: Kept) -> io::Result<Option<Vec<u8>>> {
        self.depot.get(&name(job, kept))
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
        self.depot.sweep()?;
        self.remove(|job| !jobs.contains(&job))
    }

    fn remove(&self, unwanted: impl Fn(JobId) -> bool) -> io::Result<()> {
        for name in self.depot.names()? {
            let job = name.split('.').next().and_then(|name| name.parse().ok());
            if job.is_some_and(&unwanted) {
                self.depot.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// Job ids are numbers, so no name can lead elsewhere.
fn name(job: JobId, kept: Kept) -> String {
    match kept {
        Kept::Spec => format!("{job}.job"),
        Kept::Checkpoint(epoch) => format!("{job}.{epoch}.safetensors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_until_its_job_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&Place::Folder(folder.path().to_owned())).unwrap();
        let (one, two) = (JobId::new(1), JobId::new(2));
        assert_eq!(shelf.get(one, Kept::Spec).unwrap(), None);
        for (job, kept, bytes) in [
            (one, Kept::Spec, "a"),
            (one, Kept::Checkpoint(3), "b"),
            (one, Kept::Checkpoint(3), "c"),
            (two, Kept::Spec, "d"),
        ] {
            shelf.put(job, kept, bytes.as_bytes().to_vec()).unwrap();
        }
        assert_eq!(shelf.get(one, Kept::Checkpoint(3)).unwrap().unwrap(), b"c", "the last one");
        assert_eq!(shelf.get(one, Kept::Checkpoint(2)).unwrap(), None);
        shelf.retain(&HashSet::from([one, two])).unwrap();
        assert_eq!(shelf.get(one, Kept::Checkpoint(3)).unwrap().unwrap(), b"c");
        shelf.clear(one).unwrap();
        assert_eq!(shelf.get(one, Kept::Spec).unwrap(), None);
        assert_eq!(shelf.get(two, Kept::Spec).unwrap().unwrap(), b"d");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        shelf.retain(&HashSet::from([one])).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
