//! A cluster of this command's own, on loopback: devices in, a coordinator's address and running workers out.
//!
//! Invariant: it dies with this process. The coordinator is part of it; workers are killed when their handle is dropped,
//! and a worker whose stream closes ends by itself, so that not even `kill -9` leaves one behind.

mod fleet;
mod worker;

pub(crate) use fleet::{Event, Fleet};

use std::{net::Ipv4Addr, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    address::{self, Address},
    options::Local,
};

/// How long the coordinator may take to close its connections.
const CLOSE: Duration = Duration::from_secs(2);

/// A coordinator and its workers.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Where the coordinator answers.
    pub(crate) address: Address,
    /// The workers.
    pub(crate) fleet: Fleet,
    stop: oneshot::Sender<()>,
    coordinator: JoinHandle<Result<(), tessera_coordinator::Error>>,
    artifacts: TempDir,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No port on loopback.
    #[error("cannot listen on loopback")]
    Listen(#[source] std::io::Error),
    /// No folder for the picture until it is fetched.
    #[error("cannot make a temporary folder: set TMPDIR to one that is writable")]
    Temporary(#[source] std::io::Error),
    /// A loopback address that is none: cannot happen, and is not worth a panic.
    #[error(transparent)]
    Address(#[from] address::Error),
}

// === impl Cluster ===

impl Cluster {
    /// Starts the coordinator on a free port and one process of `executable` per device.
    ///
    /// # Errors
    /// There is no free port or no temporary folder.
    pub(crate) async fn start(local: &Local, executable: &Path) -> Result<Self, Error> {
        let artifacts = temporary_folder().map_err(Error::Temporary)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Error::Listen)?;
        let address: Address = listener.local_addr().map_err(Error::Listen)?.to_string().parse()?;
        let options = tessera_coordinator::Options {
            worker_wait: local.worker_wait,
            artifacts: Some(tessera_coordinator::Place::Folder(artifacts.path().to_owned())),
            ..Default::default()
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // A dropped sender means the same as a message.
            let _ = stopped.await;
        };
        let coordinator = tokio::spawn(tessera_coordinator::serve(listener, options, shutdown));
        let recipes = local.devices.iter().enumerate().map(|(index, device)| worker::Recipe {
            executable: executable.to_owned(),
            coordinator: address.clone(),
            name: format!("local-{}", index + 1),
            device: *device,
            model: local.model.folder.clone(),
            upscaler: local.model.upscaler.clone(),
            onnxruntime: local.onnxruntime.clone(),
            fuse: local.fuse,
            spill: local.spill.clone(),
        });
        Ok(Self { fleet: Fleet::start(recipes), address, stop, coordinator, artifacts })
    }

    /// Ends the workers, then the coordinator, and removes its files.
    pub(crate) async fn stop(self) {
        let Self { fleet, stop, mut coordinator, artifacts, .. } = self;
        fleet.stop().await;
        // It may be gone already.
        let _ = stop.send(());
        match timeout(CLOSE, &mut coordinator).await {
            Ok(Ok(Err(error))) => tracing::warn!("the coordinator ended with an error: {error}"),
            Ok(Err(error)) => tracing::warn!("the coordinator ended unexpectedly: {error}"),
            Ok(Ok(Ok(()))) => {}
            Err(_) => coordinator.abort(),
        }
        if let Err(error) = artifacts.close() {
            tracing::warn!("temporary files stay behind: {error}");
        }
    }
}

/// A folder for a coordinator's files that goes with its handle.
///
/// # Errors
/// There is no place for temporary files, or it is not writable.
pub(crate) fn temporary_folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("tessera-").tempdir()
}
