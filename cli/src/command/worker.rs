//! `tessera worker`: devices and a model in, workers that serve a coordinator until one side goes.

mod host;

use std::time::Duration;

use tessera_worker::{Error, Fetch, LinkError, engine::DeviceSpec};

use crate::{
    access::{Access, Target},
    args::WorkerArgs,
    default_model,
    environment::Environment,
    exit::Failure,
    interrupt::Interrupt,
    options::{self, seconds},
};

/// How long the task in hand may take to end; service managers wait about as long before they kill.
const GRACE: Duration = Duration::from_secs(60);

/// Serves one device in this process, or several in one process each.
pub(super) async fn run(args: WorkerArgs) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let target = Target::of(&args.cluster.coordinator, &args.cluster.access).map_err(Failure::usage)?;
    let coordinator = &target.address;
    let access = access(&args, &target.access)?;
    let devices = options::worker_devices(&args.device, args.onnxruntime.clone(), &environment);
    let devices = devices.map_err(Failure::usage)?;
    let &[device] = devices.as_slice() else { return host::run(&args, &target.access, &devices).await };
    let patience = match args.patience {
        0.0 => Duration::ZERO,
        value => seconds("--patience", value).map_err(Failure::usage)?,
    };
    let simulated = matches!(device, DeviceSpec::Simulated { .. });
    let fetch = fetch(&args)?;
    let model = match args.model {
        None if simulated || fetch.is_some() => None,
        None => Some(default_model::find(&environment).map_err(Failure::usage)?),
        given => given,
    };
    let options = tessera_worker::Options {
        access,
        coordinator: coordinator.to_string(),
        name: args.name.unwrap_or_else(tessera_worker::default_name),
        device,
        model,
        fetch,
        upscalers: args.upscaler,
        onnxruntime: args.onnxruntime,
        fuse: !args.no_fuse,
        spill: args.spill.into(),
        patience,
    };
    tracing::info!("serving {device} to the coordinator at {coordinator}");
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    if args.leash {
        interrupt = interrupt.with_leash();
    }
    let serve = |stop| tessera_worker::run(options, stop);
    match super::serve(&mut interrupt, GRACE, serve).await? {
        Some(result) => result.map_err(failure),
        None => Err(Failure::failed(anyhow::anyhow!("the task in hand did not end within {GRACE:?}"))),
    }
}

/// Where models are put that the worker fetches, if it does.
fn fetch(args: &WorkerArgs) -> Result<Option<Fetch>, Failure> {
    if !args.fetch_models {
        return Ok(None);
    }
    let home = tessera_worker::home().ok_or_else(|| {
        Failure::usage(anyhow::anyhow!("there is no home folder to keep models in: set TESSERA_HOME"))
    })?;
    Ok(Some(Fetch { cache: home.join("cache/models"), limit: args.model_cache << 30 }))
}

/// How the worker is admitted, where the coordinator asks for that.
fn access(args: &WorkerArgs, access: &Access) -> Result<Option<tessera_worker::Access>, Failure> {
    let Access { ca: Some(ca), token } = access.clone() else { return Ok(None) };
    let folder = args.identity.clone().or_else(tessera_worker::identity_folder).ok_or_else(|| {
        Failure::usage(anyhow::anyhow!("there is no home folder to keep a key in: name one with --identity"))
    })?;
    let host = tessera_worker::host_name().unwrap_or_else(|| "worker".to_owned());
    Ok(Some(tessera_worker::Access { ca, token, folder, name: args.name.clone().unwrap_or(host) }))
}

/// A worker that is not let in was asked for the wrong thing; one whose coordinator is away, or whose stream broke, was not.
fn failure(error: Error) -> Failure {
    let shut_out = matches!(
        &error,
        Error::Link(
            LinkError::Refused { .. }
                | LinkError::Untrusted { .. }
                | LinkError::Keep { .. }
                | LinkError::Token
        )
    );
    if error.is_usage() || shut_out { Failure::usage(error) } else { Failure::failed(error) }
}
