//! A process that is killed and started again: what it is in, its next life out.

use std::{path::Path, process::Stdio};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

/// A process, and how it is started.
#[derive(Debug)]
pub(in crate::bench) struct Victim {
    command: Command,
    child: Child,
}

// === impl Victim ===

impl Victim {
    /// A coordinator on a free port of loopback, which it keeps, and its URL.
    pub(super) async fn coordinator(
        executable: &Path,
        state: &Path,
        flags: &[&str],
    ) -> Result<(Self, String)> {
        let command = |listen: &str| {
            let mut command = quiet(executable);
            command.args(["coordinator", "--listen", listen, "--state"]).arg(state).args(flags);
            command
        };
        let mut first = Self::of(command("127.0.0.1:0").stdout(Stdio::piped()))?;
        let url = first.child.stdout.take().context("the coordinator has no output")?;
        let url = line(url).await?;
        first.command = command(url.trim_start_matches("http://"));
        Ok((first, url))
    }

    /// A worker on a device, with its model where it needs one.
    pub(super) fn worker(
        executable: &Path,
        url: &str,
        (index, device): (usize, &str),
        model: Option<&Path>,
    ) -> Result<Self> {
        let mut command = quiet(executable);
        command.args(["worker", "--coordinator", url, "--patience", "600"]);
        command.args(["--device", device, "--name", &format!("worker-{}", index + 1)]);
        model.map(|model| command.arg("--model").arg(model));
        Self::of(&mut command)
    }

    /// A number of the process's status in `/proc`, KiB; Linux only.
    pub(in crate::bench) fn memory(&self, field: &str) -> Result<u64> {
        let id = self.child.id().context("the process is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        number.with_context(|| format!("the system does not tell {field} of its processes"))
    }

    /// Processor time that the process has taken so far, s; Linux only.
    pub(in crate::bench) fn processor_time(&self) -> Result<f64> {
        let id = self.child.id().context("the process is gone")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // PID (NAME) STATE, then numbers; utime and stime are the 14th and 15th field, in hundredths of a second.
        let fields = stat.rsplit(") ").next().context("a name stands in parentheses")?.split_whitespace();
        let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Ok(ticks.iter().sum::<f64>() / 100.0)
    }

    fn of(command: &mut Command) -> Result<Self> {
        let child = command.spawn().context("cannot start a process")?;
        Ok(Self { command: std::mem::replace(command, Command::new("true")), child })
    }

    /// Ends it without a word.
    pub(in crate::bench) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill a process")
    }

    /// Starts it again.
    pub(in crate::bench) fn start(&mut self) -> Result<()> {
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
