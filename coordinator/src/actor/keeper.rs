//! The way to what outlives us: orders in, one after another; word to the actor of what is safe out.
//!
//! The actor never waits for the disk or a database. Where one fails, the order is tried again until it is carried out; the
//! actor is told, so that no job goes on that could not be kept.

use std::{sync::Arc, time::Duration};

use tessera_proto::{Artifact, JobHistory, JobId, JobSpec, JobStatus};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{Command, Error};
use crate::{
    clock,
    metrics::Meters,
    render::{Checkpoint, Source},
    store::{Archive, ArchiveError, Pulse, Restored},
    threads,
};

/// Pause before the first further attempt; each one after is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a job's owner shows that it lives, and looks for jobs whose owner does not.
const WATCH: Duration = Duration::from_secs(2);

/// The way to the keeper.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
}

/// What is to be kept or read.
#[derive(Debug)]
pub(super) enum Order {
    /// A new job; who asked is answered when it is safe.
    Admit { job: JobId, place: u64, spec: Box<JobSpec>, reply: oneshot::Sender<Result<JobId, Error>> },
    /// The model of a job is settled.
    Begun { job: JobId, model: [u8; 32] },
    /// How far a job is.
    Keep { job: JobId, checkpoint: Arc<Checkpoint> },
    /// What a job goes on from.
    Load { job: JobId, spec: Box<JobSpec> },
    /// A job is over.
    End { job: JobId, status: Box<JobStatus>, files: Vec<Artifact>, history: JobHistory },
    /// Nobody asks for a job any more.
    Forget { job: JobId },
    /// Answered when all before is done.
    Flush { done: oneshot::Sender<()> },
}

/// What an order has led to.
#[derive(Debug)]
pub(super) enum Kept {
    /// A job's checkpoint is safe.
    Checkpoint { job: JobId },
    /// What a job goes on from is there; or it cannot be read, and never will be.
    Loaded { job: JobId, result: Result<(Source, Option<Box<Checkpoint>>), String> },
    /// A job's end is safe.
    Ended { job: JobId },
    /// A job was not taken in.
    Refused { job: JobId },
    /// Another coordinator has taken a job over.
    Lost { job: JobId },
    /// Jobs of coordinators that are gone are ours now.
    Claimed(Vec<Restored>),
    /// The store fails, and is tried again; or does so no longer.
    Fault(Option<String>),
}

/// What works orders off.
struct Loop {
    archive: Archive,
    commands: mpsc::WeakSender<Command>,
    meters: Meters,
    /// Whether the actor believes the store to fail.
    troubled: bool,
}

// === impl Keeper ===

impl Keeper {
    /// Begins; it ends when all ways to it are gone.
    pub(super) fn start(
        archive: Archive,
        commands: mpsc::WeakSender<Command>,
        meters: Meters,
        runtime: &Handle,
    ) -> Self {
        let (orders, mut inbox) = mpsc::unbounded_channel();
        if archive.is_shared() {
            runtime.spawn(live(archive.pulse(), commands.clone(), meters.clone()));
        }
        let mut this = Loop { archive, commands, meters, troubled: false };
        runtime.spawn(async move {
            let mut watch = tokio::time::interval(WATCH);
            watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    order = inbox.recv() => match order {
                        Some(order) => this.carry_out(order).await,
                        None => return,
                    },
                    _ = watch.tick() => this.claim().await,
                }
            }
        });
        Self { orders }
    }

    /// Orders something, after all before.
    pub(super) fn order(&self, order: Order) {
        // A keeper that is gone went with the runtime.
        let _ = self.orders.send(order);
    }
}

// === impl Loop ===

