//! From rows to files: what a job's last decode asks for in; a file under way, and a job that is done, out.

use std::{sync::Arc, time::Instant};

use tessera_proto::{Artifact, JobId, JobState, ToWorker};

use super::State;
use crate::{
    actor::{
        entry::cluster,
        file::{Desk, File},
    },
    render::{Output, PictureFile},
    report::Subject,
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
        self.release_tensors(id);
        self.outrun.retain(|_, outrun| outrun.job != id);
        for (worker, lease) in self.fleet.drop_job(id, now) {
            self.tell(worker, ToWorker::Withdraw { lease });
        }
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(summary) = entry.summary() else { return };
        let report = entry.ledger.report(Subject { job: id, plan: summary, origin: self.origin }, now);
        let trace = report.is_traced().then_some(Artifact::Trace);
        let file = entry.store(output.artifacts().into_iter().chain(trace).collect());
        file.unwrap_or_else(|| self.file(id, None)).finish(output, report);
    }

    /// A job's files are all there, or cannot be written.
    pub(super) fn stored(&mut self, id: JobId, result: Result<(), String>, now: Instant) {
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        let format = entry.format();
        match result {
            // A job that was cancelled meanwhile stays cancelled.
            _ if entry.is_ended() => self.artifacts.remove(id, format),
            Ok(()) => {
                tracing::info!(job = %id, seconds = entry.ledger.age(now).as_secs_f64(), "job done");
                entry.end(JobState::Done, None, now);
                self.begin_waiting(now);
            }
            Err(message) => {
                self.artifacts.remove(id, format);
                self.fail(id, cluster(message), now);
            }
        }
    }
}
