//! One worker process: how to start it in, how it ended out.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use tessera_worker::{engine::DeviceSpec, exact::Spill};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
};

use crate::{address::Address, exit::Exit, logging, output::ERROR_PREFIX};

/// How to start a worker.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// The program: ourselves.
    pub(super) executable: PathBuf,
    /// Whom it serves.
    pub(super) coordinator: Address,
    /// Its name for people.
    pub(super) name: String,
    /// Its device.
    pub(super) device: DeviceSpec,
    /// Its model folder; `None` for the simulated one.
    pub(super) model: Option<PathBuf>,
    /// An upscaler's file that it loads besides the folder's own.
    pub(super) upscaler: Option<PathBuf>,
    /// The ONNX Runtime library as the user named it.
    pub(super) onnxruntime: Option<PathBuf>,
    /// Whether attention is fused at load.
    pub(super) fuse: bool,
    /// How much waiting tiles may keep in memory.
    pub(super) spill: Spill,
}

/// How a worker ended that was not told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It refuses its device, model or library.
    Refused {
        /// Its sentence.
        sentence: String,
    },
    /// It crashed, was killed, or lost the coordinator.
    Died {
        /// The circumstances, for people.
        why: String,
    },
}

// === impl Recipe ===

impl Recipe {
    /// Starts the process and waits for its end, or ends it when `stop` does; `None` then.
    pub(super) async fn run(&self, stop: impl Future<Output = ()>) -> Option<End> {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => {
                let why = format!("cannot start {}: {error}", self.executable.display());
                return Some(End::Died { why });
            }
        };
        let stderr = child.stderr.take();
        tokio::select! {
            end = self.watch(&mut child, stderr) => Some(end),
            () = stop => {
                // It may have ended by itself a moment ago.
                let _ = child.kill().await;
                None
            }
        }
    }

    async fn watch(&self, child: &mut Child, stderr: Option<ChildStderr>) -> End {
        let last_words = match stderr {
            Some(stderr) => self.listen(stderr).await,
            None => None,
        };
        ending(child, last_words).await
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command
            .arg("worker")
            .args(["--coordinator", &self.coordinator.to_string()])
            .args(["--device", &self.device.to_string()])
            .args(["--name", &self.name])
            // Without its coordinator it has no purpose, and nobody else would end it.
            .args(["--patience", "0"]);
        if let Some(model) = &self.model {
            command.arg("--model").arg(model);
        }
        if let Some(upscaler) = &self.upscaler {
            command.arg("--upscaler").arg(upscaler);
        }
        if let Some(library) = &self.onnxruntime {
            command.arg("--onnxruntime").arg(library);
        }
        if !self.fuse {
            command.arg("--no-fuse");
        }
        command.arg("--spill-above").arg((self.spill.above >> 20).to_string());
        if let Some(folder) = &self.spill.folder {
            command.arg("--spill-folder").arg(folder);
        }
        // A worker's everyday talk would only be thrown away.
        if std::env::var_os(logging::VARIABLE).is_none() {
            command.env(logging::VARIABLE, "warn");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // A group of its own: Ctrl-C reaches us alone, and we decide.
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Passes the worker's lines on to our log until it closes its end; returns the line that says why it ended.
    async fn listen(&self, stderr: ChildStderr) -> Option<String> {
        let mut reader = BufReader::new(stderr);
        let mut last = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            // An error here is the end of the pipe, too.
            let read = reader.read_until(b'\n', &mut line).await.unwrap_or(0);
            if read == 0 {
                return last;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            tracing::info!(worker = self.name, "{text}");
            if let Some(sentence) = text.strip_prefix(ERROR_PREFIX) {
                last = Some(sentence.to_owned());
            }
        }
    }
}

/// Waits for the exit code and says what it means.
async fn ending(child: &mut Child, last_words: Option<String>) -> End {
    let status = match child.wait().await {
        Ok(status) => status,
        Err(error) => {
            let why = format!("its exit code is unknown: {error}");
            return End::Died { why };
        }
    };
    let refused = status.code() == Some(Exit::Usage as i32);
    match last_words {
        Some(sentence) if refused => End::Refused { sentence },
        Some(sentence) => End::Died { why: sentence },
        None => End::Died { why: described(status) },
    }
}

fn described(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("killed by signal {signal}");
    }
    match status.code() {
        Some(0) => "its stream was closed".to_owned(),
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}
