//! Tessera's worker: runs the networks of one model folder at a time on one device, one task after another.
//!
//! # Layout
//! - [`model`]: what lies in a model folder; [`text`]: prompts to tokens.
//! - [`graph`]: ONNX graphs, read with bounds and rewritten (pure); [`engine`]: what runs them.
//! - [`task`]: what a worker can be asked for; [`device`]: the loop that does it.
//! - [`halt`]: how a task that runs is stopped.
//! - `attend`: a worker's life, from one model to the next; `fetch`: models from the coordinator, in a cache.
//! - `access`: how we show who we are. `link`: the stream to the coordinator; `heartbeat`: its signs of life.

mod access;
mod attend;
pub mod device;
pub mod engine;
pub mod exact;
mod fetch;
pub mod graph;
pub mod halt;
mod heartbeat;
mod link;
pub mod model;
mod runner;
pub mod task;
pub mod text;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use tessera_proto::Manifest;
use tonic::transport::{Channel, Endpoint};

use device::Gone;
use engine::{DeviceSpec, library::Places};
use exact::Spill;
use model::{HashCache, ModelFolder};

pub use access::{Access, default_folder as identity_folder, distrust, token_file};
pub use fetch::Fetch;
pub use link::Error as LinkError;

/// What a worker is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the coordinator listens: `http://host:port`.
    pub coordinator: String,
    /// How to be admitted there; `None` = nothing is asked.
    pub access: Option<Access>,
    /// The worker's name for people.
    pub name: String,
    /// What to run on.
    pub device: DeviceSpec,
    /// The model folder; simulated devices need none, nor do workers that fetch models.
    pub model: Option<PathBuf>,
    /// Whether whatever model the cluster's jobs need is served, and where it is put; `None` = one model, from here.
    pub fetch: Option<Fetch>,
    /// Files of upscaling networks that the model shall have besides its own.
    pub upscalers: Vec<PathBuf>,
    /// The ONNX Runtime library, where it is not found by itself.
    pub onnxruntime: Option<PathBuf>,
    /// Whether exported attention is replaced by one operator.
    pub fuse: bool,
    /// How much the waiting tiles of an exact decode or encode may keep in memory.
    pub spill: Spill,
    /// How long to look for a coordinator that does not answer, at the start and after a break; zero = end with the
    /// stream.
    pub patience: Duration,
}

/// Why a worker ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device that runs models was given none.
    #[error("device {device} needs a model: name its folder with --model")]
    NoModel {
        /// The device.
        device: DeviceSpec,
    },
    /// A device that runs no files was given one.
    #[error("simulated devices run no files: leave --upscaler out")]
    SimulatedUpscaler,
    /// The same, of models.
    #[error("simulated devices run no files: leave --fetch-models out")]
    SimulatedFetch,
    /// The model folder is refused.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The tokenizer is refused.
    #[error(transparent)]
    Text(#[from] text::Error),
    /// The engine cannot run the model.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The coordinator cannot be reached, or refuses us.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The device's loop panicked.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// A thread of ours panicked.
    #[error("starting the device ended unexpectedly")]
    Start,
}

// === impl Error ===

impl Error {
    /// Whether the user can mend it by another command line, model or installation.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoModel { .. }
                | Self::SimulatedUpscaler
                | Self::SimulatedFetch
                | Self::Model(_)
                | Self::Text(_)
                | Self::Engine(_)
                | Self::Link(LinkError::Url { .. })
        )
    }
}

/// Loads the model and attends to the coordinator until `shutdown` is done or the coordinator stays away for longer than
/// the options' patience.
///
/// # Errors
/// The model or the library is refused, or the coordinator cannot be reached.
pub async fn run(options: Options, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let access = options.access.clone();
    let connect = move |endpoint: Endpoint| {
        let access = access.clone();
        async move {
            match access {
                Some(access) => access.connect(endpoint).await,
                None => endpoint
                    .connect()
                    .await
                    .map_err(|error| access::unreachable(&endpoint.uri().to_string(), &error)),
            }
        }
    };
    run_over(options, connect, shutdown).await
}

/// The same over any network: `connect` opens the channels to the coordinator.
///
/// On a runtime of one thread nothing runs on another, and all times are those of the runtime's timers.
///
/// # Errors
/// The model or the library is refused, or the coordinator cannot be reached.
pub async fn run_over<C, F>(
    options: Options,
    connect: C,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error>
where
    C: Fn(Endpoint) -> F + Send + Sync,
    F: Future<Output = Result<Channel, LinkError>> + Send,
{
    attend::run(options, connect, shutdown).await
}

/// `$TESSERA_HOME`, or `~/.local/share/tessera`: where downloads and caches lie.
#[must_use]
pub fn home() -> Option<PathBuf> {
    Places::of_process(None).home
}

/// Opens a model folder, with content hashes remembered in [`home`]. `upscalers` are files of networks that it shall have
/// besides its own.
///
/// # Errors
/// The folder or a file is refused.
pub fn open_model(folder: &Path, upscalers: &[PathBuf]) -> Result<ModelFolder, model::Error> {
    let hashes = home().map_or_else(HashCache::unsaved, |home| HashCache::in_folder(&home));
    ModelFolder::open(folder, upscalers, &hashes)
}

/// Lists the files of a model folder that is to be sent to a cluster, and checks it as if it came from a stranger. It is
/// called `name`, or as its folder.
///
/// # Errors
/// The folder or a file is refused.
pub fn parcel(folder: &Path, name: Option<&str>) -> Result<(ModelFolder, Manifest), model::Error> {
    let hashes = home().map_or_else(HashCache::unsaved, |home| HashCache::in_folder(&home));
    model::parcel(folder, name, &hashes)
}

/// A name for people: `host/process`.
#[must_use]
pub fn default_name() -> String {
    format!("{}/{}", host_name().as_deref().unwrap_or("worker"), std::process::id())
}

/// What this host is called, if it says so.
#[must_use]
pub fn host_name() -> Option<String> {
    let said = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    let variable = env::var("HOSTNAME").ok().and_then(said);
    variable.or_else(|| std::fs::read_to_string("/etc/hostname").ok().and_then(said))
}
