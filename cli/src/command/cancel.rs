//! `tessera cancel`: a job's id in, its last state out.

use tessera_proto::JobState;

use crate::{
    args::JobIdArgs,
    exit::Failure,
    output::{Output, Style},
};

/// Ends a job; one that has ended already stays as it is.
pub(super) async fn run(args: JobIdArgs, output: &Output) -> Result<(), Failure> {
    let job = super::job_id(&args.job)?;
    let mut client = super::connect(&args.cluster).await?;
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
