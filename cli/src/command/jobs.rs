//! `tessera jobs`: a coordinator's jobs, as a table or as JSON.

use tessera_proto::{JobStatus, job::Choice};

use super::table::Table;
use crate::{
    args::JobsArgs,
    exit::Failure,
    options::Selection,
    output::{Output, Style},
    progress::seconds,
};

/// Lists the jobs that are asked for, of those that the coordinator remembers; their time is that since they were handed
/// in, until their ends.
pub(super) async fn run(args: JobsArgs, output: &Output) -> Result<(), Failure> {
    let selection = Selection::new(&args).map_err(Failure::usage)?;
    let known = super::connect(&args.cluster).await?.jobs().await?;
    let all = known.len();
    let jobs = selection.of(known);
    if output.style() == Style::Json {
        return jobs.iter().try_for_each(|job| output.json(job));
    }
    if jobs.is_empty() {
        output.note(if all == 0 {
            "no jobs".to_owned()
        } else {
            format!("none of the {all} jobs is one of these")
        });
        return Ok(());
    }
    let mut table = Table::new(["job", "state", "user", "priority", "stage", "tasks", "time", "note"]);
    for status in &jobs {
        table.row([
            status.job.to_string(),
            status.state.name().to_owned(),
            status.user.clone(),
            status.priority.name().to_owned(),
            status.stage.name().to_owned(),
            format!("{}/{}", status.done, status.total),
            seconds(status.age_ms),
            note(status),
        ]);
    }
    output.data(table)
}

/// Why it failed, or why it stands still.
fn note(status: &JobStatus) -> String {
    let failure = status.failure.as_ref().map(|failure| failure.message.clone());
    failure.or_else(|| status.paused.clone()).unwrap_or_default()
}
