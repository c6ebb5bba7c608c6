//! `tessera show`: a job's id in; how it stands, what it does and where its time went out.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tessera_coordinator::render::Summary;
use tessera_proto::{JobEvent, JobHistory, JobState, JobStatus, Stage, job::Choice};

use super::table::Table;
use crate::{
    args::ShowArgs,
    count::count,
    exit::Failure,
    output::{Output, Style},
    progress::seconds,
    results,
};

/// What scripts are told.
#[derive(Debug, Serialize)]
struct Told<'a> {
    status: &'a JobStatus,
    /// As `tessera fetch --report` writes it, of a job that runs so far; `None` where it has not begun or has failed.
    report: Option<Value>,
    #[serde(flatten)]
    history: JobHistory,
}

/// What people are told of a report.
#[derive(Debug, Deserialize)]
struct Report {
    plan: Summary,
    stages: Vec<StageTimes>,
    workers: Vec<WorkerTimes>,
    retries: u64,
    lost_tasks: u64,
    second_runs: u64,
    taken_back: u64,
}

#[derive(Debug, Deserialize)]
struct StageTimes {
    stage: Stage,
    begin_s: f64,
    wall_s: f64,
    busy_s: f64,
    busy_share: f64,
    tasks: u64,
}

#[derive(Debug, Deserialize)]
struct WorkerTimes {
    worker: String,
    name: String,
    device: String,
    tasks: u64,
    busy_s: f64,
}

/// Prints the job's status; of one that runs or is done its plan, stages, workers and mishaps; and what has happened to it.
pub(super) async fn run(args: ShowArgs, output: &Output) -> Result<(), Failure> {
    let job = super::job_id(&args.job)?;
    let mut client = super::connect(&args.cluster).await?;
    let status = client.status(job).await?;
    let (history, so_far) = client.show(job).await?;
    let report = match status.state {
        JobState::Done => results::report(&mut client, job).await?,
        _ => so_far,
    };
    let unread =
        |error| Failure::failed(anyhow::Error::new(error).context("the job's report cannot be read"));
    if output.style() == Style::Json {
        let report = report.as_deref().map(serde_json::from_slice).transpose().map_err(unread)?;
        return output.json(&Told { status: &status, report, history });
    }
    output.data(head(&status))?;
    let report: Option<Report> = report.as_deref().map(serde_json::from_slice).transpose().map_err(unread)?;
    match &report {
        None => status.notes.iter().try_for_each(|note| output.data(format_args!("note: {note}")))?,
        Some(report) => {
            output.data(format_args!("\n{}", report.plan))?;
            output.data(format_args!("\n{}", stages(&report.stages)))?;
            output.data(format_args!("\n{}", workers(&report.workers)))?;
            mishaps(report).map_or(Ok(()), |line| output.data(format_args!("\n{line}")))?;
        }
    }
    if history.events.is_empty() { Ok(()) } else { output.data(format_args!("\n{}", events(&history))) }
}

/// The lines that every job has.
fn head(status: &JobStatus) -> String {
    let JobStatus { job, state, user, priority, age_ms, stage, done, total, workers, .. } = status;
    let whose = if user.is_empty() { String::new() } else { format!(" of {user}") };
    let size = status.size.map(|size| format!("{}x{} px, ", size.width, size.height)).unwrap_or_default();
    let mut lines = vec![
        format!("job {job}{whose}: {}", state.name()),
        format!("{size}{}, {}, handed in {} ago", status.format.name(), priority.name(), seconds(*age_ms)),
    ];
    if state.is_final() {
        lines[1] = format!("{size}{}, {}, took {}", status.format.name(), priority.name(), seconds(*age_ms));
    } else {
        let begun = match total {
            0 => "it has not begun".to_owned(),
            total => format!("{}: {done} of {} done", stage.name(), count(*total, "task")),
        };
        lines.push(format!("{begun}, {} with its model", count((*workers).into(), "worker")));
    }
    lines.extend(status.paused.clone());
    lines.extend(status.failure.as_ref().map(|failure| format!("it failed: {}", failure.message)));
    // A terminal's escape in somebody's name must not reach the terminal.
    lines.iter().map(|line| line.replace(char::is_control, " ")).collect::<Vec<_>>().join("\n")
}

