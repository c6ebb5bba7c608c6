//! A process that is killed and started again: what it is in, its next life out.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

/// A process, and how it is started.
#[derive(Debug)]
pub(super) struct Victim {
    command: Command,
    child: Child,
}

// === impl Victim ===

impl Victim {
    /// A coordinator on a free port of loopback, which it keeps, and its URL.
    pub(super) async fn coordinator(executable: &Path, state: &Path) -> Result<(Self, String)> {
        let command = |listen: &str| {
            let mut command = quiet(executable);
            command.args(["coordinator", "--listen", listen, "--checkpoint", "1", "--state"]).arg(state);
            command
        };
        let mut first = Self::of(command("127.0.0.1:0").stdout(Stdio::piped()))?;
        let url = first.child.stdout.take().context("the coordinator has no output")?;
        let url = line(url).await?;
        first.command = command(url.trim_start_matches("http://"));
        Ok((first, url))
    }

    /// A worker on a simulated device.
    pub(super) fn worker(executable: &Path, url: &str, (index, device): (usize, &str)) -> Result<Self> {
        let mut command = quiet(executable);
        command.args(["worker", "--coordinator", url, "--patience", "600"]);
        command.args(["--device", device, "--name", &format!("worker-{}", index + 1)]);
        Self::of(&mut command)
    }

    fn of(command: &mut Command) -> Result<Self> {
        let child = command.spawn().context("cannot start a process")?;
        Ok(Self { command: std::mem::replace(command, Command::new("true")), child })
    }

    /// Ends it without a word.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill a process")
    }

    /// Starts it again.
    pub(super) fn start(&mut self) -> Result<()> {
        self.child = self.command.spawn().context("cannot start a process again")?;
        Ok(())
    }
}

/// Our own program, whose everyday talk would only be thrown away, and which goes with us.
fn quiet(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // Ctrl-C reaches us alone: what is left goes with us.
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// The first line of an output; whoever writes to it later is not read.
async fn line(output: ChildStdout) -> Result<String> {
    let line = BufReader::new(output).lines().next_line().await.context("the coordinator says nothing")?;
    line.context("the coordinator does not start")
}
