//! From rows to files: what a job's last decode asks for in; a file under way, and a job that is done, out.

use std::{sync::Arc, time::Instant};

use tessera_proto::{Artifact, JobId, JobState, job::Format};

use super::State;
use crate::{
    actor::{
        entry::cluster,
        file::{self, Desk, File},
    },
    render::{Output, PictureFile},
    report::Subject,
    threads,
};

impl State {
    /// Begins a job's picture, off this thread.
    pub(super) fn begin_file(&mut self, id: JobId, picture: PictureFile) {
        let file = self.file(id, Some(picture));
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.open(file);
        }
    }

    /// What writes a job's files.
    fn file(&self, id: JobId, picture: Option<PictureFile>) -> File {
        let (artifacts, commands) = (Arc::clone(&self.artifacts), self.commands.clone());
        File::begin(Desk { job: id, artifacts, commands }, picture, &self.runtime)
    }

    /// Ends the files of a job whose last row is on its way.
    pub(super) fn finish_files(&mut self, id: JobId, output: Output, now: Instant) {
        // The last look at the job: saving is what people see from here on.
        self.refresh(id, now);
        self.withdraw(id);
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(summary) = entry.summary() else { return };
        let report = entry.ledger.report(Subject { job: id, plan: summary, origin: self.origin }, now);
        let trace = report.is_traced().then_some(Artifact::Trace);
        let file = entry.store(output.artifacts().into_iter().chain(trace).collect());
        file.unwrap_or_else(|| self.file(id, None)).finish(output, report);
    }

    /// Removes the files of a job that will not be written again.
    pub(super) fn discard(&self, id: JobId, format: Format) {
        let artifacts = Arc::clone(&self.artifacts);
        let remove = move || artifacts.remove(id, format);
        if self.artifacts.is_near() {
            remove();
        } else {
            drop(threads::compute(&self.runtime, remove));
        }
    }

    /// A job's files are all there, or cannot be written.
    pub(super) fn stored(&mut self, id: JobId, result: Result<(), file::Error>, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let format = entry.format();
        match result {
            // A job that was cancelled meanwhile stays cancelled.
            _ if entry.is_over() => self.discard(id, format),
            Ok(()) => {
                tracing::info!(job = %id, seconds = entry.ledger.age(now).as_secs_f64(), "job done");
                self.end(id, JobState::Done, None, now);
            }
            Err(file::Error { message, passing: true }) if self.keeper.is_some() => {
                // In a bucket, what is there is replaced when the job is done: removing it now could come too late.
                if self.artifacts.is_near() {
                    self.discard(id, format);
                }
                self.suspend(id, &message, now);
            }
            Err(file::Error { message, .. }) => {
                self.discard(id, format);
                self.fail(id, cluster(message), now);
            }
        }
    }
}
