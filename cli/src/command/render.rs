//! `tessera render`: a prompt or a picture in, a hires picture out.

use std::{pin::pin, time::Instant};

use tessera_proto::{JobId, JobSpec};

use crate::{
    args::RenderArgs,
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

/// Draws the picture, on a cluster that lives as long as this command or on a running one.
pub(super) async fn run(args: RenderArgs, output: &Output) -> Result<(), Failure> {
    let started = Instant::now();
    let environment = Environment::of_process().map_err(Failure::failed)?;
    // Reading a model folder or standard input takes as long as it takes.
    let options =
        tokio::task::block_in_place(|| options::render(args, &environment)).map_err(Failure::usage)?;
    let options::Render { spec, seed_drawn, machines, files } = options;
    if seed_drawn && output.style() == Style::People {
        output.note(format_args!("seed {} (drawn; --seed {0} repeats it)", spec.seed));
    }
    let seed = spec.seed;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let errand = Errand { spec, files: &files, output };
    let finished = match machines {
        Machines::Cluster { address, patience, .. } => {
            let client = interrupt.or(Client::connect(&address)).await.ok_or_else(unsubmitted)??;
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
        let seed = self.spec.seed;
        let job = submit(&mut client, self.spec, interrupt, self.output).await?;
        if self.output.style() == Style::Json {
            self.output.json(&Event::Submitted { job: job.to_string(), seed })?;
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

fn unsubmitted() -> Failure {
    Failure::interrupted("interrupted: no job was submitted")
}

/// The last line: file, size, time, seed.
fn tell(finished: &Finished, seed: u64, started: Instant, output: &Output) -> Result<(), Failure> {
    let seconds = started.elapsed().as_secs_f64();
    let Finished { job, path, width, height } = finished;
    match output.style() {
        Style::People => output
            .data(format_args!("{}: {width}x{height} px in {seconds:.1} s, seed {seed}", path.display())),
        Style::Json => output.json(&Event::Done {
            job: job.to_string(),
            path,
            width: *width,
            height: *height,
            seconds: Some(seconds),
            seed: Some(seed),
        }),
        Style::Quiet => Ok(()),
    }
}
