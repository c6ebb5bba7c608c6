//! A job of a real model: what its checkpoints cost, and how soon its devices are free when it is cancelled.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tessera_proto::{
    JobSpec, JobState, Kind,
    job::{self, Draft, Size, Target},
};
use tokio::time::{Duration, Instant, sleep};

use super::{Endurance, Figure, crash::until};
use crate::bench::processes::{Processes, Recipe};

/// Runs of either kind, in turn.
const RUNS: usize = 2;

/// How long the job may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Between two looks at a device: a tile's call takes tens of milliseconds.
const GLANCE: Duration = Duration::from_millis(1);

/// One worker, so that a tile's call has the machine to itself.
const DEVICE: [&str; 1] = ["cpu:1"];

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Processor time of the coordinator, s.
    coordinator: f64,
    /// Of all.
    all: f64,
    /// From submission to end, s.
    wall: f64,
}

/// What a job with checkpoints takes beyond one without: of the processors' time, and by the clock.
pub(super) async fn checkpoints(bench: &Endurance, model: &Path) -> Result<Vec<Figure>> {
    let (mut with, mut without) = (Cost::default(), Cost::default());
    for _ in 0..RUNS {
        without.add(run(bench, model, "600").await?);
        with.add(run(bench, model, "5").await?);
    }
    let extra = 100.0 * (with.coordinator - without.coordinator).max(0.0) / without.all;
    let longer = 100.0 * (with.wall / without.wall - 1.0);
    Ok(vec![
        Figure::new("processor time of a demo job's checkpoints", (extra, "%"), 2.0),
        // The clock of a shared machine tells no 2 %.
        Figure::new("time of a demo job with checkpoints beyond that without", (longer, "%"), 5.0),
    ])
}

async fn run(bench: &Endurance, model: &Path, checkpoint: &str) -> Result<Cost> {
    let recipe = Recipe { flags: &["--checkpoint", checkpoint], devices: &DEVICE, model: Some(model) };
    let cluster = Processes::start(&bench.executable, &recipe).await?;
    ready(&cluster).await?;
    let before = cost(&cluster)?;
    let job = cluster.submit(&demo()?).await?;
    let ended = cluster.finished(job, Instant::now() + LIMIT).await?.context("the job does not end")?;
    ensure!(ended.state == JobState::Done, "the job failed: {:?}", ended.failure);
    let after = cost(&cluster)?;
    Ok(Cost {
        coordinator: after.coordinator - before.coordinator,
        all: after.all - before.all,
        wall: Duration::from_millis(ended.age_ms).as_secs_f64(),
    })
}

/// From a cancel to idle devices, in calls of the tile that was running.
pub(super) async fn cancel(bench: &Endurance, model: &Path) -> Result<Figure> {
    let recipe = Recipe { flags: &[], devices: &DEVICE, model: Some(model) };
    let cluster = Processes::start(&bench.executable, &recipe).await?;
    ready(&cluster).await?;
    let mut client = cluster.client().await?;
    let mut worst: f64 = 0.0;
    for pause in [310, 350, 390] {
        let job = client.submit(demo()?).await?;
        until(async || {
            Ok(Some(cluster.ask(async |client| client.status(job).await).await?)
                .filter(|status| 40 <= status.done))
        })
        .await?;
        sleep(Duration::from_millis(pause)).await;
        let mut other = cluster.client().await?;
        let began = Instant::now();
        let cancel = tokio::spawn(async move { other.cancel(job).await });
        let mut idle = None;
        // A device may be free for a moment by itself: what counts is since when it has been free once the job is over.
        while !cancel.is_finished() || idle.is_none() {
            let busy = client.workers().await?.iter().any(|worker| 0 < worker.tasks_in_hand);
            idle = (!busy).then(|| idle.unwrap_or_else(|| began.elapsed()));
            ensure!(began.elapsed() < LIMIT, "the devices are still busy");
            sleep(GLANCE).await;
        }
        cancel.await??;
        let took = idle.context("the devices are busy")?;
        let workers = client.workers().await?;
        let calls = workers
            .iter()
            .flat_map(|worker| &worker.speeds)
            .filter(|speed| speed.class.kind == Kind::Denoise);
        let call = calls.map(|speed| speed.took).max().context("no tile was measured")?;
        worst = worst.max(took.as_secs_f64() / call.as_secs_f64());
    }
    Ok(Figure::new("from a cancel to idle devices", (worst, "tile calls"), 1.0))
}

/// Waits until the workers have loaded the model.
async fn ready(cluster: &Processes) -> Result<()> {
    until(async || {
        let workers = cluster.ask(async |client| client.workers().await).await?;
        Ok((workers.len() == DEVICE.len()).then_some(()))
    })
    .await
}

fn cost(cluster: &Processes) -> Result<Cost> {
    let coordinator = cluster.coordinator.processor_time()?;
    let workers = cluster.workers.iter().map(|worker| worker.processor_time()).sum::<Result<f64>>()?;
    Ok(Cost { coordinator, all: coordinator + workers, wall: 0.0 })
}

/// The demo's job: 128 px from text, then 512 px in tiles.
fn demo() -> Result<JobSpec, job::Error> {
    JobSpec::new(Draft {
        base: Some(Size { width: 128, height: 128 }),
        target: Target::Scale(4.0),
        steps: 20,
        hires_steps: Some(30),
        cfg_scale: 4.0,
        ..Draft::text_to_image("tiles")
    })
}

// === impl Cost ===

impl Cost {
    fn add(&mut self, other: Self) {
        self.coordinator += other.coordinator;
        self.all += other.all;
        self.wall += other.wall;
    }
}
