//! A job in the coordinator's books: what was asked for, how far it is, who watches.

use std::time::Instant;

use tessera_proto::{
    Artifact, FailureClass, JobFailure, JobId, JobSpec, JobState, JobStatus,
    job::{Format, Urgency},
};
use tokio::sync::watch;

use super::file::File;
use crate::{
    fleet::Standing,
    render::{Job, Source, Summary},
    report::Ledger,
};

/// A job and its watchers.
#[derive(Debug)]
pub(super) struct Entry {
    /// Jobs are served in the order of their submission.
    pub(super) order: u64,
    pub(super) priority: Urgency,
    pub(super) user: String,
    pub(super) phase: Phase,
    pub(super) ledger: Ledger,
    status: watch::Sender<JobStatus>,
    stage_since: Instant,
}

/// Where a job stands; a field exists only where it means something.
///
/// ```text
/// Waiting ── a worker with the model ──> Running ── last row ──> Storing ──> Ended
///    └───────── time is up, cancel ─────────┴──── failure, cancel ────────────┘
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    Waiting {
        spec: Box<JobSpec>,
        source: Source,
    },
    /// `file`: the picture's, once the last decode runs.
    Running {
        job: Box<Job>,
        file: Option<File>,
    },
    /// The files that are written, or being written.
    Storing {
        files: Vec<Artifact>,
    },
    Ended {
        files: Vec<Artifact>,
    },
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(id: JobId, order: u64, (spec, source): (Box<JobSpec>, Source), now: Instant) -> Self {
        let status = JobStatus {
            job: id,
            state: JobState::Waiting,
            stage: spec.goal.first_stage(),
            stage_done: 0,
            stage_total: 0,
            done: 0,
            total: 0,
            age_ms: 0,
            stage_ms: 0,
            workers: 0,
            failure: None,
            notes: Vec::new(),
            format: spec.format,
            size: None,
        };
        Self {
            order,
            ledger: Ledger::new(now, spec.trace),
            priority: spec.priority,
            user: spec.user.clone(),
            phase: Phase::Waiting { spec, source },
            status: watch::Sender::new(status),
            stage_since: now,
        }
    }

    /// Its place beside other jobs.
    pub(super) fn standing(&self) -> Standing {
        Standing { order: self.order, user: self.user.clone(), weight: self.priority.weight() }
    }

    /// Whether it has begun and is not over.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Storing { .. })
    }

    /// The status now.
    pub(super) fn status(&self) -> JobStatus {
        self.status.borrow().clone()
    }

    /// The status from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<JobStatus> {
        self.status.subscribe()
    }

    /// Whether nothing more will happen to it.
    pub(super) fn is_ended(&self) -> bool {
        self.status.borrow().state.is_final()
    }

    /// The job begins.
    pub(super) fn run(&mut self, job: Job) {
        let (notes, size) = (job.plan().notes().to_vec(), job.plan().target());
        self.phase = Phase::Running { job: Box::new(job), file: None };
        self.status.send_modify(|status| {
            status.state = JobState::Running;
            status.notes = notes;
            status.size = Some(size);
        });
    }

    /// Brings the status up to date. `workers`: how many serve the job's model.
    pub(super) fn refresh(&mut self, workers: u32, now: Instant) {
        if self.is_ended() {
            return;
        }
        let (progress, notes) = match &self.phase {
            Phase::Running { job, .. } => (Some(job.progress()), job.plan().notes()),
            _ => (None, [].as_slice()),
        };
        let stage = self.status.borrow().stage;
        if progress.is_some_and(|progress| progress.stage != stage) {
            self.stage_since = now;
        }
        let (age, in_stage) = (self.ledger.age(now), now.saturating_duration_since(self.stage_since));
        self.status.send_modify(|status| {
            // Notes only grow.
            status.notes.extend(notes.iter().skip(status.notes.len()).cloned());
            if let Some(progress) = progress {
                status.stage = progress.stage;
                status.stage_done = progress.stage_done;
                status.stage_total = progress.stage_total;
                status.done = progress.done;
                status.total = progress.total;
            }
            status.workers = workers;
            status.age_ms = millis(age);
            status.stage_ms = millis(in_stage);
        });
    }

    /// The job is over.
    pub(super) fn end(&mut self, state: JobState, failure: Option<JobFailure>, now: Instant) {
        let files = match &mut self.phase {
            Phase::Storing { files } => std::mem::take(files),
            _ => Vec::new(),
        };
        self.phase = Phase::Ended { files };
        let age = self.ledger.age(now);
        self.status.send_modify(|status| {
            status.state = state;
            status.failure = failure;
            status.age_ms = millis(age);
        });
    }

    /// How its picture is written.
    pub(super) fn format(&self) -> Format {
        self.status.borrow().format
    }

    /// The picture's file begins.
    pub(super) fn open(&mut self, opened: File) {
        if let Phase::Running { file, .. } = &mut self.phase {
            *file = Some(opened);
        }
    }

    /// The picture's file, if it is under way.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.phase {
            Phase::Running { file, .. } => file.as_ref(),
            _ => None,
        }
    }

    /// All rows are on their way, and the job's state is no longer needed. Gives its picture's file back, to be
    /// finished; a job that makes no picture has none.
    pub(super) fn store(&mut self, files: Vec<Artifact>) -> Option<File> {
        match std::mem::replace(&mut self.phase, Phase::Storing { files }) {
            Phase::Running { file, .. } => file,
            _ => None,
        }
    }

    /// The job, if it is running.
    pub(super) fn job(&mut self) -> Option<&mut Job> {
        match &mut self.phase {
            Phase::Running { job, .. } => Some(job),
            _ => None,
        }
    }

    /// The running job's plan in numbers.
    pub(super) fn summary(&self) -> Option<Summary> {
        match &self.phase {
            Phase::Running { job, .. } => Some(job.plan().summary()),
            _ => None,
        }
    }

    /// Content hash of the model that the job runs on, once that is settled.
    pub(super) fn model(&self) -> Option<[u8; 32]> {
        match &self.phase {
            Phase::Running { job, .. } => Some(job.plan().facts().hash),
            _ => None,
        }
    }
}

/// A failure that the user can mend.
pub(super) fn request(message: impl Into<String>) -> JobFailure {
    JobFailure { class: FailureClass::Request, message: message.into() }
}

/// A failure that the operator can mend.
pub(super) fn cluster(message: impl Into<String>) -> JobFailure {
    JobFailure { class: FailureClass::Cluster, message: message.into() }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
