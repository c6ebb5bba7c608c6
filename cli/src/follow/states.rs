//! A job's states through the death of its coordinator: a client and a job in, its states out.

use std::time::Duration;

use tessera_proto::{JobId, JobStatus};
use tokio::time::{Instant, sleep_until};

use crate::{
    client::{Client, Error, Statuses},
    output::Output,
};

/// How long a coordinator may be away: one that is started again, or whose job another one takes over.
const AWAY: Duration = Duration::from_secs(300);

/// How long one that answers may not know the job: another one's lease must end first.
const UNKNOWN: Duration = Duration::from_secs(20);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// The states of a job that go on when its coordinator does.
#[derive(Debug)]
pub(super) struct States {
    client: Client,
    job: JobId,
    statuses: Option<Statuses>,
    /// Since when it does not answer, and when it is asked again.
    away: Option<(Instant, Instant)>,
    /// Who is told so.
    output: Option<Output>,
}

// === impl States ===

impl States {
    /// Begins; a coordinator that does not answer at once is not looked for.
    ///
    /// # Errors
    /// There is no such job, or no answer.
    pub(super) async fn open(client: &Client, job: JobId, output: Option<Output>) -> Result<Self, Error> {
        let mut client = client.clone();
        let statuses = Some(client.watch(job).await?);
        Ok(Self { client, job, statuses, away: None, output })
    }

    /// The next state, perhaps of another coordinator. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The coordinator refuses to tell, or stays away.
    pub(super) async fn next(&mut self) -> Result<JobStatus, Error> {
        loop {
            let Some(statuses) = &mut self.statuses else {
                self.look().await?;
                continue;
            };
            match statuses.next().await {
                Ok(Some(status)) => return Ok(status),
                Err(error) if !error.is_passing() => return Err(error),
                Ok(None) | Err(_) => {
                    self.statuses = None;
                    let now = Instant::now();
                    self.away = Some((now, now + PAUSE));
                    if let Some(output) = &self.output {
                        let (job, limit) = (self.job, AWAY.as_secs());
                        output.note(format_args!(
                            "the coordinator does not answer: looking for it for {limit} s, job {job} goes on when it is back"
                        ));
                    }
                }
            }
        }
    }

    /// Asks once more, when it is time.
    async fn look(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let (since, next) = *self.away.get_or_insert((now, now));
        sleep_until(next).await;
        match self.client.watch(self.job).await {
            Ok(statuses) => {
                self.statuses = Some(statuses);
                if let Some(output) = &self.output {
                    output.note("the coordinator is back");
                }
            }
            Err(error) => {
                let limit = match &error {
                    error if error.is_passing() => AWAY,
                    Error::Refused { .. } => UNKNOWN,
                    _ => Duration::ZERO,
                };
                if limit <= since.elapsed() {
                    return Err(error);
                }
                self.away = Some((since, Instant::now() + PAUSE));
            }
        }
        Ok(())
    }
}
