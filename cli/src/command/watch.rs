//! `tessera watch`: a job's id in, its progress until its end out.

use tessera_proto::JobId;

use crate::{
    args::WatchArgs,
    client::Client,
    exit::Failure,
    follow::{Follow, OnInterrupt},
    interrupt::Interrupt,
    options,
    output::{Output, Style},
    results,
};

/// Follows a job that may have been handed in by anybody.
pub(super) async fn run(args: WatchArgs, output: &Output) -> Result<(), Failure> {
    let job = super::job_id(&args.job)?;
    let trace = args.trace.map(options::trace_file).transpose().map_err(Failure::usage)?;
    let mut client = super::connect(&args.cluster).await?;
    follow(&mut client, job, output).await?;
    match trace {
        Some(path) => results::trace(&mut client, job, &path).await,
        None => Ok(()),
    }
}

/// Shows progress until the job ends; Ctrl-C leaves the job alone.
pub(super) async fn follow(client: &mut Client, job: JobId, output: &Output) -> Result<(), Failure> {
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let follow = Follow {
        client,
        job,
        output,
        interrupt: &mut interrupt,
        on_interrupt: OnInterrupt::Leave,
        fleet: None,
        patience: None,
    };
    follow.run().await?;
    if output.style() == Style::People {
        output.note(format_args!("job {job} is done: tessera fetch {job} gets its picture"));
    }
    Ok(())
}
