//! An artifact on its way to whoever asked for it: what the actor knows of it in, its bytes out.

use std::{io, sync::Arc};

use tessera_proto::{Artifact, JobId, job::Format};

use crate::store::{Artifacts, Stored};

/// An artifact that a job has.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) job: JobId,
    pub(super) artifact: Artifact,
    pub(super) format: Format,
}

// === impl Fetch ===

impl Fetch {
    /// Opens it, on a thread that may wait.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(&self) -> io::Result<Stored> {
        self.artifacts.stored(self.job, self.artifact, self.format)
    }
}