fn stages(stages: &[StageTimes]) -> Table<6> {
    let mut table = Table::new(["stage", "began after", "took", "in networks", "busy", "tasks"]);
    for times in stages {
        table.row([
            times.stage.name().to_owned(),
            format!("{:.1} s", times.begin_s),
            format!("{:.1} s", times.wall_s),
            format!("{:.1} s", times.busy_s),
            format!("{:.0} %", times.busy_share * 100.0),
            times.tasks.to_string(),
        ]);
    }
    table
}

fn workers(workers: &[WorkerTimes]) -> Table<5> {
    let mut table = Table::new(["worker", "name", "device", "tasks", "in networks"]);
    for times in workers {
        table.row([
            times.worker.clone(),
            times.name.clone(),
            times.device.clone(),
            times.tasks.to_string(),
            format!("{:.1} s", times.busy_s),
        ]);
    }
    table
}

/// What has happened, by the time since the job was handed in.
fn events(history: &JobHistory) -> Table<2> {
    let start = history.events.first().map_or(0, |event| event.at_ms);
    let mut table = Table::new(["after", "event"]);
    let middle = history.events.len() / 2;
    for (index, JobEvent { at_ms, message }) in history.events.iter().enumerate() {
        if index == middle && 0 < history.left_out {
            table.row(["...".to_owned(), format!("{} more are not kept", history.left_out)]);
        }
        table.row([seconds(at_ms.saturating_sub(start)), message.clone()]);
    }
    table
}

/// What did not go as planned, if anything.
fn mishaps(report: &Report) -> Option<String> {
    let Report { retries, lost_tasks, second_runs, taken_back, .. } = report;
    let happened = [
        (*retries, "run again after a failure"),
        (*lost_tasks, "run again for a lost worker"),
        (*second_runs, "run a second time for a late worker"),
        (*taken_back, "taken back from a busy worker"),
    ];
    let happened: Vec<_> = happened
        .iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!happened.is_empty()).then(|| format!("tasks: {}", happened.join(", ")))
}

#[cfg(test)]
mod tests {
    use tessera_proto::{FailureClass, JobFailure};

    use super::*;
    use crate::progress::status;

    #[test]
    fn a_job_that_failed_says_why_and_whose_it_was() {
        let failure = JobFailure { class: FailureClass::Cluster, message: "no\nworker".to_owned() };
        let (state, user) = (JobState::Failed, "ann".to_owned());
        let status = JobStatus { state, user, failure: Some(failure), ..status(Stage::Hires, 2, 9, 1_500) };
        let lines = head(&status);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[0], format!("job {} of ann: failed", status.job));
        assert_eq!(lines[1..], ["png, batch, took 1.5 s", "it failed: no worker"]);
    }

    #[test]
    fn only_what_happened_is_told() {
        let report = |lost_tasks| {
            Report {
            plan: serde_json::from_str(
                r#"{"model":"sim","base":{"width":8,"height":8},"target":{"width":8,"height":8},"texts":1,"stages":[],
                    "tasks":1,"notes":[]}"#,
            )
            .unwrap(),
            stages: Vec::new(),
            workers: Vec::new(),
            retries: 0,
            lost_tasks,
            second_runs: 1,
            taken_back: 0,
        }
        };
        let told = mishaps(&report(3)).unwrap();
        assert_eq!(told, "tasks: 3 run again for a lost worker, 1 run a second time for a late worker");
        assert_eq!(mishaps(&Report { second_runs: 0, ..report(0) }), None);
    }
}
