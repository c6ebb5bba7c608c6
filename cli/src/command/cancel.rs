//! `tessera cancel`: jobs' ids in, their last states out.

use tessera_proto::{JobId, JobState};

use crate::{
    args::CancelArgs,
    client::Client,
    exit::Failure,
    output::{Output, Style},
    tally::Tally,
};

/// Ends jobs; one that has ended already stays as it is.
pub(super) async fn run(args: CancelArgs, output: &Output) -> Result<(), Failure> {
    let jobs = super::job_ids(&args.jobs)?;
    let mut client = super::connect(&args.cluster).await?;
    if let [job] = jobs[..] {
        return cancel(&mut client, job, output).await;
    }
    let mut tally = Tally::default();
    for job in jobs {
        tally.count(cancel(&mut client, job, output).await, output);
    }
    tally.verdict("were not cancelled")
}

async fn cancel(client: &mut Client, job: JobId, output: &Output) -> Result<(), Failure> {
    let status = client.cancel(job).await?;
    if output.style() == Style::Json {
        return output.json(&status);
    }
    output.data(match status.state {
        JobState::Cancelled => format!("job {job} was cancelled"),
        JobState::Done => format!("job {job} was done before: tessera fetch {job} gets its picture"),
        JobState::Failed => format!("job {job} had failed before"),
        JobState::Waiting | JobState::Running => format!("job {job} is being cancelled"),
    })
}
