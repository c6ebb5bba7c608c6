//! Tessera's coordinator: plans jobs, steps their latents, blends their tiles, places their tasks on workers.
//!
//! # Layout
//! Pure (no I/O, no async, no clock, no global):
//! - [`prompt`]: A1111's prompt grammar; [`sample`]: schedules, solvers, noise; [`canvas`]: tiles, cells, blending;
//!   [`picture`]: pixels, image files, metadata; [`latent`]: latent files.
//! - [`render`]: one job as a state machine, and its plan.
//! - [`fleet`]: workers, leases, placement, retries.
//! - [`forecast`]: how long a plan takes on devices of known speed.
//!
//! Around them:
//! - `actor`: the one owner of state; introduces the tasks of `render` to the workers of `fleet`.
//! - `store`: files of finished jobs, models that workers fetch. [`security`]: who may use us. `rpc`: the services.
//!   [`report`]: what a job cost.
//! - `metrics`: what happens, counted, and the pages that show it.
//! - `clock`, `threads`: the time, and where long work runs. Both follow the runtime, so that a simulated network can
//!   carry the whole of it: see [`serve_over`].
//!
//! **Invariant: `fleet` never sees pixels, `render` never sees workers.**

mod actor;
pub mod canvas;
mod clock;
pub mod fleet;
pub mod forecast;
pub mod latent;
mod metrics;
pub mod picture;
pub mod prompt;
pub mod render;
pub mod report;
mod rpc;
pub mod sample;
pub mod security;
mod store;
mod threads;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tessera_proto::{
    limits,
    wire::{
        self, externalscaler::external_scaler_server::ExternalScalerServer, fleet_server::FleetServer,
        jobs_server::JobsServer, models_server::ModelsServer,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_stream::Stream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig, server::Connected};
use url::Url;

use actor::{Handle, Past};
use metrics::{Meters, Spans};
use rpc::{FleetService, JobsService, ModelsService, ScalerService, keep_current};
use security::{Authority, Door, Registry, Security};
use store::{Archive, ArchiveError, Artifacts, Database, Jobs, Models, Shelf};

/// How long the two sides of a connection may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a call may take to say all that it has to, and to be answered or begin to be: a picture of
/// [`limits::IMAGE_FILE`] over 4 Mbit/s.
const REQUEST: Duration = Duration::from_secs(200);

/// Calls of one connection at a time.
const STREAMS: u32 = 1024;

/// How a coordinator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a worker shows that it lives.
    pub heartbeat: Duration,
    /// A worker silent for so long is lost; several heartbeats, so that a lost packet is not a lost worker.
    pub silence: Duration,
    /// A worker that holds one task for so long is lost. The largest tile on the slowest device must fit.
    pub task_timeout: Duration,
    /// A job waits so long for a first worker.
    pub worker_wait: Duration,
    /// Jobs of one user that run at a time; `None` = any number. Others wait.
    pub user_jobs: Option<usize>,
    /// Jobs of one user that wait or run at a time; more are refused.
    pub queue: usize,
    /// Where files of finished jobs go; `None` = a temporary folder, removed at the end.
    pub artifacts: Option<Place>,
    /// What outlives the coordinator; `None` = nothing but finished files.
    pub durable: Option<Durable>,
    /// How often it is stored how far a job is, beside the ends of its stages.
    pub checkpoint: Duration,
    /// Folder of the authority that vouches for us and our workers; callers need TLS and a credential then. `None` =
    /// everybody who reaches us may everything.
    pub tls: Option<PathBuf>,
    /// URL of a collector that is told what tasks and jobs have ended: OpenTelemetry's protocol (OTLP) over gRPC.
    pub collector: Option<String>,
}

/// Where jobs are kept that outlive their coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// The table of jobs: `sqlite:FILE`, made if absent, or `postgres://…`.
    pub database: String,
    /// Where that lies which open jobs need to go on.
    pub place: Place,
    /// Whether other coordinators work on the same table, with the same places: each job is one's at a time, and is taken
    /// over by another when its owner has not shown itself for so long. `None` = table and places are ours alone.
    pub lease: Option<Duration>,
}

