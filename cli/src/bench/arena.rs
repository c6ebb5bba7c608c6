//! A cluster inside this process: devices in, jobs that were run on them and their times out.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;
use tessera_proto::{Artifact, JobId, JobSpec};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{address::Address, client::Client, exit::Failure, local::temporary_folder};

/// How long all workers may take to connect.
const CONNECT: Duration = Duration::from_secs(30);

/// How long the coordinator may take to close its connections.
const CLOSE: Duration = Duration::from_secs(2);

/// A coordinator and its workers; all end when this is dropped or stopped.
#[derive(Debug)]
pub(crate) struct Arena {
    client: Client,
    workers: JoinSet<Result<(), tessera_worker::Error>>,
    stop: oneshot::Sender<()>,
    coordinator: JoinHandle<Result<(), tessera_coordinator::Error>>,
    /// Ours, because it has to be gone when this process is.
    artifacts: TempDir,
}

/// The hires pass of a job that is done.
#[derive(Debug)]
pub(super) struct Ended {
    /// When the first task was sent, s since all jobs' common start.
    pub(super) begin_s: f64,
    /// From there to the last result, s.
    pub(super) wall_s: f64,
    /// Tiles' model calls.
    pub(super) calls: u64,
    /// From a result's arrival to the next task on its way, p99, ms.
    pub(super) dispatch_p99_ms: f64,
    /// Events of its trace.
    pub(super) events: Vec<Value>,
}

// === impl Arena ===

impl Arena {
    /// Starts a coordinator on a free port of loopback and one worker per device, and waits until all are connected.
    ///
    /// # Errors
    /// There is no free port, or a worker does not connect.
    pub(crate) async fn start(devices: &[String]) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(Failure::failed)?;
        let address = listener.local_addr().map_err(Failure::failed)?;
        let address: Address = address.to_string().parse().map_err(Failure::failed)?;
        let artifacts = temporary_folder().map_err(Failure::failed)?;
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // A dropped sender means the same as a message.
            let _ = stopped.await;
        };
        let coordinator = tokio::spawn(tessera_coordinator::serve(
            listener,
            tessera_coordinator::Options {
                artifacts: Some(tessera_coordinator::Place::Folder(artifacts.path().to_owned())),
                ..tessera_coordinator::Options::default()
            },
            shutdown,
        ));
        let mut workers = JoinSet::new();
        for (index, device) in devices.iter().enumerate() {
            let options = tessera_worker::Options {
                coordinator: address.to_string(),
                name: format!("device-{}", index + 1),
                device: device.parse().map_err(Failure::usage)?,
                model: None,
                fetch: None,
                access: None,
                upscalers: Vec::new(),
                onnxruntime: None,
                fuse: true,
                spill: tessera_worker::exact::Spill::default(),
                patience: Duration::ZERO,
            };
            workers.spawn(Box::pin(tessera_worker::run(options, std::future::pending())));
        }
        let mut client = Client::connect(&address).await?;
        let deadline = Instant::now() + CONNECT;
        while client.workers().await?.len() < devices.len() {
            if deadline < Instant::now() {
                return Err(Failure::failed(anyhow::anyhow!("not all workers connect within {CONNECT:?}")));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { client, workers, stop, coordinator, artifacts })
    }

    /// Runs jobs at once to their ends.
    ///
    /// # Errors
    /// A job fails, or leaves no report.
    pub(super) async fn run(&self, specs: Vec<JobSpec>) -> Result<Vec<Ended>, Failure> {
        let mut client = self.client.clone();
        let start = Instant::now();
        let mut jobs = Vec::new();
        for spec in specs {
            let job = client.submit(spec).await?;
            jobs.push((job, start.elapsed().as_secs_f64()));
        }
        let mut ended = Vec::new();
        for (job, submitted_s) in jobs {
            let mut statuses = client.watch(job).await?;
            while let Some(status) = statuses.next().await? {
                if let Some(failure) = status.failure {
                    return Err(Failure::failed(anyhow::Error::msg(failure.message)));
                }
            }
            ended.push(self.ended(job, submitted_s).await?);
        }
        Ok(ended)
    }

    /// Ends the workers, then the coordinator.
    pub(crate) async fn stop(self) {
        let Self { mut workers, stop, mut coordinator, artifacts, .. } = self;
        workers.shutdown().await;
        // It may be gone already.
        let _ = stop.send(());
        if timeout(CLOSE, &mut coordinator).await.is_err() {
            coordinator.abort();
        }
        if let Err(error) = artifacts.close() {
            tracing::warn!("temporary files stay behind: {error}");
        }
    }

    async fn ended(&self, job: JobId, submitted_s: f64) -> Result<Ended, Failure> {
        let report = self.fetch(job, Artifact::Report).await?;
        let trace = self.fetch(job, Artifact::Trace).await?;
        let stages = report["stages"].as_array().into_iter().flatten();
        let hires = stages.into_iter().find(|stage| stage["stage"] == "hires");
        let times = || {
            let hires = hires?;
            Some(Ended {
                begin_s: submitted_s + hires["begin_s"].as_f64()?,
                wall_s: hires["wall_s"].as_f64()?,
                calls: hires["tasks"].as_u64()?,
                dispatch_p99_ms: hires["dispatch_ms_p99"].as_f64()?,
                events: trace["traceEvents"].as_array()?.clone(),
            })
        };
        times().context("the job's report has no hires pass").map_err(Failure::failed)
    }

    async fn fetch(&self, job: JobId, artifact: Artifact) -> Result<Value, Failure> {
        let mut pieces = self.client.clone().fetch(job, artifact).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await? {
            bytes.extend_from_slice(piece.as_ref());
        }
        serde_json::from_slice(&bytes).map_err(Failure::failed)
    }
}
