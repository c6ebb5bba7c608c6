//! `tessera fetch`: a finished job's id in, its picture in a file out.

use crate::{
    args::FetchArgs,
    environment::Environment,
    event::Event,
    exit::Failure,
    interrupt::Interrupt,
    options::Named,
    output::{Output, Style},
    results::{self, Finished},
};

/// Gets the picture of a finished job, and what else was asked for.
pub(super) async fn run(args: FetchArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let job = super::job_id(&args.job)?;
    let named = Named { picture: args.output, dump: args.dump, report: args.report };
    let files = named.resolve(&format!("tessera-{job}"), &environment.current).map_err(Failure::usage)?;
    let mut client = super::connect(&args.cluster).await?;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let finished = tokio::select! {
        finished = results::collect(&mut client, job, &files) => finished?,
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
