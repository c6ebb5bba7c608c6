//! A cluster whose parts are processes, to be killed and looked at: what to start in; answers, whatever happens, out.

mod victim;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tessera_proto::{Artifact, JobId, JobSpec, JobStatus};
use tokio::time::{Instant, sleep, timeout};

use crate::{address::Address, client::Client};
pub(super) use victim::Victim;

/// How long one question to the coordinator may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How long there may be no answer.
const REST: Duration = Duration::from_secs(120);

/// Pause before a question is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// What to start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe<'a> {
    /// Flags of the coordinator.
    pub(super) flags: &'a [&'a str],
    /// One worker each.
    pub(super) devices: &'a [&'a str],
    /// Their model; simulated devices need none.
    pub(super) model: Option<&'a Path>,
}

/// A coordinator and its workers, each a process.
#[derive(Debug)]
pub(super) struct Processes {
    address: Address,
    /// The coordinator.
    pub(super) coordinator: Victim,
    /// The workers.
    pub(super) workers: Vec<Victim>,
    _state: TempDir,
}

// === impl Processes ===

impl Processes {
    /// Starts them; workers may still be on their way.
    ///
    /// # Errors
    /// One cannot be started.
    pub(super) async fn start(executable: &Path, recipe: &Recipe<'_>) -> Result<Self> {
        let state = crate::local::temporary_folder().context("cannot make a temporary folder")?;
        let (coordinator, url) = Victim::coordinator(executable, state.path(), recipe.flags).await?;
        let address: Address = url.parse()?;
        let devices = recipe.devices.iter().enumerate();
        let workers =
            devices.map(|(index, device)| Victim::worker(executable, &url, (index, device), recipe.model));
        let workers = workers.collect::<Result<_>>()?;
        Ok(Self { address, coordinator, workers, _state: state })
    }

    /// Kills a process and starts it again a while later; the one behind the last worker is the coordinator.
    ///
    /// # Errors
    /// It cannot be killed or started.
    pub(super) async fn kill(&mut self, index: usize, away: Duration) -> Result<()> {
        let victim = self.workers.get_mut(index).unwrap_or(&mut self.coordinator);
        victim.kill().await?;
        sleep(away).await;
        victim.start()
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// Nobody answers.
    pub(super) async fn client(&self) -> Result<Client> {
        Ok(Client::connect(&self.address).await?)
    }

    /// Asks until there is an answer, or there has been none for long.
    ///
    /// # Errors
    /// The answer is no, or there is none.
    pub(super) async fn ask<T>(
        &self,
        mut question: impl AsyncFnMut(&mut Client) -> Result<T, crate::client::Error>,
    ) -> Result<T> {
        let deadline = Instant::now() + REST;
        loop {
            let asked = timeout(ANSWER, async {
                let mut client = Client::connect(&self.address).await?;
                question(&mut client).await
            });
            match asked.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if !error.is_passing() || deadline < Instant::now() => {
                    return Err(error.into());
                }
                Err(_) if deadline < Instant::now() => bail!("no answer for long"),
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Hands a job in.
    ///
    /// # Errors
    /// It is refused.
    pub(super) async fn submit(&self, spec: &JobSpec) -> Result<JobId> {
        self.ask(async |client| client.submit(spec.clone()).await).await
    }

    /// Waits for the end of a job; `None` if it does not come in time.
    ///
    /// # Errors
    /// Nobody knows it.
    pub(super) async fn finished(&self, job: JobId, deadline: Instant) -> Result<Option<JobStatus>> {
        loop {
            let status = self.ask(async |client| client.status(job).await).await?;
            if status.state.is_final() {
                return Ok(Some(status));
            }
            if deadline < Instant::now() {
                return Ok(None);
            }
            sleep(PAUSE).await;
        }
    }
}

/// A job's picture.
///
/// # Errors
/// It has none, or no answer.
pub(super) async fn picture(client: &mut Client, job: JobId) -> Result<Vec<u8>, crate::client::Error> {
    let mut pieces = client.fetch(job, Artifact::Picture).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(piece.as_ref());
    }
    Ok(bytes)
}
