//! `tessera render` with all its files: flags in; a picture, tensors and a report, or the way it failed, out.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    model, picture,
    process::{Ended, Running},
    program,
    report::Report,
    tensors::Tensors,
};

/// The longest that a render of a test may take; the demo model on slow cores takes most of it.
pub const LIMIT: Duration = Duration::from_secs(240);

/// A command line that grows.
#[derive(Debug)]
pub struct Render {
    command: Command,
    folder: TempDir,
}

/// A render under way.
#[derive(Debug)]
pub struct Pending {
    /// The process.
    pub running: Running,
    folder: TempDir,
}

/// A render that went well.
#[derive(Debug)]
pub struct Rendered {
    /// What the process said.
    pub ended: Ended,
    folder: TempDir,
}

/// A render that did not.
#[derive(Debug)]
pub struct Failed {
    /// What the process said.
    pub ended: Ended,
    /// The names of the files that it left.
    pub left: Vec<String>,
}

// === impl Render ===

impl Render {
    /// A render of `prompt` with seed 5 into a folder of its own, with a report.
    ///
    /// # Panics
    /// There is no temporary folder.
    #[must_use]
    pub fn new(prompt: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = program::command();
        command
            .args(["render", prompt, "--seed", "5"])
            .arg("--output")
            .arg(folder.path().join(PICTURE))
            .arg("--report")
            .arg(folder.path().join(REPORT))
            .current_dir(folder.path());
        Self { command, folder }
    }

    /// The same with the tiny model on one worker.
    #[must_use]
    pub fn tiny(prompt: &str) -> Self {
        Self::new(prompt).model(&model::tiny()).args(["--workers", "1"])
    }

    /// The same on simulated devices, as in `sim:1,sim:1`.
    #[must_use]
    pub fn simulated(devices: &str) -> Self {
        Self::new("a photo of a cat").args(["--workers", devices])
    }

    /// Exactly these words behind `tessera render`, in a folder of their own.
    ///
    /// # Panics
    /// There is no temporary folder.
    #[must_use]
    pub fn words<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = program::command();
        command.arg("render").args(words).current_dir(folder.path());
        Self { command, folder }
    }

    /// Sets the model folder.
    #[must_use]
    pub fn model(mut self, folder: &Path) -> Self {
        self.command.arg("--model").arg(folder);
        self
    }

    /// Adds flags.
    #[must_use]
    pub fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.command.args(words);
        self
    }

    /// Adds flags that are written with spaces between them.
    #[must_use]
    pub fn flags(self, flags: &str) -> Self {
        self.args(flags.split_whitespace())
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Keeps the tensors.
    #[must_use]
    pub fn dump(mut self) -> Self {
        self.command.arg("--dump").arg(self.folder.path().join(DUMP));
        self
    }

    /// Writes a file into the folder, for the command to find under its bare name.
    ///
    /// # Panics
    /// It cannot be written.
    #[must_use]
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        fs::write(self.folder.path().join(name), bytes).expect("a temporary file");
        self
    }

    /// Starts it.
    #[must_use]
    pub fn start(mut self) -> Pending {
        Pending { running: Running::start(&mut self.command), folder: self.folder }
    }

    /// Runs it to a picture.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn rendered(self) -> Rendered {
        self.start().rendered()
    }

    /// Runs it to its failure.
    ///
    /// # Panics
    /// It succeeds.
    #[must_use]
    pub fn failed(self) -> Failed {
        let before = names(self.folder.path());
        let mut failed = self.start().failed();
        failed.left.retain(|name| !before.contains(name));
        failed
    }
}

const PICTURE: &str = "out.png";
const REPORT: &str = "report.json";
const DUMP: &str = "dump.safetensors";

// === impl Pending ===

impl Pending {
    /// Waits until the job reports to be in `stage` with at least `done` of its tasks done; needs `--json`.
    ///
    /// # Panics
    /// That does not happen.
    pub fn reached(&self, stage: &str, done: u64) {
        let reached = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            event["stage"] == stage && event["stage_done"].as_u64().is_some_and(|now| done <= now)
        };
        self.running.line(LIMIT, reached);
    }

    /// Waits for the picture.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn rendered(self) -> Rendered {
        self.rendered_within(LIMIT)
    }

    /// Waits for the picture for at most this long.
    ///
    /// # Panics
    /// There is none by then.
    #[must_use]
    pub fn rendered_within(self, limit: Duration) -> Rendered {
        let ended = self.running.wait(limit);
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        Rendered { ended, folder: self.folder }
    }

    /// Waits for the failure.
    ///
    /// # Panics
    /// It succeeds.
    #[must_use]
    pub fn failed(self) -> Failed {
        let ended = self.running.wait(LIMIT);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        Failed { left: names(self.folder.path()), ended }
    }
}

// === impl Rendered ===

impl Rendered {
    /// The picture's file.
    #[must_use]
    pub fn picture(&self) -> PathBuf {
        self.folder.path().join(PICTURE)
    }

    /// A file of another name.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Hash of the picture's file.
    #[must_use]
    pub fn hash(&self) -> String {
        picture::hash(&self.picture())
    }

    /// The tensors.
    #[must_use]
    pub fn tensors(&self) -> Tensors {
        Tensors::open(&self.folder.path().join(DUMP))
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::open(&self.folder.path().join(REPORT))
    }
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}
