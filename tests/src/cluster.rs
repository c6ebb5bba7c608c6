//! A cluster of separate processes on loopback: flags in; a coordinator's URL, workers that can be hurt out.

use std::{path::Path, process::Command, time::Duration};

use tempfile::TempDir;

use crate::{
    process::{Ended, Running, Signal},
    program,
};

/// How long a coordinator may take to listen, and a worker to connect.
const START: Duration = Duration::from_secs(60);

/// A coordinator on a free port, its workers and its folder.
#[derive(Debug)]
pub struct Cluster {
    /// The workers, in the order in which they were started.
    pub workers: Vec<Running>,
    /// The coordinator.
    pub coordinator: Running,
    url: String,
    artifacts: TempDir,
    state: TempDir,
    flags: Vec<String>,
    /// Variables of every coordinator.
    variables: Vec<(String, String)>,
}

// === impl Cluster ===

impl Cluster {
    /// Starts a coordinator with these flags and waits until it listens.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, &[])
    }

    /// The same with variables set for this coordinator, and not for the ones after it.
    ///
    /// # Panics
    /// It does not listen.
    #[must_use]
    pub fn start_with(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::begin(flags, Vec::new(), variables)
    }

    /// The same with variables set for this coordinator and those after it.
    ///
    /// # Panics
    /// It does not listen.
    #[must_use]
    pub fn start_in(flags: &[&str], variables: Vec<(String, String)>) -> Self {
        Self::begin(flags, variables, &[])
    }

    fn begin(flags: &[&str], variables: Vec<(String, String)>, once: &[(&str, &str)]) -> Self {
        let [artifacts, state] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut command = coordinator("127.0.0.1:0", &artifacts, &state, &flags);
        command.envs(variables.iter().cloned()).envs(once.iter().copied());
        let coordinator = Running::start(&mut command);
        let url = coordinator.line(START, is_url);
        Self { workers: Vec::new(), coordinator, url, artifacts, state, flags, variables }
    }

    /// Kills the coordinator and starts another one at its address, on what it has left; workers look for it again by
    /// themselves.
    ///
    /// # Panics
    /// It does not listen.
    pub fn restart_coordinator(&mut self) {
        self.coordinator.signal(Signal::Kill);
        self.coordinator.join();
        self.start_again();
    }

    /// Starts another coordinator where one has ended.
    ///
    /// # Panics
    /// It does not listen.
    pub fn start_again(&mut self) {
        let address = self.address().to_owned();
        let mut command = coordinator(&address, &self.artifacts, &self.state, &self.flags);
        self.coordinator = Running::start(command.envs(self.variables.iter().cloned()));
        self.coordinator.line(START, is_url);
    }

    /// Where the coordinator listens.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.split("://").nth(1).unwrap_or_default()
    }

    /// The folder of what outlives the coordinator.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts one worker per device, with the model where devices need one, and waits until all are connected.
    ///
    /// # Panics
    /// One does not connect.
    #[must_use]
    pub fn with_workers(mut self, devices: &[&str], model: Option<&Path>) -> Self {
        for device in devices {
            self.add_worker(device, model);
        }
        self
    }

    /// Starts one more worker and waits until it is connected.
    ///
    /// # Panics
    /// It does not connect.
    pub fn add_worker(&mut self, device: &str, model: Option<&Path>) {
        self.add_worker_with(device, model, &[]);
    }

    /// The same with further flags.
    ///
    /// # Panics
    /// It does not connect.
    pub fn add_worker_with(&mut self, device: &str, model: Option<&Path>, flags: &[&str]) {
        let name = format!("worker-{}", self.workers.len());
        let mut command = program::command();
        command.args(["worker", "--coordinator", &self.url, "--device", device, "--name", &name]);
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        // Memory is asked of the system when it is needed, so that a limit on it is felt.
        command.args(flags).env("MIMALLOC_ARENA_RESERVE", "16384");
        let worker = Running::start(&mut command);
        let deadline = std::time::Instant::now() + START;
        while !self.worker_names().contains(&name) {
            assert!(std::time::Instant::now() < deadline, "{name} does not connect: {worker:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.workers.push(worker);
    }

    /// Names of the workers that the coordinator knows.
    #[must_use]
    pub fn worker_names(&self) -> Vec<String> {
        let listed = self.run(&["workers", "--json"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let values = listed.stdout.lines().map(crate::report::parse);
        values.map(|worker| worker["name"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The coordinator's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of finished jobs' files.
    #[must_use]
    pub fn artifacts(&self) -> &Path {
        self.artifacts.path()
    }

    /// A command of the cluster's client: its words, then `--coordinator URL`.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = program::command();
        command.args(words).args(["--coordinator", &self.url]);
        command
    }

    /// Runs such a command to its end.
    ///
    /// # Panics
    /// It takes longer than a minute.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ended {
        Running::start(&mut self.command(words)).wait(START)
    }
}

fn is_url(line: &str) -> bool {
    line.starts_with("http://") || line.starts_with("https://")
}

fn coordinator(listen: &str, artifacts: &TempDir, state: &TempDir, flags: &[String]) -> Command {
    let mut command = program::command();
    command.args(["coordinator", "--listen", listen, "--state"]).arg(state.path()).args(flags);
    if !flags.iter().any(|flag| flag == "--artifacts") {
        command.arg("--artifacts").arg(artifacts.path());
    }
    command
}
