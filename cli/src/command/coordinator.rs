//! `tessera coordinator`: an address in, a coordinator that serves until it is told to stop.

mod state;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use tokio::net::{TcpListener, lookup_host};
use url::Url;

use crate::{
    access::TLS,
    args::{CoordinatorArgs, LISTEN},
    exit::Failure,
    interrupt::Interrupt,
    options::seconds,
    output::Output,
};
pub(super) use state::State;

/// How long clients may take to fetch what they have begun to: workers never hang up by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// Heartbeats in the shortest silence that takes a worker for lost: late ones must not do that.
const HEARTBEATS: u32 = 4;

/// Shortest `--silence`, s: with four heartbeats in it, workers spend their time on tasks all the same.
const MIN_SILENCE: f64 = 0.4;

/// Serves jobs and workers.
pub(super) async fn run(args: CoordinatorArgs, output: &Output) -> Result<(), Failure> {
    // Points at which tests let a coordinator die, by a variable; other builds have none. They stay for good.
    std::mem::forget(fail::FailScenario::setup());
    let state = State::open(args.store.state.clone())?;
    let options = state.options(&args, options(&args)?)?;
    let listener = listen("--listen", &args.listen).await?;
    let observers = match &args.metrics {
        Some(address) => Some(listen("--metrics", address).await?),
        None => None,
    };
    let address = listener.local_addr().map_err(Failure::failed)?;
    let scheme = guarded(&args, address)?;
    let mut opened = tessera_coordinator::open(options).await.map_err(|error| state.explain(&args, error))?;
    if let Some(listener) = observers {
        let address = listener.local_addr().map_err(Failure::failed)?;
        tracing::info!("metrics: http://{address}/metrics, health: http://{address}/healthz");
        opened = opened.observed(listener);
    }
    let host =
        if address.ip().is_unspecified() { format!("HOST:{}", address.port()) } else { address.to_string() };
    let admitted = if args.tls.is_some() { " --ca ca.pem --token-file FILE" } else { "" };
    tracing::info!(
        "workers join with: tessera worker --coordinator {scheme}://{host}{admitted} --device cpu --model DIR"
    );
    // The URL is what scripts wait for.
    output.data(format_args!("{scheme}://{address}"))?;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let serve = |stop| opened.serve(listener, stop);
    match super::serve(&mut interrupt, GRACE, serve).await? {
        Some(result) => result.map_err(Failure::failed),
        None => {
            tracing::info!("streams still open were cut");
            Ok(())
        }
    }
}

/// How callers reach an address. One that others reach must be guarded, unless the user says that something else does.
fn guarded(args: &CoordinatorArgs, address: SocketAddr) -> Result<&'static str, Failure> {
    match (&args.tls, args.insecure) {
        (Some(_), _) => Ok("https"),
        (None, _) if address.ip().is_loopback() => Ok("http"),
        (None, true) => {
            tracing::warn!(
                "listening on {address} without TLS and tokens: all who reach this port can use the cluster"
            );
            Ok("http")
        }
        (None, false) => Err(Failure::usage(anyhow::anyhow!(
            "{address} opens the cluster to all who reach it: run `tessera init` and add --tls, or say --insecure"
        ))),
    }
}

/// The folder of certificates that `--tls` means.
fn tls(args: &CoordinatorArgs) -> Result<Option<PathBuf>, Failure> {
    let default = || {
        let folder = tessera_worker::home().map(|home| home.join(TLS));
        folder.ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("there is no home folder: name one with --tls DIR"))
        })
    };
    match &args.tls {
        None => Ok(None),
        Some(None) => default().map(Some),
        Some(Some(folder)) => Ok(Some(folder.clone())),
    }
}

