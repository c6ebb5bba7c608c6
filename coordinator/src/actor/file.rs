//! The files of a job under way: rows and at last what lies beside them in; files in the folder, and word to the actor, out.
//!
//! One thread writes, in the order in which it is told: the actor never waits for the disk. What waits to be written is
//! bounded by the job, which runs no tiles far below the rows that are.

use std::{
    sync::{Arc, mpsc as orders},
    time::Instant,
};

use tessera_proto::{Artifact, JobId};
use tokio::sync::mpsc;

use super::Command;
use crate::{
    picture::Band,
    render::{Event, Output, PictureFile},
    report::Report,
    store::{Artifacts, Draft, DraftError},
};

/// The way to the thread that writes. Dropping it before [`File::finish`] ends the thread, and leaves no file.
#[derive(Debug)]
pub(super) struct File {
    orders: orders::Sender<Order>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Write(Band),
    Finish { output: Output, report: Box<Report> },
}

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Desk {
    /// The job.
    pub(super) job: JobId,
    /// Where its files go.
    pub(super) artifacts: Arc<Artifacts>,
    /// The way back.
    pub(super) commands: mpsc::WeakSender<Command>,
}

// === impl File ===

impl File {
    /// Begins the files of a job; first the picture's, where it makes one.
    pub(super) fn begin(desk: Desk, picture: Option<PictureFile>, runtime: &tokio::runtime::Handle) -> Self {
        let (sender, receiver) = orders::channel();
        runtime.spawn_blocking(move || desk.serve(picture.as_ref(), &receiver));
        Self { orders: sender }
    }

    /// Writes the next rows, after those before. A thread that has failed says so itself.
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
    fn serve(self, picture: Option<&PictureFile>, orders: &orders::Receiver<Order>) {
        let result = match self.work(picture, orders) {
            Ok(true) => Ok(()),
            // The job has ended: nobody waits.
            Ok(false) => return,
            Err(error) => {
                Err(format!("the job's files cannot be written to the coordinator's folder: {error}"))
            }
        };
        self.tell(Command::Stored { job: self.job, result });
    }

    /// Returns whether all files are there.
    fn work(
        &self,
        picture: Option<&PictureFile>,
        orders: &orders::Receiver<Order>,
    ) -> Result<bool, DraftError> {
        let mut draft = picture.map(|picture| self.artifacts.draft(self.job, picture)).transpose()?;
        for order in orders {
            match order {
                Order::Write(band) => {
                    // A job that makes no picture has no rows.
                    draft.iter_mut().try_for_each(|draft| draft.write(&band))?;
                    let rows = u32::try_from(band.len()).unwrap_or(u32::MAX);
                    // Its memory is free before more tiles are asked for.
                    drop(band);
                    self.tell(Command::Computed { job: self.job, event: Event::Written { rows } });
                }
                Order::Finish { output, report } => {
                    let picture = draft.map(Draft::finish).transpose()?;
                    let put = |artifact, bytes: &[u8]| self.artifacts.put(self.job, artifact, bytes);
                    for (artifact, file) in [(Artifact::Dump, output.dump), (Artifact::Latent, output.latent)]
                    {
                        file.map(|bytes| put(artifact, &bytes)).transpose()?;
                    }
                    report.trace().map(|bytes| put(Artifact::Trace, &bytes)).transpose()?;
                    put(Artifact::Report, &report.ended(Instant::now()).to_json()?)?;
                    picture.map(|picture| self.artifacts.publish(self.job, picture)).transpose()?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn tell(&self, command: Command) {
        // An actor that is gone needs no word.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.blocking_send(command);
        }
    }
}
