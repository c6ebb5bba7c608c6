//! A job in the coordinator's books: what was asked for, how far it is, who watches.

mod books;

use std::time::{Duration, Instant};

use tessera_proto::{
    Artifact, FailureClass, JobFailure, JobHistory, JobId, JobSpec, JobState, JobStatus,
    job::{Format, Goal, Urgency},
};
use tokio::sync::watch;

use super::file::File;
use crate::{
    fleet::Standing,
    render::{Checkpoint, Job, Mark, Progress, Source, Summary},
    report::Ledger,
    store::{Over, Restored},
};

/// A job and its watchers.
#[derive(Debug)]
pub(super) struct Entry {
    /// Jobs are served in the order of their submission.
    pub(super) order: u64,
    pub(super) priority: Urgency,
    pub(super) user: String,
    /// What was asked for, until it is over.
    pub(super) spec: Option<Box<JobSpec>>,
    /// Bytes that it holds as long as it is open.
    pub(super) held: u64,
    /// Content hash of the model that it began with.
    pub(super) pinned: Option<[u8; 32]>,
    pub(super) phase: Phase,
    pub(super) ledger: Ledger,
    /// Where it stood when a checkpoint was last made, and when that was.
    pub(super) kept: Option<(Mark, Instant)>,
    /// Whether a checkpoint is on its way.
    pub(super) keeping: bool,
    /// When it came to this coordinator.
    pub(super) since: Instant,
    status: watch::Sender<JobStatus>,
    stage_since: Instant,
    history: JobHistory,
    /// Whether what an earlier coordinator knew of it is still to be read.
    recalls: bool,
}

/// Where a job stands; a field exists only where it means something.
///
/// ```text
/// Waiting ── a worker with the model ──> Running ── last row ──> Storing ──> Ending ──> Ended
///  │   ^                                    │                       │          ^
///  │   └── its files cannot be written now ─┴───────────────────────┘          │
///  └── time is up, failure, cancel ────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    Waiting {
        input: Input,
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
    /// How it ended, which is being stored.
    Ending {
        status: Box<JobStatus>,
        files: Vec<Artifact>,
    },
    Ended {
        files: Vec<Artifact>,
    },
}

/// What a job begins with, or goes on from.
#[derive(Debug)]
pub(super) enum Input {
    /// It is here.
    Here { source: Source, checkpoint: Option<Box<Checkpoint>> },
    /// It lies in the store, and is not to be read before this time.
    Stored { not_before: Instant },
    /// It is being read.
    Loading,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(id: JobId, order: u64, (spec, source): (Box<JobSpec>, Source), now: Instant) -> Self {
        let since = (now, Duration::ZERO);
        Self::waiting((id, order), spec, Input::Here { source, checkpoint: None }, since)
    }

    /// A job of an earlier coordinator, to go on with.
    pub(super) fn restored(restored: Restored, now: Instant) -> Self {
        let Restored { job, place, spec, model, age } = restored;
        let input = Input::Stored { not_before: now };
        let mut this = Self::waiting((job, place), Box::new(spec), input, (now, age));
        (this.pinned, this.recalls) = (model, true);
        this.tell("taken up again: its coordinator had ended", now);
        this
    }

    /// A job that is over.
    pub(super) fn over(over: Over, now: Instant) -> Self {
        let Over { place, status, files, history, .. } = over;
        Self {
            order: place,
            priority: status.priority,
            user: status.user.clone(),
            spec: None,
            held: 0,
            pinned: None,
            phase: Phase::Ended { files },
            ledger: Ledger::new(now, false),
            kept: None,
            keeping: false,
            since: now,
            status: watch::Sender::new(status),
            stage_since: now,
            history,
            recalls: false,
        }
    }

    /// `age`: how long ago it was handed in, perhaps to another coordinator.
    fn waiting(
        (id, order): (JobId, u64),
        spec: Box<JobSpec>,
        input: Input,
        (now, age): (Instant, Duration),
    ) -> Self {
        // No clock of a machine goes back to before its start.
        let handed_in = now.checked_sub(age).unwrap_or(now);
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
            paused: None,
            format: spec.format,
            size: None,
            user: spec.user.clone(),
            priority: spec.priority,
        };
        Self {
            order,
            ledger: Ledger::new(handed_in, spec.trace),
            priority: spec.priority,
            user: spec.user.clone(),
            held: match &input {
                Input::Here { source, .. } => held(&spec, source.byte_len()),
                Input::Stored { .. } | Input::Loading => held(&spec, 0),
            },
            spec: Some(spec),
            pinned: None,
            phase: Phase::Waiting { input },
            kept: None,
            keeping: false,
            since: now,
            status: watch::Sender::new(status),
            stage_since: now,
            history: books::began(handed_in),
            recalls: false,
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

    /// How many follow it.
    pub(super) fn watchers(&self) -> u64 {
        self.status.receiver_count() as u64
    }

    /// Whether nothing more will happen to it, and everyone knows.
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// Whether nothing more will happen to it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Ended { .. })
    }

