//! The files of a job under way: rows and at last what lies beside them in; files in the folder, and word to the actor, out.
//!
//! What is told is written in that order, one piece after another, away from the actor, which never waits for the disk.
//! What waits to be written is bounded by the job, which runs no tiles far below the rows that are.

use std::sync::Arc;

use fail::fail_point;
use tessera_proto::{Artifact, JobId};
use tokio::{runtime::Handle, sync::mpsc};

use super::Command;
use crate::{
    clock,
    picture::Band,
    render::{Event, Output, PictureFile},
    report::Report,
    store::{Artifacts, Draft, DraftError},
    threads,
};

/// The way to what writes. Dropping it before [`File::finish`] ends that, and leaves no file.
#[derive(Debug)]
pub(super) struct File {
    orders: mpsc::UnboundedSender<Order>,
}

/// What is told.
#[derive(Debug)]
enum Order {
    Write(Band),
    Finish { output: Output, report: Box<Report> },
}

/// What is worked with.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    /// The job.
    pub(super) job: JobId,
    /// Where its files go.
    pub(super) artifacts: Arc<Artifacts>,
    /// The way back.
    pub(super) commands: mpsc::WeakSender<Command>,
}

/// Why a job's files are not there.
#[derive(Debug)]
pub(super) struct Error {
    /// One sentence.
    pub(super) message: String,
    /// Whether they may be written later: the disk is full, say.
    pub(super) passing: bool,
}

// === impl File ===

impl File {
    /// Begins the files of a job; first the picture's, where it makes one.
    pub(super) fn begin(desk: Desk, picture: Option<PictureFile>, runtime: &Handle) -> Self {
        let (orders, receiver) = mpsc::unbounded_channel();
        runtime.spawn(desk.serve(picture, receiver));
        Self { orders }
    }

    /// Writes the next rows, after those before. What has failed says so itself.
    pub(super) fn write(&self, band: Band) {
        let _ = self.orders.send(Order::Write(band));
    }

    /// Ends the picture, and writes what lies beside it.
    pub(super) fn finish(self, output: Output, report: Report) {
        let _ = self.orders.send(Order::Finish { output, report: Box::new(report) });
    }
}

// === impl Desk ===

impl Desk {
    async fn serve(self, picture: Option<PictureFile>, orders: mpsc::UnboundedReceiver<Order>) {
        let result = match self.work(picture, orders).await {
            Ok(true) => Ok(()),
            // The job has ended: nobody waits.
            Ok(false) => return,
            Err(error) => Err(Error {
                passing: error.is_passing(),
                message: format!("the job's files cannot be stored: {error}"),
            }),
        };
        self.tell(Command::Stored { job: self.job, result }).await;
    }

    /// Returns whether all files are there.
    async fn work(
        &self,
        picture: Option<PictureFile>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) -> Result<bool, DraftError> {
        let begin = |desk: Self| picture.map(|picture| desk.artifacts.draft(desk.job, &picture)).transpose();
        let mut draft = self.apart(begin).await?;
        while let Some(order) = orders.recv().await {
            match order {
                Order::Write(band) => {
                    let rows = u32::try_from(band.len()).unwrap_or(u32::MAX);
                    let write = move |_| {
                        // A job that makes no picture has no rows.
                        draft.iter_mut().try_for_each(|draft| draft.write(&band))?;
                        // Its memory is free before more tiles are asked for.
                        drop(band);
                        Ok(draft)
                    };
                    draft = self.apart(write).await?;
                    self.tell(Command::Computed { job: self.job, event: Event::Written { rows } }).await;
                }
                Order::Finish { output, report } => {
                    self.apart(move |desk| desk.finish(draft, output, *report)).await?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn finish(&self, draft: Option<Draft>, output: Output, report: Report) -> Result<(), DraftError> {
        let picture = draft.map(Draft::finish).transpose()?;
        let put = |artifact, bytes: Vec<u8>| self.artifacts.put(self.job, artifact, bytes);
        for (artifact, file) in [(Artifact::Dump, output.dump), (Artifact::Latent, output.latent)] {
            file.map(|bytes| put(artifact, bytes)).transpose()?;
        }
        report.trace().map(|bytes| put(Artifact::Trace, bytes)).transpose()?;
        put(Artifact::Report, report.ended(clock::now()).to_json()?)?;
        fail_point!("files-written", |_| std::process::abort());
        picture.map(|picture| self.artifacts.publish(self.job, picture)).transpose()?;
        fail_point!("picture-named", |_| std::process::abort());
        Ok(())
    }

    /// Runs a piece of work that encodes or waits for the disk.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, DraftError> + Send + 'static,
    ) -> Result<T, DraftError> {
        let desk = self.clone();
        threads::compute(&Handle::current(), move || work(desk)).await.map_err(|_| DraftError::Background)?
    }

    async fn tell(&self, command: Command) {
        // An actor that is gone needs no word.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(command).await;
        }
    }
}
