//! The one owner of all state: commands in, one after another; messages to workers and statuses to users out.
//!
//! It runs on a thread of its own where there can be one, because stepping a large latent takes milliseconds and must not
//! hold up the threads that move bytes. It reads the clock, performs what the pure parts ask for, and introduces tasks to workers.

mod entry;
mod fetch;
mod figures;
mod file;
mod keeper;
mod state;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tessera_proto::{
    Artifact, FromWorker, Hello, JobHistory, JobId, JobSpec, JobStatus, RegisteredModel, ToWorker, WorkerId,
    WorkerStatus,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Options, clock,
    metrics::Meters,
    render::{self, Event, Source},
    report::Report,
    store::{Archive, Artifacts, Over, Restored},
    threads,
};
pub(crate) use fetch::Fetch;
pub(crate) use figures::{Figures, OpenJobs};
use keeper::{Keeper, Kept};
use state::State;

/// Finished jobs that are remembered, with their files.
pub(crate) const REMEMBERED: usize = tessera_proto::limits::REMEMBERED;

/// Most bytes of prompts, files and pictures that open jobs may hold in memory.
const HELD: u64 = 4 << 30;

/// Commands that wait: beyond it, senders do.
const INBOX: usize = 1024;

/// How often silent workers and waiting jobs are looked for.
const TICK: Duration = Duration::from_millis(250);

/// How long a store may take for the last checkpoints.
const STOP: Duration = Duration::from_secs(2);

/// The way to the actor.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

/// What earlier coordinators have left.
#[derive(Debug)]
pub(crate) struct Past {
    /// Where it lies, and where ours goes.
    pub(crate) archive: Archive,
    /// Jobs that are over, oldest first.
    pub(crate) ended: Vec<Over>,
    /// Jobs to go on with, oldest first.
    pub(crate) open: Vec<Restored>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No such job.
    #[error("no job {job} is known here")]
    UnknownJob {
        /// The job asked for.
        job: JobId,
    },
    /// The job has no such artifact, now or ever.
    #[error("job {job} has no {what}")]
    NoArtifact {
        /// The job asked for.
        job: JobId,
        /// What is missing, and why.
        what: String,
    },
    /// The job has no artifacts now.
    #[error("job {job} has no files yet: it is not done; `tessera watch {job}` says when it is")]
    NotDone {
        /// The job asked for.
        job: JobId,
    },
    /// No such worker.
    #[error("no worker {name:?} is connected: see `tessera workers`")]
    UnknownWorker {
        /// The worker asked for.
        name: String,
    },
    /// The job names no model that can be told from others.
    #[error("the workers serve {} models ({}): choose one with --model", names.len(), names.join(", "))]
    WhichModel {
        /// What they are called.
        names: Vec<String>,
    },
    /// The model cannot render the job.
    #[error(transparent)]
    Plan(#[from] render::PlanError),
    /// One user has handed in more than a queue may hold.
    #[error("{open} jobs of {} wait or run already, which is the limit: cancel some, or try again later", if user.is_empty() { "nobody" } else { user })]
    Queue {
        /// Whose.
        user: String,
        /// How many.
        open: usize,
    },
    /// All jobs together hold more than we may.
    #[error("the jobs that wait or run hold {held} MiB of pictures and prompts, the limit is {} MiB: try again later", HELD >> 20)]
    Full {
        /// What they hold, MiB.
        held: u64,
    },
    /// The job cannot be kept, so it is not taken.
    #[error("the job cannot be stored now, so it was not taken; try again later: {message}")]
    Store {
        /// What fails.
        message: String,
    },
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

/// What the actor is told.
#[derive(Debug)]
enum Command {
    Submit {
        spec: Box<JobSpec>,
        source: Source,
        reply: oneshot::Sender<Result<JobId, Error>>,
    },
    Cancel {
        job: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<JobStatus>, Error>>,
    },
    Watch {
        job: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<JobStatus>, Error>>,
    },
    List {
        reply: oneshot::Sender<Vec<JobStatus>>,
    },
    Show {
        job: JobId,
        reply: oneshot::Sender<Result<(JobHistory, Option<Report>), Error>>,
    },
    Workers {
        reply: oneshot::Sender<Vec<WorkerStatus>>,
    },
    Drain {
        /// Its number or name.
        worker: String,
        reply: oneshot::Sender<Result<Vec<WorkerStatus>, Error>>,
    },
    Figures {
        reply: oneshot::Sender<Figures>,
    },
    Fetch {
        job: JobId,
        artifact: Artifact,
        reply: oneshot::Sender<Result<Fetch, Error>>,
    },
    Enlist {
        hello: Box<Hello>,
        stream: mpsc::Sender<ToWorker>,
        reply: oneshot::Sender<WorkerId>,
    },
    /// `heard`: when the message came, before it waited here.
    Said {
        worker: WorkerId,
        message: FromWorker,
        heard: Instant,
    },
    Gone {
        worker: WorkerId,
    },
    Computed {
        job: JobId,
        event: Event,
    },
    Stored {
        job: JobId,
        result: Result<(), file::Error>,
    },
    /// Something is safe, or cannot be made so.
    Kept(Kept),
    /// Another coordinator has ended a job.
    Adopt {
        over: Box<Over>,
        reply: oneshot::Sender<()>,
    },
    /// The models that workers can fetch.
    Models(Vec<RegisteredModel>),
    /// The fleet wants to hand out tasks at this time.
    Turn,
    Tick,
    Stop {
        reply: oneshot::Sender<()>,
    },
}

// === impl Handle ===

impl Handle {
    /// Starts the actor; it ends when all handles are gone.
    ///
    /// # Panics
    /// Outside a tokio runtime, or when the system cannot start a thread.
    #[must_use]
    pub(crate) fn start(
        options: Options,
        artifacts: Arc<Artifacts>,
        past: Option<Past>,
        meters: Meters,
    ) -> Self {
        let (commands, mut inbox) = mpsc::channel(INBOX);
        let runtime = tokio::runtime::Handle::current();
        // The state keeps a weak way to itself, so that it does not keep itself alive.
        let way = (runtime.clone(), commands.downgrade());
        let mut state = State::new(options, artifacts, way, meters.clone());
        if let Some(Past { archive, ended, open }) = past {
            let keeper = Keeper::start(archive, commands.downgrade(), meters, &runtime);
            state.remember(keeper, ended, open, clock::now());
        }
        threads::reside(&runtime, "actor", async move {
            while let Some(command) = inbox.recv().await {
                state.handle(command, clock::now());
            }
        });
        runtime.spawn(tick(commands.downgrade()));
        Self { commands }
    }

    /// Takes a job on, with what it starts from.
    ///
    /// # Errors
    /// The job cannot be rendered by the model that the workers serve.
    pub(crate) async fn submit(&self, spec: JobSpec, source: Source) -> Result<JobId, Error> {
        self.ask(|reply| Command::Submit { spec: Box::new(spec), source, reply }).await?
    }

    /// Ends a job.
    ///
    /// # Errors
    /// The job is not known.
    pub(crate) async fn cancel(&self, job: JobId) -> Result<JobStatus, Error> {
        let mut status = self.ask(|reply| Command::Cancel { job, reply }).await??;
        // Until its end is stored, it could come back.
        let ended = status.wait_for(|status| status.state.is_final()).await.map_err(|_| Error::Stopping)?;
        Ok(ended.clone())
    }

    /// A job's status, now and on every change.
    ///
    /// # Errors
    /// The job is not known.
    pub(crate) async fn watch(&self, job: JobId) -> Result<watch::Receiver<JobStatus>, Error> {
        self.ask(|reply| Command::Watch { job, reply }).await?
    }

    /// All jobs that are known, oldest first.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn list(&self) -> Result<Vec<JobStatus>, Error> {
        self.ask(|reply| Command::List { reply }).await
    }

    /// What has happened to a job, and its report so far where it runs.
    ///
    /// # Errors
    /// The job is not known.
    pub(crate) async fn show(&self, job: JobId) -> Result<(JobHistory, Option<Report>), Error> {
        self.ask(|reply| Command::Show { job, reply }).await?
    }

    /// All workers, in the order in which they came.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerStatus>, Error> {
        self.ask(|reply| Command::Workers { reply }).await
    }