    /// The job begins.
    pub(super) fn run(&mut self, job: Job, now: Instant) {
        let (notes, size) = (job.plan().notes().to_vec(), job.plan().target());
        let Progress { stage, done, total, .. } = job.progress();
        let begins = format!("begins with {}: {total} tasks", stage.name());
        let goes_on = format!("goes on with {}: {done} of {total} tasks are done", stage.name());
        self.tell(if done == 0 { begins } else { goes_on }, now);
        self.stage_since = now.checked_sub(self.ledger.spent_in(stage)).unwrap_or(now);
        self.phase = Phase::Running { job: Box::new(job), file: None };
        self.status.send_modify(|status| {
            status.state = JobState::Running;
            status.stage = stage;
            status.paused = None;
            status.notes = notes;
            status.size = Some(size);
        });
    }

    /// Brings the status up to date. `workers`: how many serve the job's model.
    pub(super) fn refresh(&mut self, workers: u32, now: Instant) {
        if self.is_over() {
            return;
        }
        let (stage, told) = {
            let status = self.status.borrow();
            (status.stage, status.notes.len())
        };
        let (progress, notes) = match &self.phase {
            // Notes only grow.
            Phase::Running { job, .. } => {
                (Some(job.progress()), job.plan().notes().iter().skip(told).cloned().collect())
            }
            _ => (None, Vec::new()),
        };
        notes.iter().for_each(|note| self.tell(note, now));
        if let Some(progress) = progress.filter(|progress| progress.stage != stage) {
            self.stage_since = now;
            self.tell(format!("{} begins", progress.stage.name()), now);
        }
        let (age, in_stage) = (self.ledger.age(now), now.saturating_duration_since(self.stage_since));
        self.status.send_modify(|status| {
            status.notes.extend(notes);
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

    /// Nothing happens to the job for this reason, or something does again.
    pub(super) fn pause(&mut self, why: Option<&str>, now: Instant) {
        if self.is_ended() {
            return;
        }
        let changed = self.status.send_if_modified(|status| {
            let changed = status.paused.as_deref() != why;
            status.paused = why.map(str::to_owned);
            changed
        });
        if changed {
            self.tell(why.unwrap_or("nothing stands in its way any more"), now);
        }
    }

    /// The job goes back to where it was last stored.
    pub(super) fn suspend(&mut self, not_before: Instant) {
        self.phase = Phase::Waiting { input: Input::Stored { not_before } };
        self.keeping = false;
        self.status.send_modify(|status| status.state = JobState::Waiting);
    }

    /// The job is over: its last status, and its files. Nobody sees the status before it is [published](Self::publish).
    pub(super) fn end(
        &mut self,
        state: JobState,
        failure: Option<JobFailure>,
        now: Instant,
    ) -> (JobStatus, Vec<Artifact>) {
        let files = match &mut self.phase {
            Phase::Storing { files } if state == JobState::Done => std::mem::take(files),
            _ => Vec::new(),
        };
        self.spec = None;
        self.tell(books::ended(state, failure.as_ref()), now);
        let status =
            JobStatus { state, failure, paused: None, age_ms: millis(self.ledger.age(now)), ..self.status() };
        self.phase = Phase::Ending { status: Box::new(status.clone()), files: files.clone() };
        (status, files)
    }

    /// The end is safe, and everyone may know.
    pub(super) fn publish(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Ended { files: Vec::new() }) {
            Phase::Ending { status, files } => {
                self.phase = Phase::Ended { files };
                self.status.send_replace(*status);
            }
            phase => self.phase = phase,
        }
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that a job holds as long as it is open, beside the picture or latent that it starts from.
pub(super) fn held(spec: &JobSpec, source: u64) -> u64 {
    let texts = spec.prompt.len() + spec.negative_prompt.len();
    let image = spec.image.as_ref().map_or(0, |file| file.len());
    let latent = if let Goal::Decode(file) = &spec.goal { file.len() } else { 0 };
    (texts + image + latent) as u64 + source
}
