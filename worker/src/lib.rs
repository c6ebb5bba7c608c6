//! Tessera's worker: runs the networks of one model folder on one device, one task after another.
//!
//! # Layout
//! - [`model`]: what lies in a model folder; [`text`]: prompts to tokens.
//! - [`graph`]: ONNX graphs, read with bounds and rewritten (pure); [`engine`]: what runs them.
//! - [`task`]: what a worker can be asked for; [`device`]: the loop that does it.
//! - [`halt`]: how a task that runs is stopped.
//! - `access`: how we show who we are. `link`: the stream to the coordinator; `heartbeat`: its signs of life.

mod access;
pub mod device;
pub mod engine;
pub mod exact;
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
    sync::Arc,
    time::Duration,
};

use tessera_proto::{Hello, ModelFacts, Outcome};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tonic::transport::{Channel, Endpoint};

use device::{Device, Gone, Order};
use engine::{DeviceSpec, Engine, OnnxEngine, Runtime, Simulated, Vae, library::Places};
use exact::{GraphStages, SimulatedStages, Spill};
use halt::Halt;
use link::Link;
use model::{HashCache, ModelFolder};
use runner::{ModelRunner, Texts};
use text::Tokenizer;

pub use access::{Access, default_folder as identity_folder, distrust, token_file};
pub use link::Error as LinkError;

/// Outcomes that wait for the stream: no more than tasks in hand.
const OUTCOMES: usize = 4;

/// Longest pause between two attempts to reach the coordinator: one that was started again has work for all at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
    /// The model folder; simulated devices need none.
    pub model: Option<PathBuf>,
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
    let (report, mut outcomes) = mpsc::channel(OUTCOMES);
    let settings = options.clone();
    // Hashing and loading a model takes seconds.
    let started = tokio::task::spawn_blocking(move || start(&settings, report));
    tokio::pin!(shutdown);
    let (device, facts) = tokio::select! {
        started = started => started.map_err(|_| Error::Start)??,
        () = &mut shutdown => return Ok(()),
    };
    let hello = Hello { name: options.name.clone(), device: options.device.to_string(), model: facts };
    let mut waiting_since = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        let attempt = Link::open(&options.coordinator, &connect, hello.clone());
        let opened = tokio::select! {
            opened = attempt => opened,
            () = &mut shutdown => return Ok(()),
        };
        let ended = match opened {
            Ok(mut link) => {
                let ended = tokio::select! {
                    ended = link.serve(&device, &mut outcomes) => ended,
                    () = &mut shutdown => return Ok(link.leave(&device, &mut outcomes).await?),
                };
                if matches!(ended, Err(LinkError::Drained)) {
                    tracing::info!("drained: the task in hand is finished, then this worker ends");
                    return Ok(link.leave(&device, &mut outcomes).await?);
                }
                tokio::select! {
                    cleared = clear(&device, &mut outcomes) => cleared?,
                    () = &mut shutdown => return Ok(()),
                }
                (waiting_since, pause) = (Instant::now(), Duration::from_millis(100));
                ended
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) if options.patience.is_zero() => return Ok(()),
            Err(error) if !error.is_passing() || options.patience <= waiting_since.elapsed() => {
                return Err(error.into());
            }
            Ok(()) => tracing::info!("the coordinator hung up, looking for it again"),
            Err(error) => tracing::warn!(%error, "no stream, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = &mut shutdown => return Ok(()),
        }
    }
}

/// Waits until nothing of an ended stream is left on the device.
///
/// Leases are numbers that a restarted coordinator gives out again: an outcome of the old one must never reach the new.
async fn clear(device: &Device, outcomes: &mut mpsc::Receiver<Outcome>) -> Result<(), Gone> {
    let (done, mut cleared) = oneshot::channel();
    device.tell(Order::Reset { done })?;
    loop {
        tokio::select! {
            cleared = &mut cleared => break cleared.map_err(|_| Gone)?,
            outcome = outcomes.recv() => drop(outcome.ok_or(Gone)?),
        }
    }
    while outcomes.try_recv().is_ok() {}
    Ok(())
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

/// Starts the device with the model loaded on it.
fn start(options: &Options, report: mpsc::Sender<Outcome>) -> Result<(Device, ModelFacts), Error> {
    if let DeviceSpec::Simulated { pace } = options.device {
        if !options.upscalers.is_empty() {
            return Err(Error::SimulatedUpscaler);
        }
        let facts = ModelFacts::simulated();
        let (width, scale) = (facts.embedding_width as usize, facts.vae_scale as usize);
        let build = move |_| {
            let engine = Box::new(Simulated::new(pace, width));
            let runner = ModelRunner::new(engine, Texts::Simulated, scale);
            let runner = runner.with_stages(Vae::Decoder, Box::new(SimulatedStages));
            Ok::<_, Error>(runner.with_stages(Vae::Encoder, Box::new(SimulatedStages)))
        };
        return Ok((Device::start(build, report)?, facts));
    }
    let folder = options.model.as_ref().ok_or(Error::NoModel { device: options.device })?;
    let folder = open_model(folder, &options.upscalers)?;
    let runtime =
        Runtime::load(&Places::of_process(options.onnxruntime.clone())).map_err(engine::Error::from)?;
    let engine_options = engine::Options { device: options.device, fuse: options.fuse };
    let facts = folder.facts().clone();
    let spill = options.spill.clone();
    let build = move |halt| load(&folder, (runtime, engine_options, halt), &spill);
    Ok((Device::start(build, report)?, facts))
}

/// Loads and checks every network of a folder: a damaged one is refused now, not in the middle of a job.
fn load(
    folder: &ModelFolder,
    (runtime, options, halt): (Runtime, engine::Options, Halt),
    spill: &Spill,
) -> Result<ModelRunner, Error> {
    let tokenizer = Tokenizer::open(folder.tokenizer(), folder.vocab_size())?;
    let mut engine = OnnxEngine::new(runtime, options)?.with_halt(halt);
    for (network, file) in folder.graphs() {
        engine.add(network.clone(), file);
        let fused = engine.load(network)?;
        model::check::graph(file, network, engine.facts(network)?, folder.facts())?;
        tracing::info!(%network, attention = ?fused, "network loaded");
    }
    let staged = |of: Vae| Some((of, folder.stages(of)?));
    let staged: Vec<_> = [Vae::Decoder, Vae::Encoder].into_iter().filter_map(staged).collect();
    for &(of, (stages, file)) in &staged {
        engine.add_stages(of, Arc::clone(stages), file);
        // It is sound; unless a job asks for whole runs, its stages are run and its weights would lie here twice.
        engine.unload(&of.network());
    }
    let scale = folder.facts().vae_scale as usize;
    let runner = ModelRunner::new(Box::new(engine), Texts::Model(Box::new(tokenizer)), scale);
    Ok(staged.into_iter().fold(runner, |runner, (of, (stages, _))| {
        runner.with_stages(of, Box::new(GraphStages::new(of, Arc::clone(stages), spill.clone())))
    }))
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
