//! Progress on a terminal: states in, a bar that is drawn over itself out.

use indicatif::{ProgressBar, ProgressStyle};
use tessera_proto::JobStatus;

use super::{line, lines::stage_end};
use crate::output::Output;

/// A bar for the present stage; stages that ended leave a line above it.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    last: Option<JobStatus>,
}

// === impl Bar ===

impl Bar {
    /// An empty bar at the end of the output.
    pub(super) fn new(output: &Output) -> Self {
        let bar = output.bars().add(ProgressBar::new(1));
        // The template is a constant; were it wrong, indicatif's own bar would do.
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, last: None }
    }

    /// Draws a state.
    pub(super) fn show(&mut self, status: &JobStatus, output: &Output) {
        if let Some(line) = self.last.as_ref().and_then(|last| stage_end(last, status)) {
            output.note(line);
        }
        if status.state.is_final() {
            self.bar.finish_and_clear();
        } else {
            // indicatif draws a bar of nothing as a full one.
            self.bar.set_length(status.stage_total.max(1));
            self.bar.set_position(status.stage_done);
            self.bar.set_message(line::now(status));
        }
        self.last = Some(status.clone());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
