//! What outlives a coordinator: each job's row, specification and checkpoint in; the jobs to go on with out.
//!
//! **Invariant: what was acknowledged is in here before the word goes out.** A specification lies on the shelf before its
//! row names it, a checkpoint before its row names it, a picture before its row says that it is done; so a kill at any
//! point leaves a job that is either not there yet or whole.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use fail::fail_point;
use tessera_proto::{Artifact, JobHistory, JobId, JobSpec, JobStatus};
use tokio::runtime::Handle;

use super::{
    database,
    jobs::{Jobs, Open, Over},
    shelf::{Kept, Shelf},
};
use crate::{
    render::{Checkpoint, CheckpointError},
    threads,
};

/// The jobs of this coordinator, and those that are over.
#[derive(Debug)]
pub(crate) struct Archive {
    jobs: Jobs,
    shelf: Shelf,
    /// See [`crate::Durable::lease`].
    lease: Option<Duration>,
    /// Open jobs of ours.
    held: HashMap<JobId, Held>,
}

/// An open job of ours.
#[derive(Debug, Clone)]
struct Held {
    epoch: i64,
    /// Whether its row names the checkpoint of this epoch.
    named: bool,
    /// Name of the checkpoint that it goes on from.
    from: Option<i64>,
}

/// A job to go on with.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) job: JobId,
    pub(crate) place: u64,
    pub(crate) spec: JobSpec,
    /// Content hash of the model that it began with.
    pub(crate) model: Option<[u8; 32]>,
    /// How long ago it was handed in.
    pub(crate) age: Duration,
}

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The table of jobs.
    #[error(transparent)]
    Jobs(#[from] database::Error),
    /// The folder.
    #[error("the folder of open jobs cannot be used: {0}")]
    Shelf(#[from] io::Error),
    /// A checkpoint cannot be made.
    #[error("a checkpoint cannot be made: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A piece of work panicked.
    #[error("storing ended unexpectedly")]
    Background,
}

/// The sign of life of a coordinator that shares its jobs.
#[derive(Debug)]
pub(crate) struct Pulse(Jobs);

// === impl Pulse ===

impl Pulse {
    /// Shows that we live: nobody takes our jobs over meanwhile.
    pub(crate) async fn live(&self) -> Result<(), Error> {
        Ok(self.0.live().await?)
    }
}

// === impl Archive ===

impl Archive {
    /// The jobs of a database, with a folder for what they need to go on.
    pub(crate) fn new(jobs: Jobs, shelf: Shelf, lease: Option<Duration>) -> Self {
        Self { jobs, shelf, lease, held: HashMap::new() }
    }

    /// Whether others may take jobs over from us, and we from them.
    pub(crate) const fn is_shared(&self) -> bool {
        self.lease.is_some()
    }

    /// Takes over the jobs that nobody does, as [`Jobs::claim`]; those that cannot be read are left with a word in the log.
    pub(crate) async fn claim(&mut self) -> Result<Vec<Restored>, Error> {
        let lease = self.lease.map(|lease| i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let mut restored = Vec::new();
        for Open { job, place, epoch, model, kept, age } in self.jobs.claim(lease).await? {
            let from = kept.and_then(|name| name.parse().ok());
            self.held.insert(job, Held { epoch, named: false, from });
            let Some(bytes) = self.apart(move |shelf| shelf.get(job, Kept::Spec)).await? else {
                tracing::error!(%job, "the job's specification is gone: it cannot be done");
                continue;
            };
            match JobSpec::from_bytes(&bytes) {
                Ok(spec) => restored.push(Restored { job, place, spec, model, age }),
                Err(error) => tracing::error!(%job, %error, "the job cannot be read"),
            }
        }
        Ok(restored)
    }

    /// Removes what a killed coordinator left of jobs that are over, or were never listed. For one whose shelf it is alone.
    pub(crate) async fn sweep(&self) -> Result<(), Error> {
        let open: HashSet<JobId> = self.held.keys().copied().collect();
        self.apart(move |shelf| shelf.retain(&open)).await
    }

    /// The last jobs that are over.
    pub(crate) async fn ended(&self, limit: usize) -> Result<Vec<Over>, Error> {
        Ok(self.jobs.ended(limit).await?)
    }

    /// The table of all jobs, ours and others'.
    pub(crate) fn table(&self) -> Jobs {
        self.jobs.clone()
    }

    /// What shows that we live, beside all that we store.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(self.jobs.clone())
    }

    /// Takes a job in.
    pub(crate) async fn admit(&mut self, job: JobId, place: u64, spec: &JobSpec) -> Result<(), Error> {
        let bytes = spec.to_bytes();
        self.apart(move |shelf| shelf.put(job, Kept::Spec, bytes)).await?;
        fail_point!("admit-shelved", |_| std::process::abort());
        self.jobs.insert(job, place).await?;
        fail_point!("admit-listed", |_| std::process::abort());
        self.held.insert(job, Held { epoch: 1, named: false, from: None });
        Ok(())
    }

    /// The model that a job runs on is settled. Returns whether the job is still ours; so do the others.
    pub(crate) async fn begun(&self, job: JobId, model: [u8; 32]) -> Result<bool, Error> {
        let Some(held) = self.held.get(&job) else { return Ok(false) };
        Ok(self.jobs.begun(job, held.epoch, model).await?)
    }

    /// Stores how far a job is.
    pub(crate) async fn keep(&mut self, job: JobId, checkpoint: Arc<Checkpoint>) -> Result<bool, Error> {
        let Some(Held { epoch, named, .. }) = self.held.get(&job).cloned() else { return Ok(false) };
        let kept = Kept::Checkpoint(epoch);
        self.apart(move |shelf| {
            let bytes = checkpoint.to_bytes()?;
            fail_point!("checkpoint-full", |_| Err(io::Error::from(io::ErrorKind::StorageFull).into()));
            Ok::<_, Error>(shelf.put(job, kept, bytes)?)
        })
        .await?;
        if !named && !self.jobs.kept(job, epoch, &epoch.to_string()).await? {
            return Ok(false);
        }
        fail_point!("checkpoint-listed", |_| std::process::abort());
        self.held.insert(job, Held { epoch, named: true, from: Some(epoch) });
        Ok(true)
    }

    /// The checkpoint that a job goes on from; none where it has none that can be read: it begins anew.
    pub(crate) async fn load(&self, job: JobId) -> Result<Option<Checkpoint>, Error> {
        let Some(from) = self.held.get(&job).and_then(|held| held.from) else { return Ok(None) };
        let Some(bytes) = self.apart(move |shelf| shelf.get(job, Kept::Checkpoint(from))).await? else {
            return Ok(None);
        };
        match self.apart(move |_| Ok::<_, Error>(Checkpoint::read(&bytes))).await? {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => {
                tracing::warn!(%job, %error, "the checkpoint cannot be used, the job begins anew");
                Ok(None)
            }
        }
    }

    /// A job is over, and its files are there.
    pub(crate) async fn end(
        &mut self,
        job: JobId,
        (status, files, history): (&JobStatus, &[Artifact], &JobHistory),
    ) -> Result<bool, Error> {
        let Some(Held { epoch, .. }) = self.held.get(&job).cloned() else { return Ok(false) };
        fail_point!("end-begin", |_| std::process::abort());
        let ours = self.jobs.over(job, epoch, (status, files, history)).await?;
        fail_point!("end-listed", |_| std::process::abort());
        if ours && let Err(error) = self.apart(move |shelf| shelf.clear(job)).await {
            // Its end is safe; the next start sweeps.
            tracing::warn!(%job, %error, "what the job went on from cannot be removed");
        }
        self.held.remove(&job);
        Ok(ours)
    }

    /// Forgets a job that is over.
    pub(crate) async fn forget(&self, job: JobId) -> Result<(), Error> {
        Ok(self.jobs.forget(job).await?)
    }

    /// Runs a piece of work that waits for the disk.
    async fn apart<T, E>(
        &self,
        work: impl FnOnce(&Shelf) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        E: Send + 'static,
        Error: From<E>,
    {
        let shelf = self.shelf.clone();
        let done = threads::compute(&Handle::current(), move || work(&shelf)).await;
        Ok(done.map_err(|_| Error::Background)??)
    }
}
