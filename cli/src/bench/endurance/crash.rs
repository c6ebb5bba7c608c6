//! A coordinator that is killed: how soon devices have work again, and how much of it was done before.

use std::time::Duration;

use anyhow::{Result, ensure};
use tessera_proto::{JobId, JobState, JobStatus};
use tokio::time::{Instant, sleep};

use super::{Endurance, Figure, pass};
use crate::bench::processes::{Processes, Recipe};

/// Between two looks at a cluster.
const GLANCE: Duration = Duration::from_millis(10);

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Seconds between two checkpoints, as they are by default.
const CHECKPOINT: f64 = 5.0;

/// From the start of a killed coordinator's successor to the first tile on its way, with many jobs open.
pub(super) async fn first_tile(bench: &Endurance) -> Result<Figure> {
    let recipe = Recipe { flags: &[], devices: &["sim:300", "sim:300"], model: None };
    let mut cluster = Processes::start(&bench.executable, &recipe).await?;
    let spec = pass(400)?;
    for _ in 0..bench.open {
        cluster.submit(&spec).await?;
    }
    until(async || {
        let jobs = cluster.ask(async |client| client.jobs().await).await?;
        Ok(jobs.iter().all(|job| job.state == JobState::Running).then_some(()))
    })
    .await?;
    // All have a checkpoint by then.
    sleep(Duration::from_secs_f64(1.5 * CHECKPOINT)).await;
    cluster.coordinator.kill().await?;
    let began = Instant::now();
    cluster.coordinator.start()?;
    let mut client = until(async || Ok(cluster.client().await.ok())).await?;
    until(async || {
        let workers = client.workers().await?;
        Ok(workers.iter().any(|worker| 0 < worker.tasks_in_hand).then_some(()))
    })
    .await?;
    let what = format!("first tile after a coordinator's restart with {} open jobs", bench.open);
    Ok(Figure::new(what, (began.elapsed().as_secs_f64(), "s"), 2.0))
}

/// Work that is done again after a kill just before the next checkpoint, in the time that it took.
pub(super) async fn repeated_work(bench: &Endurance) -> Result<Figure> {
    let recipe = Recipe { flags: &[], devices: &["sim:10", "sim:10"], model: None };
    let mut cluster = Processes::start(&bench.executable, &recipe).await?;
    let job = cluster.submit(&pass(400)?).await?;
    let status = async |cluster: &Processes| cluster.ask(async |client| client.status(job).await).await;
    let early = until(async || Ok(Some(status(&cluster).await?).filter(|status| 100 <= status.done))).await?;
    let since = Instant::now();
    sleep(Duration::from_secs_f64(2.9 * CHECKPOINT)).await;
    let before = status(&cluster).await?;
    ensure!(before.state == JobState::Running, "the job ended before it could be disturbed");
    let rate = done_between(&early, &before) / since.elapsed().as_secs_f64();
    cluster.coordinator.kill().await?;
    cluster.coordinator.start()?;
    let after = until(async || Ok(Some(status(&cluster).await?).filter(|status| 0 < status.done))).await?;
    let again = done_between(&after, &before).max(0.0) / rate;
    // Beside the interval itself, what is on its way to the disk.
    Ok(Figure::new("work done again after a kill", (again, "s"), CHECKPOINT + 0.5))
}

/// From the death of a coordinator to the first tile that another one has of its job.
pub(super) async fn take_over(bench: &Endurance, url: &str) -> Result<Figure> {
    let files = crate::local::temporary_folder()?;
    let files = files.path().display().to_string();
    let flags = ["--database", url, "--artifacts", &files];
    let recipe = Recipe { flags: &flags, devices: &["sim:10"], model: None };
    let mut first = Processes::start(&bench.executable, &recipe).await?;
    let second = Processes::start(&bench.executable, &recipe).await?;
    let job = first.submit(&pass(200)?).await?;
    let running = async |cluster: &Processes| {
        let jobs = cluster.ask(async |client| client.jobs().await).await?;
        Ok(found(&jobs, job).filter(|status| 50 <= status.done))
    };
    until(async || running(&first).await).await?;
    sleep(Duration::from_secs_f64(1.2 * CHECKPOINT)).await;
    first.coordinator.kill().await?;
    let began = Instant::now();
    until(async || running(&second).await).await?;
    let took = began.elapsed().as_secs_f64();
    second.ask(async |client| client.cancel(job).await).await?;
    Ok(Figure::new("a job is taken over by another coordinator", (took, "s"), 10.0))
}

fn found(jobs: &[JobStatus], job: JobId) -> Option<JobStatus> {
    jobs.iter().find(|status| status.job == job).cloned()
}

#[expect(clippy::cast_precision_loss, reason = "tasks are counted in thousands")]
fn done_between(early: &JobStatus, late: &JobStatus) -> f64 {
    late.done as f64 - early.done as f64
}

/// Looks again and again until there is something to see.
pub(super) async fn until<T>(mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        ensure!(began.elapsed() < LIMIT, "nothing happened for {LIMIT:?}");
        sleep(GLANCE).await;
    }
}