fn options(args: &CoordinatorArgs) -> Result<tessera_coordinator::Options, Failure> {
    let default = tessera_coordinator::Options::default();
    let or = |flag, value: Option<f64>, default| value.map_or(Ok(default), |value| seconds(flag, value));
    let silence = or("--silence", args.silence, default.silence).map_err(Failure::usage)?;
    if silence < Duration::from_secs_f64(MIN_SILENCE) {
        return Err(Failure::usage(anyhow::anyhow!(
            "--silence is {} seconds, must be at least {MIN_SILENCE}: workers are heard of {HEARTBEATS} times in it",
            silence.as_secs_f64()
        )));
    }
    Ok(tessera_coordinator::Options {
        heartbeat: default.heartbeat.min(silence / HEARTBEATS),
        silence,
        worker_wait: seconds("--worker-wait", args.worker_wait).map_err(Failure::usage)?,
        task_timeout: or("--task-timeout", args.task_timeout, default.task_timeout)
            .map_err(Failure::usage)?,
        checkpoint: seconds("--checkpoint", args.checkpoint).map_err(Failure::usage)?,
        tls: tls(args)?,
        collector: args.otlp.as_deref().map(collector).transpose()?,
        queue: usize::try_from(args.queue).unwrap_or(usize::MAX),
        user_jobs: args.user_jobs.and_then(|jobs| usize::try_from(jobs).ok()),
        ..default
    })
}

/// The collector that `--otlp` names.
fn collector(text: &str) -> Result<String, Failure> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(text.to_owned()),
        _ => Err(Failure::usage(anyhow::anyhow!("--otlp {text:?} is no URL, as in http://127.0.0.1:4317"))),
    }
}

async fn listen(flag: &str, text: &str) -> Result<TcpListener, Failure> {
    let form = || Failure::usage(anyhow::anyhow!("{flag} {text:?} is no address and port, as in {LISTEN}"));
    let mut found = lookup_host(text).await.map_err(|_| form())?;
    let address: SocketAddr = found.next().ok_or_else(form)?;
    TcpListener::bind(address).await.map_err(|error| {
        let what = format!("{flag}: cannot listen on {address}; take another port, or end what has it");
        let error = anyhow::Error::new(error).context(what);
        Failure::usage(error)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        args::{Cli, Command},
        exit::Exit,
    };

    fn parsed(flags: &[&str]) -> Result<tessera_coordinator::Options, Failure> {
        let line = ["tessera", "coordinator"].iter().chain(flags);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Coordinator(args) => options(&args),
            other => panic!("not a coordinator: {other:?}"),
        }
    }

    #[test]
    fn a_worker_is_heard_of_four_times_in_the_silence_that_loses_it() {
        let heartbeat = |flags: &[&str]| parsed(flags).unwrap().heartbeat;
        assert_eq!(heartbeat(&[]), Duration::from_secs(2));
        assert_eq!(heartbeat(&["--silence", "600"]), Duration::from_secs(2));
        assert_eq!(heartbeat(&["--silence", "1"]), Duration::from_millis(250));
        assert_eq!(heartbeat(&["--silence", "0.4"]), Duration::from_millis(100));
    }

    #[test]
    fn an_address_that_others_reach_is_guarded_or_said_to_be_open() {
        let of = |address: &str, flags: &[&str]| {
            let line = ["tessera", "coordinator"].iter().chain(flags);
            match Cli::try_parse_from(line).unwrap().command {
                Command::Coordinator(args) => guarded(&args, address.parse().unwrap()),
                other => panic!("not a coordinator: {other:?}"),
            }
        };
        assert_eq!(of("127.0.0.1:1", &[]).unwrap(), "http");
        assert_eq!(of("[::1]:1", &["--tls"]).unwrap(), "https");
        assert_eq!(of("10.0.0.1:1", &["--tls", "here"]).unwrap(), "https");
        assert_eq!(of("0.0.0.0:1", &["--insecure"]).unwrap(), "http");
        let failure = of("0.0.0.0:1", &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.sentence().contains("run `tessera init` and add --tls"), "{}", failure.sentence());
    }

    #[test]
    fn a_silence_that_loses_every_worker_is_refused() {
        let failure = parsed(&["--silence", "0.3"]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.sentence(),
            "--silence is 0.3 seconds, must be at least 0.4: workers are heard of 4 times in it"
        );
    }
}