impl Loop {
    /// Carries an order out, however long that takes.
    async fn carry_out(&mut self, order: Order) {
        let order = match order {
            Order::Admit { job, place, spec, reply } => return self.admit(job, place, &spec, reply).await,
            Order::Flush { done } => {
                // Who waited may have left.
                let _ = done.send(());
                return;
            }
            order => order,
        };
        let mut pause = FIRST_PAUSE;
        let kept = loop {
            match self.attempt(&order).await {
                Ok(kept) => break kept,
                Err(error) => {
                    tracing::error!(%error, "the store fails, trying again");
                    self.meters.store_failed();
                    self.troubled = true;
                    self.tell(Kept::Fault(Some(error.to_string()))).await;
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        };
        if std::mem::take(&mut self.troubled) {
            tracing::info!("the store works again");
            self.tell(Kept::Fault(None)).await;
        }
        if let Some(kept) = kept {
            self.tell(kept).await;
        }
    }

    async fn attempt(&mut self, order: &Order) -> Result<Option<Kept>, ArchiveError> {
        let (job, ours, kept) = match order {
            Order::Begun { job, model } => (*job, self.archive.begun(*job, *model).await?, None),
            Order::Keep { job, checkpoint } => {
                let began = clock::now();
                let ours = self.archive.keep(*job, Arc::clone(checkpoint)).await?;
                self.meters.kept(checkpoint.byte_len(), clock::now().saturating_duration_since(began));
                (*job, ours, Some(Kept::Checkpoint { job: *job }))
            }
            Order::End { job, status, files, history } => {
                let ours = self.archive.end(*job, (status, files, history)).await?;
                (*job, ours, Some(Kept::Ended { job: *job }))
            }
            Order::Load { job, spec } => return Ok(Some(self.load(*job, spec.clone()).await?)),
            Order::Forget { job } => {
                self.archive.forget(*job).await?;
                return Ok(None);
            }
            Order::Admit { .. } | Order::Flush { .. } => return Ok(None),
        };
        Ok(if ours { kept } else { Some(Kept::Lost { job }) })
    }

    async fn load(&self, job: JobId, spec: Box<JobSpec>) -> Result<Kept, ArchiveError> {
        let checkpoint = self.archive.load(job).await?.map(Box::new);
        let source = threads::compute(&Handle::current(), move || Source::read(&spec)).await;
        let source = source.map_err(|_| ArchiveError::Background)?;
        let result = source.map(|source| (source, checkpoint)).map_err(|error| error.to_string());
        Ok(Kept::Loaded { job, result })
    }

    /// Takes a job in, or refuses it: who asked waits, and can ask again.
    async fn admit(
        &mut self,
        job: JobId,
        place: u64,
        spec: &JobSpec,
        reply: oneshot::Sender<Result<JobId, Error>>,
    ) {
        let admitted = self.archive.admit(job, place, spec).await;
        let result = match admitted {
            Ok(()) => Ok(job),
            Err(error) => {
                tracing::error!(%job, %error, "a job could not be stored");
                self.meters.store_failed();
                self.tell(Kept::Refused { job }).await;
                Err(Error::Store { message: error.to_string() })
            }
        };
        // A client that hung up finds its job in the list.
        let _ = reply.send(result);
    }

    /// Looks for jobs whose coordinators do not live.
    async fn claim(&mut self) {
        if !self.archive.is_shared() {
            return;
        }
        match self.archive.claim().await {
            Ok(jobs) if jobs.is_empty() => {}
            Ok(jobs) => self.tell(Kept::Claimed(jobs)).await,
            Err(error) => {
                tracing::warn!(%error, "cannot look for jobs of coordinators that are gone");
                self.meters.store_failed();
            }
        }
    }

    async fn tell(&self, kept: Kept) {
        // An actor that is gone needs no word.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Kept(kept)).await;
        }
    }
}

/// Shows that we live, until the actor is gone. Apart from the orders: one that waits for a slow bucket must not cost us our
/// jobs.
async fn live(pulse: Pulse, actor: mpsc::WeakSender<Command>, meters: Meters) {
    let mut ticks = tokio::time::interval(WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if actor.upgrade().is_none() {
            return;
        }
        if let Err(error) = pulse.live().await {
            tracing::warn!(%error, "cannot show that we live");
            meters.store_failed();
        }
    }
}
