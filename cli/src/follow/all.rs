//! Several jobs from their first states to their last: ids in; a word on each end, and the verdict on all, out.

use tessera_proto::{JobId, JobStatus};
use tokio::task::JoinSet;

use super::{states::States, verdict};
use crate::{
    client::Client,
    event::Event,
    exit::Failure,
    interrupt::Interrupt,
    output::{Output, Style},
    tally::Tally,
};

/// Jobs that are watched at a time, each on a stream of the one connection.
const AT_ONCE: usize = 64;

/// Follows jobs until all have ended; Ctrl-C leaves them alone.
///
/// # Errors
/// One has ended without a picture, or the wait was interrupted.
pub(crate) async fn all(client: &Client, jobs: &[JobId], output: &Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let mut left = jobs.iter().copied();
    let mut watched = JoinSet::new();
    let mut tally = Tally::default();
    let mut ended = 0_usize;
    loop {
        for job in left.by_ref().take(AT_ONCE - watched.len()) {
            watched.spawn(until_end(client.clone(), job, output.clone()));
        }
        let next = tokio::select! {
            next = watched.join_next() => next,
            () = interrupt.next() => return Err(Failure::interrupted("stopped watching; the jobs go on")),
        };
        let Some(end) = next else {
            return tally.verdict("ended without a picture");
        };
        ended += 1;
        let end = end.map_err(Failure::failed)?;
        if let (Ok(job), Style::People) = (&end, output.style()) {
            output.note(format_args!("job {job} is done ({ended} of {} have ended)", jobs.len()));
        }
        tally.count(end.map(|_| ()), output);
    }
}

/// Waits for a job's end.
async fn until_end(client: Client, job: JobId, output: Output) -> Result<JobId, Failure> {
    // Many would say the same when their coordinator goes.
    let mut states = States::open(&client, job, None).await?;
    loop {
        let status: JobStatus = states.next().await?;
        if output.style() == Style::Json {
            output.json(&Event::Status { status: &status })?;
        }
        if status.state.is_final() {
            let failed = |failure: Failure| match status.failure {
                Some(_) => Failure { error: failure.error.context(format!("job {job} failed")), ..failure },
                None => failure,
            };
            return verdict(&status).map(|()| job).map_err(failed);
        }
    }
}
