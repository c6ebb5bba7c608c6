//! A job from its submission to its files: checked options in; a job that is handed in, followed and fetched out.

use std::{pin::pin, time::Instant};

use tessera_proto::{
    Artifact, JobId, JobSpec,
    job::{Goal, Posterior},
};

use crate::{
    client::Client,
    environment::Environment,
    event::Event,
    exit::Failure,
    follow::{Follow, OnInterrupt, end_for_user},
    interrupt::Interrupt,
    local::{Cluster, Fleet},
    options::{self, Files, Machines},
    output::{Output, Style},
    results::{self, Finished},
};

/// Does the job, on a cluster that lives as long as this command or on a running one.
pub(super) async fn run(
    options: options::Render,
    environment: &Environment,
    started: Instant,
    output: &Output,
) -> Result<(), Failure> {
    let options::Render { spec, seed_drawn, machines, files } = options;
    if seed_drawn && output.style() == Style::People {
        output.note(format_args!("seed {} (drawn; --seed {0} repeats it)", spec.seed));
    }
    let seed = seed(&spec);
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let errand = Errand { spec, files: &files, output };
    let finished = match machines {
        Machines::Cluster { target, patience, .. } => {
            let client = interrupt.or(Client::reach(&target)).await.ok_or_else(unsubmitted)??;
            errand.run(client, &mut interrupt, Watch::Cluster { patience }).await?
        }
        Machines::Local(local) => {
            let mut cluster =
                Cluster::start(&local, &environment.executable).await.map_err(Failure::failed)?;
            let watch = Watch::Local(&mut cluster.fleet);
            let finished = match interrupt.or(Client::connect(&cluster.address)).await {
                Some(Ok(client)) => errand.run(client, &mut interrupt, watch).await,
                Some(Err(error)) => Err(Failure::failed(error)),
                None => Err(unsubmitted()),
            };
            // A signal ends the wait alone: what is left is killed when its handle is dropped.
            interrupt.or(cluster.stop()).await;
            finished?
        }
    };
    tell(&finished, seed, started, output)
}

/// The job and where its files go.
struct Errand<'a> {
    spec: JobSpec,
    files: &'a Files,
    output: &'a Output,
}

/// What is watched besides the job.
enum Watch<'a> {
    /// Our own workers; our own coordinator watches the time.
    Local(&'a mut Fleet),
    /// The time, because a cluster's own patience may be longer than the user's.
    Cluster { patience: std::time::Duration },
}

// === impl Errand ===

impl Errand<'_> {
    /// Hands the job in, follows it and fetches its files.
    async fn run(
        self,
        mut client: Client,
        interrupt: &mut Interrupt,
        watch: Watch<'_>,
    ) -> Result<Finished, Failure> {
        let seed = seed(&self.spec);
        let job = submit(&mut client, self.spec, interrupt, self.output).await?;
        if self.output.style() == Style::Json {
            self.output.json(&Event::Submitted { job: job.to_string(), seed, source: None })?;
        }
        if let (Watch::Cluster { .. }, Style::People) = (&watch, self.output.style()) {
            self.output.note(format_args!("job {job}"));
        }
        let (fleet, patience) = match watch {
            Watch::Local(fleet) => (Some(fleet), None),
            Watch::Cluster { patience } => (None, Some(patience)),
        };
        let follow = Follow {
            client: &mut client,
            job,
            output: self.output,
            interrupt,
            on_interrupt: OnInterrupt::Cancel,
            fleet,
            patience,
        };
        let status = follow.run().await?;
        tokio::select! {
            finished = results::collect(&mut client, &status, self.files) => finished,
            () = interrupt.next() => Err(Failure::interrupted("interrupted: no file was written")),
        }
    }
}

/// Hands a job in. A signal before the answer ends the job, which may have arrived all the same.
async fn submit(
    client: &mut Client,
    spec: JobSpec,
    interrupt: &mut Interrupt,
    output: &Output,
) -> Result<JobId, Failure> {
    let mut canceller = client.clone();
    let mut submitting = pin!(client.submit(spec));
    match interrupt.or(&mut submitting).await {
        Some(job) => Ok(job?),
        None => {
            // Its id comes with the answer.
            let cancel = async { canceller.cancel(submitting.await?).await };
            Err(end_for_user(cancel, interrupt, output).await)
        }
    }
}

/// The seed, where the job draws noise with it.
fn seed(spec: &JobSpec) -> Option<u64> {
    match spec.goal {
        Goal::Render | Goal::Encode(Posterior::Sample) => Some(spec.seed),
        Goal::Decode(_) | Goal::Encode(Posterior::Mean) => None,
    }
}

fn unsubmitted() -> Failure {
    Failure::interrupted("interrupted: no job was submitted")
}

/// The last line: file, size, time, seed.
fn tell(finished: &Finished, seed: Option<u64>, started: Instant, output: &Output) -> Result<(), Failure> {
    let seconds = started.elapsed().as_secs_f64();
    let Finished { job, path, width, height, artifact } = finished;
    match output.style() {
        Style::People => {
            let what = if *artifact == Artifact::Latent { "latent of " } else { "" };
            let seed = seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
            output.data(format_args!("{}: {what}{width}x{height} px in {seconds:.1} s{seed}", path.display()))
        }
        Style::Json => output.json(&Event::Done {
            job: job.to_string(),
            path,
            width: *width,
            height: *height,
            seconds: Some(seconds),
            seed,
        }),
        Style::Quiet => Ok(()),
    }
}