    /// Tells workers of a number or name to finish the task in hand and go.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn drain(&self, worker: String) -> Result<Vec<WorkerStatus>, Error> {
        self.ask(|reply| Command::Drain { worker, reply }).await?
    }

    /// These are the models that workers can fetch from now on.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn models(&self, models: Vec<RegisteredModel>) -> Result<(), Error> {
        self.commands.send(Command::Models(models)).await.map_err(|_| Error::Stopping)
    }

    /// Remembers a job that another coordinator has ended.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn adopt(&self, over: Box<Over>) -> Result<(), Error> {
        self.ask(|reply| Command::Adopt { over, reply }).await
    }

    /// How things stand.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn figures(&self) -> Result<Figures, Error> {
        self.ask(|reply| Command::Figures { reply }).await
    }

    /// The file of an artifact.
    ///
    /// # Errors
    /// The job is not known, not done, or has no such artifact.
    pub(crate) async fn fetch(&self, job: JobId, artifact: Artifact) -> Result<Fetch, Error> {
        self.ask(|reply| Command::Fetch { job, artifact, reply }).await?
    }

    /// Takes a worker in; messages for it go to `stream`.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn enlist(
        &self,
        hello: Hello,
        stream: mpsc::Sender<ToWorker>,
    ) -> Result<WorkerId, Error> {
        self.ask(|reply| Command::Enlist { hello: Box::new(hello), stream, reply }).await
    }

    /// Passes on what a worker said.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn said(
        &self,
        worker: WorkerId,
        message: FromWorker,
        heard: Instant,
    ) -> Result<(), Error> {
        self.commands.send(Command::Said { worker, message, heard }).await.map_err(|_| Error::Stopping)
    }

    /// A worker's stream has ended.
    ///
    /// # Errors
    /// The coordinator is stopping.
    pub(crate) async fn gone(&self, worker: WorkerId) -> Result<(), Error> {
        self.commands.send(Command::Gone { worker }).await.map_err(|_| Error::Stopping)
    }

    /// Ends all streams to workers and watchers, so that the listener can close, once it is stored how far each job is.
    pub(crate) async fn stop(&self) {
        // An actor that is gone has stopped; a store that fails has what it had before.
        let stopped = self.ask(|reply| Command::Stop { reply });
        let _ = tokio::time::timeout(STOP, stopped).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)
    }
}

/// Wakes the actor regularly until it is gone.
async fn tick(commands: mpsc::WeakSender<Command>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(commands) = commands.upgrade() else {
            return;
        };
        if commands.send(Command::Tick).await.is_err() {
            return;
        }
    }
}
