//! `tessera fetch`: a finished job's id in, its picture in a file out.

use crate::{
    args::FetchArgs,
    environment::Environment,
    event::Event,
    exit::Failure,
    interrupt::Interrupt,
    options::{self, Named},
    output::{Output, Style},
    results::{self, Finished},
};

/// Gets the picture of a finished job, and what else was asked for.
pub(super) async fn run(args: FetchArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let job = super::job_id(&args.job)?;
    let mut client = super::connect(&args.cluster).await?;
    let status = client.status(job).await?;
    if let Some(path) = &args.output {
        options::check_fetched(job, status.format, path).map_err(Failure::usage)?;
    }
    let named = Named { result: args.output, dump: args.dump, report: args.report, trace: args.trace };
    let stem = format!("tessera-{job}");
    let files = named.resolve(&stem, status.format, &environment.current).map_err(Failure::usage)?;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let finished = tokio::select! {
        finished = results::collect(&mut client, &status, &files) => finished?,
        () = interrupt.next() => return Err(Failure::interrupted("interrupted: no file was written")),
    };
    let Finished { path, width, height, .. } = &finished;
    if output.style() == Style::Json {
        return output.json(&Event::Done {
            job: job.to_string(),
            path,
            width: *width,
            height: *height,
            seconds: None,
            seed: None,
        });
    }
    output.data(format_args!("{}: {width}x{height} px", path.display()))
}
