//! A user: a job to ask for in, how it ended out.

use std::time::Duration;

use tessera_proto::{
    JobState, JobStatus, WorkerStatus,
    job::{Draft, Urgency},
    wire::{self, jobs_client::JobsClient},
};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

use crate::{network, picture, scenario::Ask};

/// How often the workers are looked at when all jobs have ended.
const LOOK: Duration = Duration::from_millis(250);

/// Within this time all workers must have nothing in hand: a connection that is cut off without a word shows in thirty
/// seconds, see `http2_keepalive_interval`.
const IDLE: Duration = Duration::from_secs(40);

type Fault = Box<dyn std::error::Error>;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) state: JobState,
    /// The file, if there is one.
    pub(crate) file: Option<Vec<u8>>,
    /// Why it failed.
    pub(crate) failure: Option<String>,
    /// When which state and how many tasks done were seen.
    pub(crate) history: Vec<(Duration, JobState, u64, u64)>,
}

async fn client() -> Result<JobsClient<Channel>, Fault> {
    let channel = network::connect(Endpoint::from_static(network::URL)).await?;
    Ok(JobsClient::new(channel).max_decoding_message_size(tessera_proto::limits::JOBS_MESSAGE))
}

/// Asks for a picture, cancels it where it shall be, and fetches it.
pub(crate) async fn ask(ask: Ask) -> Result<Ending, Fault> {
    let start = Instant::now();
    sleep(ask.at).await;
    let mut client = client().await?;
    let priority = if ask.urgent { Urgency::Interactive } else { Urgency::Batch };
    let draft = Draft { user: format!("user {}", ask.user), priority, ..picture::draft(ask.picture) };
    let request = wire::SubmitRequest { spec: Some(picture::spec(draft).into()) };
    let job = client.submit(request).await?.into_inner().job;
    let mut statuses = client.watch(wire::WatchRequest { job: job.clone() }).await?.into_inner();
    let mut history = Vec::new();
    let mut cancelled = ask.cancelled;
    let last = loop {
        let message = tokio::select! {
            biased;
            message = statuses.message() => message?,
            () = sleep_until(start + cancelled.unwrap_or_default()), if cancelled.is_some() => {
                cancelled = None;
                client.clone().cancel(wire::CancelRequest { job: job.clone() }).await?;
                continue;
            }
        };
        let status = JobStatus::try_from(message.ok_or("the statuses ended before the job")?)?;
        history.push((start.elapsed(), status.state, status.done, status.total));
        if status.state.is_final() {
            break status;
        }
    };
    let file = fetch(&mut client, job, last.state).await?;
    Ok(Ending { state: last.state, file, failure: last.failure.map(|failure| failure.message), history })
}

/// The whole picture of a job that is done; others must have none.
async fn fetch(
    client: &mut JobsClient<Channel>,
    job: String,
    state: JobState,
) -> Result<Option<Vec<u8>>, Fault> {
    let request = wire::FetchRequest { job, artifact: wire::Artifact::Picture.into() };
    let mut chunks = match client.fetch(request).await {
        Ok(answer) if state == JobState::Done => answer.into_inner(),
        Ok(_) => return Err("a job that is not done gives a file".into()),
        Err(status)
            if state != JobState::Done
                && matches!(status.code(), Code::FailedPrecondition | Code::Aborted) =>
        {
            return Ok(None);
        }
        Err(status) => return Err(status.into()),
    };
    let (mut bytes, mut expected) = (Vec::new(), 0);
    while let Some(wire::FetchChunk { data, total }) = chunks.message().await? {
        bytes.extend_from_slice(&data);
        expected = total;
    }
    if u64::try_from(bytes.len())? != expected {
        return Err(format!("{} of {expected} bytes came", bytes.len()).into());
    }
    Ok(Some(bytes))
}

/// Waits until no worker has anything in hand: when all jobs have ended, nothing may be left of them.
pub(crate) async fn idle() -> Result<(), Fault> {
    let (mut client, start) = (client().await?, Instant::now());
    loop {
        let workers = client.workers(wire::WorkersRequest {}).await?.into_inner().workers;
        let workers: Vec<WorkerStatus> =
            workers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        if workers.iter().all(|worker| worker.tasks_in_hand == 0) {
            return Ok(());
        }
        if IDLE < start.elapsed() {
            return Err(format!("all jobs have ended, and yet there are tasks in hand: {workers:?}").into());
        }
        sleep(LOOK).await;
    }
}
