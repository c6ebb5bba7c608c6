//! `tessera worker`: a device and a model in, a worker that serves a coordinator until one of them goes.

use std::time::Duration;

use tessera_worker::{Error, LinkError, engine::DeviceSpec};

use crate::{
    address::Address, args::WorkerArgs, default_model, environment::Environment, exit::Failure,
    interrupt::Interrupt, options::seconds,
};

/// How long the task in hand may take to end; service managers wait about as long before they kill.
const GRACE: Duration = Duration::from_secs(60);

/// Serves one device.
pub(super) async fn run(args: WorkerArgs) -> Result<(), Failure> {
    let coordinator: Address = args.cluster.coordinator.parse().map_err(Failure::usage)?;
    let device: DeviceSpec = args.device.parse().map_err(Failure::usage)?;
    let patience = match args.patience {
        0.0 => Duration::ZERO,
        value => seconds("--patience", value).map_err(Failure::usage)?,
    };
    let simulated = matches!(device, DeviceSpec::Simulated { .. });
    let model = match args.model {
        None if simulated => None,
        None => {
            let environment = Environment::of_process().map_err(Failure::failed)?;
            Some(default_model::find(&environment).map_err(Failure::usage)?)
        }
        given => given,
    };
    let options = tessera_worker::Options {
        coordinator: coordinator.to_string(),
        name: args.name.unwrap_or_else(tessera_worker::default_name),
        device,
        model,
        upscalers: args.upscaler,
        onnxruntime: args.onnxruntime,
        fuse: !args.no_fuse,
        spill: args.spill.into(),
        patience,
    };
    tracing::info!("serving {device} to the coordinator at {coordinator}");
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let serve = |stop| tessera_worker::run(options, stop);
    match super::serve(&mut interrupt, GRACE, serve).await? {
        Some(result) => result.map_err(failure),
        None => Err(Failure::failed(anyhow::anyhow!("the task in hand did not end within {GRACE:?}"))),
    }
}

/// A worker that cannot begin was asked for the wrong thing; one whose stream broke was not.
fn failure(error: Error) -> Failure {
    let unreachable =
        matches!(&error, Error::Link(LinkError::Unreachable { .. } | LinkError::Refused { .. }));
    if error.is_usage() || unreachable { Failure::usage(error) } else { Failure::failed(error) }
}
