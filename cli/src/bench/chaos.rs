//! A cluster whose processes are killed: how many jobs, for how long, in; what became of the jobs out.
//!
//! All jobs are run once by a cluster that nobody disturbs, then by one whose workers and coordinator are killed (SIGKILL)
//! at random and started again. Nothing that was acknowledged may be lost, nothing may stand still, and every picture must
//! have the bytes of the calm run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use rand_mt::Mt64;
use serde::Serialize;
use tessera_proto::{
    JobSpec, JobState,
    job::{self, Draft, Size, Target},
};
use tokio::time::{Instant, sleep_until};

use super::processes::{Processes, Recipe, picture};

/// Time between two kills, ms: at least, and less than.
const KILLS: [u64; 2] = [200, 2_500];

/// Most time that a killed process stays away, ms.
const AWAY: u64 = 1_000;

/// How long a job may take once nobody is killed any more.
const REST: Duration = Duration::from_secs(120);

/// What is done to whom.
#[derive(Debug, Clone)]
pub(crate) struct Chaos {
    /// Jobs.
    pub(crate) jobs: usize,
    /// How long processes are killed.
    pub(crate) time: Duration,
    /// Workers; each is a simulated device.
    pub(crate) workers: usize,
    /// Who is killed when is drawn from this.
    pub(crate) seed: u64,
    /// The program.
    pub(crate) executable: PathBuf,
}

/// What became of the jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Aftermath {
    /// Jobs that were acknowledged.
    pub(crate) jobs: usize,
    /// Of those, how many the coordinator does not know, or says that they failed.
    pub(crate) lost: usize,
    /// How many did not end.
    pub(crate) stuck: usize,
    /// How many have another picture than in the calm run.
    pub(crate) wrong_bytes: usize,
    /// Processes killed: workers, coordinators.
    pub(crate) kills: [usize; 2],
    /// The seed.
    pub(crate) seed: u64,
    /// How long it took, s.
    pub(crate) wall_s: f64,
}

// === impl Chaos ===

impl Chaos {
    /// The jobs, alike but for their seeds. Each takes some seconds of the cluster.
    fn specs(&self) -> Result<Vec<JobSpec>, job::Error> {
        let spec = |seed| {
            JobSpec::new(Draft {
                seed,
                base: Some(Size { width: 128, height: 128 }),
                target: Target::Scale(4.0),
                steps: 6,
                hires_steps: Some(12),
                tile: Some(Size { width: 16, height: 16 }),
                overlap: Some(4),
                ..Draft::text_to_image("a house")
            })
        };
        (0..self.jobs as u64).map(spec).collect()
    }

    /// Runs the jobs twice.
    ///
    /// # Errors
    /// A process cannot be started, or the calm run fails.
    pub(crate) async fn run(&self, note: impl Fn(&str)) -> Result<Aftermath> {
        let specs = self.specs()?;
        note("a calm run first …");
        let expected = self.calm(&specs).await?;
        note("now with kills …");
        let began = Instant::now();
        let mut cluster = self.cluster("sim:12").await?;
        let mut random = Mt64::new(self.seed);
        let mut draw = move |from: u64, to: u64| from + random.next_u64() % (to - from).max(1);
        let end = began + self.time;
        let mut next = began + Duration::from_millis(draw(KILLS[0], KILLS[1]));
        let (mut ids, mut kills) = (Vec::new(), [0, 0]);
        loop {
            // Jobs come evenly over the first two thirds, so that there is work to disturb at all times.
            let share = 0.66 * ids.len() as f64 / specs.len() as f64;
            let submit = (ids.len() < specs.len()).then(|| began + self.time.mul_f64(share));
            let kill = Some(next).filter(|&next| next < end);
            match (submit, kill) {
                (Some(submit), kill) if kill.is_none_or(|kill| submit <= kill) => {
                    sleep_until(submit).await;
                    let spec = &specs[ids.len()];
                    ids.push(cluster.ask(async |client| client.submit(spec.clone()).await).await?);
                }
                (_, Some(kill)) => {
                    sleep_until(kill).await;
                    let victim = usize::try_from(draw(0, self.workers as u64 + 1)).unwrap_or(0);
                    cluster.kill(victim, Duration::from_millis(draw(0, AWAY))).await?;
                    kills[usize::from(victim == self.workers)] += 1;
                    next = Instant::now() + Duration::from_millis(draw(KILLS[0], KILLS[1]));
                }
                _ => break,
            }
        }
        note("nobody is killed any more …");
        let mut after = Aftermath {
            jobs: ids.len(),
            lost: 0,
            stuck: 0,
            wrong_bytes: 0,
            kills,
            seed: self.seed,
            wall_s: 0.0,
        };
        let deadline = Instant::now() + REST;
        for (id, expected) in ids.into_iter().zip(expected) {
            match cluster.finished(id, deadline).await {
                Ok(Some(status)) if status.state == JobState::Done => {
                    let picture = cluster.ask(async |client| picture(client, id).await).await;
                    after.wrong_bytes += usize::from(picture.ok() != Some(expected));
                }
                Ok(Some(_)) => after.lost += 1,
                Ok(None) => after.stuck += 1,
                Err(_) => after.lost += 1,
            }
        }
        after.wall_s = began.elapsed().as_secs_f64();
        Ok(after)
    }

    async fn cluster(&self, device: &str) -> Result<Processes> {
        let devices = vec![device; self.workers];
        let recipe = Recipe { flags: &["--checkpoint", "1"], devices: &devices, model: None };
        Processes::start(&self.executable, &recipe).await
    }

    /// The pictures of a cluster that nobody disturbs.
    async fn calm(&self, specs: &[JobSpec]) -> Result<Vec<Vec<u8>>> {
        let cluster = self.cluster("sim:0").await?;
        let mut ids = Vec::new();
        for spec in specs {
            ids.push(cluster.ask(async |client| client.submit(spec.clone()).await).await?);
        }
        let deadline = Instant::now() + REST;
        let mut pictures = Vec::new();
        for id in ids {
            match cluster.finished(id, deadline).await? {
                Some(status) if status.state == JobState::Done => {}
                _ => bail!("job {id} is not done though nobody was killed"),
            }
            pictures.push(cluster.ask(async |client| picture(client, id).await).await?);
        }
        Ok(pictures)
    }
}
