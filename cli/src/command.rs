//! The commands: parsed arguments in, what was asked for done.

mod bench;
mod cancel;
mod compare;
mod completions;
mod coordinator;
mod decode;
mod doctor;
mod drain;
mod encode;
mod errand;
mod fetch;
mod init;
mod jobs;
mod man;
mod model;
mod plan;
mod render;
mod show;
mod submit;
mod table;
mod token;
mod watch;
mod worker;
mod workers;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tessera_proto::JobId;
use tokio::{sync::oneshot, time::timeout};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    access::Target,
    args::{BenchCommand, ClusterArgs, Command, ModelCommand, TokenCommand},
    client::Client,
    exit::Failure,
    interrupt::Interrupt,
    output::{Output, Style},
};

/// How long tasks of the runtime may take to end after the command has.
const CLOSE: Duration = Duration::from_secs(1);

/// For whom a command prints.
pub(crate) const fn style(command: &Command) -> Style {
    match command {
        Command::Render(args) => Style::of(args.output.json, args.output.quiet),
        Command::Decode(args) => Style::of(args.output.json, args.output.quiet),
        Command::Encode(args) => Style::of(args.output.json, args.output.quiet),
        Command::Plan(args) => Style::of(args.render.output.json, args.render.output.quiet),
        Command::Submit(args) => Style::of(args.json, false),
        Command::Watch(args) => Style::of(args.json, false),
        Command::Cancel(args) => Style::of(args.json, false),
        Command::Jobs(args) => Style::of(args.json, false),
        Command::Show(args) => Style::of(args.json, false),
        Command::Workers(args) => Style::of(args.json, false),
        Command::Fetch(args) => Style::of(args.json, false),
        Command::Compare(args) => Style::of(args.json, false),
        Command::Model(args) => match &args.command {
            ModelCommand::Inspect(args) => Style::of(args.json, false),
            ModelCommand::Push(args) => Style::of(args.json, false),
            ModelCommand::List(args) => Style::of(args.json, false),
            ModelCommand::Remove(args) => Style::of(args.json, false),
        },
        Command::Bench(args) => match &args.command {
            BenchCommand::Scaling(args) => Style::of(args.json, false),
            BenchCommand::Chaos(args) => Style::of(args.json, false),
            BenchCommand::Endurance(args) => Style::of(args.json, false),
        },
        Command::Doctor(args) => Style::of(args.json, false),
        Command::Drain(args) => Style::of(args.json, false),
        Command::Init(args) => Style::of(args.json, false),
        Command::Token(args) => match &args.command {
            TokenCommand::List(args) => Style::of(args.json, false),
            TokenCommand::New(_) | TokenCommand::Revoke(_) => Style::People,
        },
        Command::Coordinator(_) | Command::Worker(_) | Command::Completions(_) | Command::Man(_) => {
            Style::People
        }
    }
}

/// What a command logs when nothing else is asked for: servers tell their story, the others their troubles.
pub(crate) const fn log_level(command: &Command) -> LevelFilter {
    match command {
        Command::Coordinator(_) | Command::Worker(_) => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    }
}

/// Runs a command to its end.
///
/// # Errors
/// What was asked for was not done; the failure says why and with which code to exit.
pub(crate) fn run(command: Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Render(args) => wait_for(render::run(*args, output)),
        Command::Decode(args) => wait_for(decode::run(*args, output)),
        Command::Encode(args) => wait_for(encode::run(*args, output)),
        Command::Plan(args) => wait_for(plan::run(*args, output)),
        Command::Submit(args) => wait_for(submit::run(*args, output)),
        Command::Watch(args) => wait_for(watch::run(args, output)),
        Command::Cancel(args) => wait_for(cancel::run(args, output)),
        Command::Jobs(args) => wait_for(jobs::run(args, output)),
        Command::Show(args) => wait_for(show::run(args, output)),
        Command::Fetch(args) => wait_for(fetch::run(args, output)),
        Command::Workers(args) => wait_for(workers::run(args, output)),
        Command::Drain(args) => wait_for(drain::run(args, output)),
        Command::Init(args) => init::run(args, output),
        Command::Token(args) => wait_for(token::run(args, output)),
        Command::Coordinator(args) => wait_for(coordinator::run(args, output)),
        Command::Worker(args) => wait_for(worker::run(args)),
        Command::Compare(args) => compare::run(&args, output),
        Command::Model(args) => match args.command {
            ModelCommand::Inspect(args) => model::inspect(&args, output),
            ModelCommand::Push(args) => wait_for(model::push(args, output)),
            ModelCommand::List(args) => wait_for(model::list(args, output)),
            ModelCommand::Remove(args) => wait_for(model::remove(args, output)),
        },
        Command::Bench(args) => wait_for(bench::run(args, output)),
        Command::Doctor(args) => doctor::run(args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Man(args) => man::run(&args, output),
    }
}

/// Runs a command that talks to others, on a runtime of its own.
fn wait_for(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(CLOSE);
    result
}

/// Connects to the cluster that the arguments name.
async fn connect(cluster: &ClusterArgs) -> Result<Client, Failure> {
    let target = Target::of(&cluster.coordinator, &cluster.access).map_err(Failure::usage)?;
    Ok(Client::reach(&target).await?)
}

/// Reads a job's id.
fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(Failure::usage)
}

/// Reads jobs' ids; all of them, before anything is done to one.
fn job_ids(texts: &[String]) -> Result<Vec<JobId>, Failure> {
    texts.iter().map(|text| job_id(text)).collect()
}

/// Runs a server until it ends; `None` if it was asked to stop and did not within `grace`. The first signal asks, the
/// second ends the wait.
async fn serve<F: Future>(
    interrupt: &mut Interrupt,
    grace: Duration,
    server: impl FnOnce(Stop) -> F,
) -> Result<Option<F::Output>, Failure> {
    let (stop, stopped) = oneshot::channel();
    let mut server = std::pin::pin!(server(Stop(stopped)));
    tokio::select! {
        result = &mut server => return Ok(Some(result)),
        () = interrupt.next() => tracing::info!("stopping; another signal stops at once"),
    }
    // The server holds the other end as long as it runs.
    let _ = stop.send(());
    tokio::select! {
        result = timeout(grace, server) => Ok(result.ok()),
        () = interrupt.next() => Err(Failure::interrupted("stopped at once")),
    }
}

/// Ends when a server shall.
#[derive(Debug)]
struct Stop(oneshot::Receiver<()>);

impl Future for Stop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // A dropped sender means the same as a message.
        Pin::new(&mut self.0).poll(context).map(|_| ())
    }
}