/// Where files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder of this machine, or one that it shares.
    Folder(PathBuf),
    /// In a bucket: `s3://BUCKET/PREFIX`, `gs://…` or `az://…`.
    Bucket(Url),
}

/// Why a coordinator stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The artifacts' folder cannot be used.
    #[error("the place for finished files cannot be used: {0}")]
    Artifacts(io::Error),
    /// The job store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no certificates.
    #[error(transparent)]
    Authority(#[from] security::AuthorityError),
    /// The tokens are kept in the job store, and there is none.
    #[error("callers can be told apart only with a job store")]
    NoStore,
    /// No collector can be at this URL.
    #[error("the collector {url:?} cannot be told anything: {error}")]
    Collector {
        /// The URL.
        url: String,
        /// What is wrong with it.
        error: opentelemetry_otlp::ExporterBuildError,
    },
    /// Reflection cannot be set up.
    #[error("the reflection service cannot be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] tonic::transport::Error),
}

/// Why the job store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    message: String,
}

// === impl Options ===

impl Default for Options {
    /// Two seconds of heartbeat, ten of silence; ten minutes for a task; a minute for a first worker.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            silence: Duration::from_secs(10),
            task_timeout: Duration::from_secs(600),
            worker_wait: Duration::from_secs(60),
            user_jobs: None,
            queue: 10_000,
            artifacts: None,
            durable: None,
            checkpoint: Duration::from_secs(5),
            tls: None,
            collector: None,
        }
    }
}

/// Serves on `listener` until `shutdown` is done.
///
/// # Errors
/// The folder for finished files cannot be used, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    open(options).await?.serve(listener, shutdown).await
}

