//! `tessera fetch`: finished jobs' ids in, their pictures in files out.

use tessera_proto::{Artifact, JobId};

use crate::{
    args::FetchArgs,
    client::Client,
    environment::Environment,
    event::Event,
    exit::{Exit, Failure},
    interrupt::Interrupt,
    options::Fetch,
    output::{Output, Style},
    results::{self, Finished},
    tally::Tally,
};

/// Gets the pictures of finished jobs, and what else was asked for.
pub(super) async fn run(args: FetchArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let jobs = super::job_ids(&args.jobs)?;
    let mut client = super::connect(&args.cluster).await?;
    let fetch = Fetch::new(args, &environment.current).map_err(Failure::usage)?;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let errand = Errand { fetch: &fetch, environment: &environment, output };
    if let [job] = jobs[..] {
        return errand.run(&mut client, job, &mut interrupt).await;
    }
    let mut tally = Tally::default();
    for job in jobs {
        match errand.run(&mut client, job, &mut interrupt).await {
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            result => tally.count(result, output),
        }
    }
    tally.verdict("were not fetched")
}

/// Where files go, and what is said of them.
struct Errand<'a> {
    fetch: &'a Fetch,
    environment: &'a Environment,
    output: &'a Output,
}

// === impl Errand ===

impl Errand<'_> {
    /// Gets one job's files.
    async fn run(&self, client: &mut Client, job: JobId, interrupt: &mut Interrupt) -> Result<(), Failure> {
        let status = client.status(job).await?;
        if !status.state.is_final() {
            // The coordinator says why not, before a folder is made.
            client.fetch(job, Artifact::Picture).await?;
        }
        let files = self.fetch.files(&status, &self.environment.current).map_err(Failure::usage)?;
        let finished = tokio::select! {
            finished = results::collect(client, &status, &files) => finished?,
            () = interrupt.next() => return Err(Failure::interrupted("interrupted: no file was written")),
        };
        let Finished { path, width, height, .. } = &finished;
        if self.output.style() == Style::Json {
            return self.output.json(&Event::Done {
                job: job.to_string(),
                path,
                width: *width,
                height: *height,
                seconds: None,
                seed: None,
            });
        }
        self.output.data(format_args!("{}: {width}x{height} px", path.display()))
    }
}
