//! `tessera jobs`: a coordinator's jobs, as a table or as JSON.

use tessera_proto::{JobState, JobStatus};

use super::table::Table;
use crate::{
    args::ListArgs,
    exit::Failure,
    output::{Output, Style},
    progress::seconds,
};

/// Lists all jobs that the coordinator remembers.
pub(super) async fn run(args: ListArgs, output: &Output) -> Result<(), Failure> {
    let jobs = super::connect(&args.cluster).await?.jobs().await?;
    if output.style() == Style::Json {
        return jobs.iter().try_for_each(|job| output.json(job));
    }
    if jobs.is_empty() {
        output.note("no jobs");
        return Ok(());
    }
    let mut table = Table::new(["job", "state", "stage", "tasks", "age", "note"]);
    for status in &jobs {
        table.row([
            status.job.to_string(),
            state(status.state).to_owned(),
            status.stage.name().to_owned(),
            format!("{}/{}", status.done, status.total),
            seconds(status.age_ms),
            note(status),
        ]);
    }
    output.data(table)
}

const fn state(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "waiting",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// Why it failed, or why it stands still.
fn note(status: &JobStatus) -> String {
    let failure = status.failure.as_ref().map(|failure| failure.message.clone());
    failure.or_else(|| status.paused.clone()).unwrap_or_default()
}