/// Serves on `connections`, whatever they run over, until `shutdown` is done.
///
/// On a runtime of one thread nothing runs on another, and all times are those of the runtime's timers.
///
/// # Errors
/// The folder for finished files cannot be used, or no more connections come.
pub async fn serve_over<C>(
    connections: impl Stream<Item = io::Result<C>>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected<ConnectInfo: Clone + Send + Sync> + Unpin + Send + 'static,
{
    open(options).await?.serve_over(connections, shutdown).await
}

/// A coordinator that has what earlier ones left, and does not serve yet.
#[derive(Debug)]
pub struct Opened {
    options: Options,
    artifacts: Artifacts,
    past: Option<Past>,
    security: Option<Arc<Security>>,
    observers: Option<TcpListener>,
    spans: Spans,
}

/// Opens folders and job store: what cannot be used is known before anybody is told where to connect.
///
/// # Errors
/// The place for finished files or the job store cannot be used.
pub async fn open(options: Options) -> Result<Opened, Error> {
    let artifacts = Artifacts::open(options.artifacts.as_ref()).map_err(Error::Artifacts)?;
    // A silence shorter than a heartbeat would lose every idle worker: several heartbeats must fit, one may get lost.
    let options = Options { heartbeat: options.heartbeat.min(options.silence / 4), ..options };
    let past = match &options.durable {
        Some(durable) => Some(past(durable, &artifacts).await.map_err(|message| StoreError { message })?),
        None => None,
    };
    let security = match (&options.tls, &options.durable) {
        (None, _) => None,
        (Some(_), None) => return Err(Error::NoStore),
        (Some(folder), Some(durable)) => {
            let authority = Authority::open(folder)?;
            let registry = Registry::open(&durable.database).await;
            let registry = registry.map_err(|error| StoreError { message: error.to_string() })?;
            Some(Arc::new(Security { authority, registry }))
        }
    };
    let spans = match &options.collector {
        Some(url) => Spans::to(url).map_err(|error| Error::Collector { url: url.clone(), error })?,
        None => Spans::default(),
    };
    Ok(Opened { options, artifacts, past, security, observers: None, spans })
}

// === impl Opened ===

impl Opened {
    /// Serves `/metrics` for Prometheus and `/healthz` on this listener too, over plain HTTP and to all who ask.
    #[must_use]
    pub fn observed(self, listener: TcpListener) -> Self {
        Self { observers: Some(listener), ..self }
    }

    /// Serves on `listener` until `shutdown` is done.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        self.serve_over(security::accepted(listener), shutdown).await
    }

    async fn serve_over<C>(
        self,
        connections: impl Stream<Item = io::Result<C>>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), Error>
    where
        C: AsyncRead + AsyncWrite + Connected<ConnectInfo: Clone + Send + Sync> + Unpin + Send + 'static,
    {
        let Self { options, artifacts, past, security, observers, spans } = self;
        let meters = Meters::default().told(spans);
        let (artifacts, shared) = (Arc::new(artifacts), is_shared(&options));
        let models = Models::new(Arc::clone(&artifacts));
        let table = past.as_ref().filter(|_| shared).map(|past| past.archive.table());
        let actor = Handle::start(options, artifacts, past, meters.clone());
        // They end with us.
        let (mut pages, mut current) = (JoinSet::new(), JoinSet::new());
        current.spawn(keep_current(models.clone(), actor.clone(), shared));
        if let Some(listener) = observers {
            pages.spawn(metrics::serve(listener, actor.clone(), meters.clone()));
        }
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<JobsServer<JobsService>>().await;
        health.set_serving::<FleetServer<FleetService>>().await;
        health.set_serving::<ExternalScalerServer<ScalerService>>().await;
        health.set_serving::<ModelsServer<ModelsService>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let jobs = JobsServer::new(JobsService::new(actor.clone(), table))
            .max_decoding_message_size(limits::JOBS_MESSAGE)
            .max_encoding_message_size(limits::JOBS_MESSAGE);
        let models = ModelsServer::new(ModelsService::new(models, actor.clone()))
            .max_decoding_message_size(limits::MODELS_MESSAGE)
            .max_encoding_message_size(limits::MODELS_MESSAGE);
        let stopped = actor.clone();
        let scaler = ExternalScalerServer::new(ScalerService::new(actor.clone()))
            .max_decoding_message_size(limits::SCALER_MESSAGE);
        let fleet = FleetServer::new(FleetService::new(actor, security.clone()))
            .max_decoding_message_size(limits::FLEET_MESSAGE)
            .max_encoding_message_size(limits::FLEET_MESSAGE);
        let door = Door::new(security.as_ref().map(|security| security.registry.clone()));
        let mut server = Server::builder();
        if let Some(security) = &security {
            server = server.tls_config(tls(&security.authority))?;
        }
        server
            .layer(door)
            .timeout(REQUEST)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .max_frame_size(limits::FRAME)
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(jobs)
            .add_service(fleet)
            .add_service(models)
            .add_service(scaler)
            .serve_with_incoming_shutdown(connections, async move {
                shutdown.await;
                // The listener waits for its streams, and those of workers and watchers end only with us.
                stopped.stop().await;
                meters.farewell().await;
            })
            .await?;
        Ok(())
    }
}

/// Whether other coordinators change what lies in our places.
fn is_shared(options: &Options) -> bool {
    options.durable.as_ref().is_some_and(|durable| durable.lease.is_some())
}

/// TLS with a certificate of the cluster's authority; callers may show one of it too.
fn tls(authority: &Authority) -> ServerTlsConfig {
    let (certificate, key) = authority.server();
    ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.ca()))
        .client_auth_optional(true)
        .timeout(HANDSHAKE)
}

/// What earlier coordinators have left; ours alone from now on.
async fn past(durable: &Durable, artifacts: &Artifacts) -> Result<Past, String> {
    let open = async || -> Result<Past, ArchiveError> {
        let shelf = Shelf::open(&durable.place)?;
        let mut archive =
            Archive::new(Jobs::new(Database::open(&durable.database).await?), shelf, durable.lease);
        let open = archive.claim().await?;
        if durable.lease.is_none() {
            artifacts.sweep()?;
            archive.sweep().await?;
        }
        let ended = archive.ended(actor::REMEMBERED).await?;
        Ok(Past { archive, ended, open })
    };
    open().await.map_err(|error| error.to_string())
}
