//! How a job's state is shown while it changes: states in, a drawn bar, plain lines, JSON or nothing out.

mod bar;
mod line;
mod lines;

pub(crate) use line::seconds;
#[cfg(test)]
pub(crate) use line::tests::status;

use tessera_proto::JobStatus;
use tokio::time::Instant;

use crate::{
    event::Event,
    exit::Failure,
    output::{Output, Style},
};

/// The way in which progress is shown.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A bar on a terminal.
    Bar(bar::Bar),
    /// Lines on a pipe.
    Lines(lines::Lines),
    /// Every change, for scripts.
    Json,
    /// Nothing.
    Silent,
}

// === impl Progress ===

impl Progress {
    /// What suits the output.
    pub(crate) fn new(output: &Output) -> Self {
        match output.style() {
            Style::Json => Self::Json,
            Style::Quiet => Self::Silent,
            Style::People if output.is_terminal() => Self::Bar(bar::Bar::new(output)),
            Style::People => Self::Lines(lines::Lines::default()),
        }
    }

    /// Shows a state.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub(crate) fn show(&mut self, status: &JobStatus, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Bar(bar) => bar.show(status, output),
            Self::Lines(lines) => {
                lines.next(status, Instant::now()).iter().for_each(|line| output.note(line))
            }
            Self::Json => output.json(&Event::Status { status })?,
            Self::Silent => {}
        }
        Ok(())
    }
}
