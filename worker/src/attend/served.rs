//! A device with a model on it, or with none: options in, what runs tasks out.

use std::sync::Arc;

use tessera_proto::{ModelFacts, Outcome};
use tokio::sync::mpsc;

use crate::{
    Error, Options,
    device::{Device, Gone},
    engine::{self, DeviceSpec, Engine, OnnxEngine, Runtime, Simulated, Vae, device::Pace, library::Places},
    exact::{GraphStages, SimulatedStages, Spill},
    fetch::{Fetched, InUse},
    halt::Halt,
    model::{self, ModelFolder},
    open_model,
    runner::{ModelRunner, NoModel, Texts},
    text::Tokenizer,
};

/// Outcomes that wait for the stream: no more than tasks in hand.
const OUTCOMES: usize = 4;

/// A device, and what it serves.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) device: Device,
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    /// Its model's; `None` = it has none.
    pub(super) facts: Option<ModelFacts>,
    /// Keeps a model that was fetched where it is.
    _in_use: Option<InUse>,
}

// === impl Served ===

impl Served {
    /// Starts the device with the model loaded on it that the options name. To be called where waiting is allowed.
    ///
    /// # Errors
    /// The model or the library is refused.
    pub(super) fn begin(options: &Options) -> Result<Self, Error> {
        if let DeviceSpec::Simulated { pace } = options.device {
            if !options.upscalers.is_empty() {
                return Err(Error::SimulatedUpscaler);
            }
            if options.fetch.is_some() {
                return Err(Error::SimulatedFetch);
            }
            return Self::simulated(pace);
        }
        match (&options.model, &options.fetch) {
            (Some(folder), _) => Self::loaded(options, open_model(folder, &options.upscalers)?, None),
            (None, Some(_)) => {
                // Whether anything can be run at all is known before a model comes.
                OnnxEngine::new(runtime(options)?, engine_options(options))?;
                Ok(Self::nothing()?)
            }
            (None, None) => Err(Error::NoModel { device: options.device }),
        }
    }

    /// Starts the device with no model on it.
    ///
    /// # Errors
    /// The device's loop cannot be started.
    pub(super) fn nothing() -> Result<Self, Gone> {
        let (report, outcomes) = mpsc::channel(OUTCOMES);
        let device = Device::start(|_| Ok::<_, Gone>(NoModel), report)?;
        Ok(Self { device, outcomes, facts: None, _in_use: None })
    }

    /// Starts the device with a model that was fetched.
    ///
    /// # Errors
    /// The model is refused.
    pub(super) fn fetched(options: &Options, Fetched { folder, in_use }: Fetched) -> Result<Self, Error> {
        Self::loaded(options, folder, Some(in_use))
    }

    /// Waits until the device is free for another one, and its memory too.
    pub(super) async fn end(self) {
        let Self { device, mut outcomes, .. } = self;
        drop(device);
        while outcomes.recv().await.is_some() {}
    }

    fn simulated(pace: Pace) -> Result<Self, Error> {
        let (report, outcomes) = mpsc::channel(OUTCOMES);
        let facts = ModelFacts::simulated();
        let (width, scale) = (facts.embedding_width as usize, facts.vae_scale as usize);
        let build = move |_| {
            let engine = Box::new(Simulated::new(pace, width));
            let runner = ModelRunner::new(engine, Texts::Simulated, scale);
            let runner = runner.with_stages(Vae::Decoder, Box::new(SimulatedStages));
            Ok::<_, Error>(runner.with_stages(Vae::Encoder, Box::new(SimulatedStages)))
        };
        Ok(Self { device: Device::start(build, report)?, outcomes, facts: Some(facts), _in_use: None })
    }

    fn loaded(options: &Options, folder: ModelFolder, in_use: Option<InUse>) -> Result<Self, Error> {
        let (report, outcomes) = mpsc::channel(OUTCOMES);
        let (runtime, engine_options) = (runtime(options)?, engine_options(options));
        let (facts, spill) = (Some(folder.facts().clone()), options.spill.clone());
        let build = move |halt| load(&folder, (runtime, engine_options, halt), &spill);
        Ok(Self { device: Device::start(build, report)?, outcomes, facts, _in_use: in_use })
    }
}

fn runtime(options: &Options) -> Result<Runtime, Error> {
    Ok(Runtime::load(&Places::of_process(options.onnxruntime.clone())).map_err(engine::Error::from)?)
}

fn engine_options(options: &Options) -> engine::Options {
    engine::Options { device: options.device, fuse: options.fuse }
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
