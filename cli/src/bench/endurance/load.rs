//! A cluster under load: what thousands of jobs leave in its memory, and what hundreds of watchers cost it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tessera_proto::{
    JobSpec, JobState,
    job::{self, Draft, Size, Target},
};
use tokio::{task::JoinSet, time::Instant};

use super::{Endurance, Figure, pass};
use crate::bench::processes::{Processes, Recipe};

/// Jobs that are open at a time.
const AT_ONCE: usize = 8;

/// How long one job may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The coordinator's memory after all jobs by that after the first quarter: it must not grow with what is over.
pub(super) async fn memory(bench: &Endurance) -> Result<Figure> {
    let recipe = Recipe { flags: &[], devices: &["sim:0", "sim:0"], model: None };
    let cluster = Processes::start(&bench.executable, &recipe).await?;
    let spec = small()?;
    let mut early = None;
    let (mut submitted, mut open) = (0, Vec::new());
    while 0 < bench.jobs - submitted || !open.is_empty() {
        while open.len() < AT_ONCE && submitted < bench.jobs {
            open.push(cluster.submit(&spec).await?);
            submitted += 1;
        }
        let job = open.remove(0);
        let ended = cluster.finished(job, Instant::now() + LIMIT).await?.context("a job does not end")?;
        ensure!(ended.state == JobState::Done, "a job failed: {:?}", ended.failure);
        if submitted == bench.jobs / 4 && early.is_none() {
            early = Some(cluster.coordinator.memory("VmRSS")?);
        }
    }
    let (early, late) = (early.context("too few jobs")?, cluster.coordinator.memory("VmRSS")?);
    let what = format!("coordinator's memory after {} jobs by that after {}", bench.jobs, bench.jobs / 4);
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 KiB")]
    Ok(Figure::new(what, (late as f64 / early as f64, "x"), 1.1))
}

/// How much longer a pass takes that many clients watch.
pub(super) async fn watchers(bench: &Endurance) -> Result<Figure> {
    let recipe = Recipe { flags: &[], devices: &["sim:86"; 8], model: None };
    let cluster = Processes::start(&bench.executable, &recipe).await?;
    // Workers connect, and learn how long a tile takes.
    time(&cluster, 0).await?;
    let alone = time(&cluster, 0).await?;
    let watched = time(&cluster, bench.watchers).await?;
    let what =
        format!("time of a pass that {} clients watch, beyond that of one that none does", bench.watchers);
    Ok(Figure::new(what, (100.0 * (watched / alone - 1.0), "%"), 5.0))
}

/// How long a pass takes, s.
async fn time(cluster: &Processes, watchers: u32) -> Result<f64> {
    let job = cluster.submit(&pass(12)?).await?;
    let began = Instant::now();
    let mut streams = JoinSet::new();
    for _ in 0..watchers {
        let mut client = cluster.client().await?;
        streams.spawn(async move {
            let mut statuses = client.watch(job).await?;
            while statuses.next().await?.is_some() {}
            Ok::<_, crate::client::Error>(())
        });
    }
    let ended = cluster.finished(job, began + LIMIT).await?.context("the pass does not end")?;
    ensure!(ended.state == JobState::Done, "the pass failed: {:?}", ended.failure);
    let took = Duration::from_millis(ended.age_ms).as_secs_f64();
    while let Some(watched) = streams.join_next().await {
        watched??;
    }
    Ok(took)
}

/// A job of a few tasks.
fn small() -> Result<JobSpec, job::Error> {
    JobSpec::new(Draft {
        base: Some(Size { width: 64, height: 64 }),
        target: Target::Scale(1.5),
        steps: 1,
        hires_steps: Some(1),
        ..Draft::text_to_image("a house")
    })
}
