//! The only printer: data goes to standard output, everything else to standard error.
//!
//! A reader that hangs up (`tessera jobs | head -1`) is no error: what is left to say is dropped quietly.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::exit::Failure;

/// What an error line starts with; a parent process finds the sentence behind it.
pub(crate) const ERROR_PREFIX: &str = "error: ";

/// For whom output is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Readable lines.
    People,
    /// One JSON object per line.
    Json,
    /// Errors only.
    Quiet,
}

/// Both output streams, and the progress bars that share a terminal with them.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    style: Style,
    terminal: bool,
    bars: MultiProgress,
}

/// A log's way to standard error, around the progress bars.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter(MultiProgress);

// === impl Style ===

impl Style {
    /// The style that `--json` and `--quiet` ask for.
    pub(crate) const fn of(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (false, true) => Self::Quiet,
            (false, false) => Self::People,
        }
    }
}

// === impl Output ===

impl Output {
    /// The process's streams.
    pub(crate) fn new(style: Style) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = io::stderr().is_terminal() && !dumb && style == Style::People;
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { style, terminal, bars: MultiProgress::with_draw_target(target) }
    }

    /// For whom output is made.
    pub(crate) const fn style(&self) -> Style {
        self.style
    }

    /// Whether a person watches: progress may be drawn.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Where progress bars are drawn.
    pub(crate) const fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// A writer for logs that does not tear progress bars.
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter(self.bars.clone())
    }

    /// Prints a line of data.
    ///
    /// # Errors
    /// Standard output takes no more, for another reason than that nobody reads it.
    pub(crate) fn data(&self, line: impl Display) -> Result<(), Failure> {
        let print = || {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        };
        match self.bars.suspend(print) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::failed(anyhow::Error::new(error).context("cannot write to standard output")))
            }
            _ => Ok(()),
        }
    }

    /// Prints a value as one line of JSON.
    ///
    /// # Errors
    /// As [`Output::data`].
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(Failure::failed)?;
        self.data(line)
    }

    /// Says something that is worth knowing, unless all but errors are unwanted.
    pub(crate) fn note(&self, line: impl Display) {
        if self.style != Style::Quiet {
            self.say(line);
        }
    }

    /// Says why the command failed.
    pub(crate) fn error(&self, sentence: impl Display) {
        self.say(format_args!("{ERROR_PREFIX}{sentence}"));
    }

    /// A line that cannot be written to standard error has nowhere else to go.
    fn say(&self, line: impl Display) {
        self.bars.suspend(|| {
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }
}

// === impl LogWriter ===

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
