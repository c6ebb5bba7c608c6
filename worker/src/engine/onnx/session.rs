//! One loaded network: a graph file in, a session that runs it out.
//!
//! Why these options:
//! - **No arena, no memory pattern.** The arena keeps the peak of every size it has seen and splits it badly for the
//!   next, and patterns are kept per input shape: with tiles of varying shapes both only grow. Without them memory
//!   returns to the system after a call. Measured on the demo model: 4 % more processor time; 105 instead of 140 MB
//!   kept after one large tile.
//! - **One inter-op thread, sequential.** These graphs are chains.
//! - **No spinning.** Threads that wait for work by spinning take the cores of the other workers and of the coordinator
//!   on the same machine.
//! - **Deterministic kernels**, where the device has a choice: two workers must round alike.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use half::{f16, slice::HalfFloatSliceExt};
use ort::{
    session::{
        OutputSelector, RunOptions, Session as OrtSession,
        builder::{AutoDevicePolicy, SessionBuilder},
    },
    value::{DynValue, TensorElementType},
};
use tessera_proto::Tensor;

use super::{
    super::{DeviceSpec, Error, Named, Network, Runtime, error::one_line},
    Options, input,
    provider::{self, Provider},
};
use crate::{
    graph::{
        GraphFacts, Model,
        attention::{self, Fused},
        limits,
    },
    halt::Halt,
};

/// The session option that says where a graph given in memory finds its weights.
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// A network in memory, ready to run.
pub(super) struct Session {
    network: Network,
    session: OrtSession,
    facts: GraphFacts,
    fused: Fused,
}

/// A graph and where it comes from.
pub(super) struct Origin<'p> {
    pub(super) model: Model,
    /// The file that it was made from, whose weights it may name.
    pub(super) file: &'p Path,
    /// Whether it is what the file holds.
    pub(super) is_file: bool,
}

// === impl Origin ===

impl<'p> Origin<'p> {
    /// Reads and checks a graph file.
    pub(super) fn read(file: &'p Path) -> Result<Self, Error> {
        let model = read(file)?;
        check_weights(&model, file.parent().unwrap_or(Path::new(".")))?;
        Ok(Self { model, file, is_file: true })
    }

    /// The same computing in fp32, unless it does anyway.
    pub(super) fn widened(self) -> Option<Self> {
        self.model.is_half().then(|| Self { model: self.model.widened(), is_file: false, ..self })
    }
}

// === impl Session ===

impl Session {
    /// Perhaps rewrites, and loads a graph.
    pub(super) fn build(
        runtime: &Runtime,
        options: Options,
        network: &Network,
        Origin { mut model, file: path, is_file }: Origin<'_>,
    ) -> Result<Self, Error> {
        let provider = provider::of(runtime, options.device)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let facts = model.facts();
        let mut fused = Fused::default();
        if options.fuse && provider.has_attention {
            fused = attention::fuse(&mut model);
        }
        let mut builder = configure(runtime, options.device, &provider)?;
        let refused = |error: ort::Error| refusal(options.device, path, &error);
        let session = if is_file && fused.fused == 0 {
            drop(model);
            builder.commit_from_file(path).map_err(refused)?
        } else {
            let has_weights_beside = !model.external_files().is_empty();
            let bytes = model.encode();
            drop(model);
            if has_weights_beside {
                let folder = std::path::absolute(folder)
                    .map_err(|source| Error::Read { path: path.to_owned(), source })?;
                builder = builder
                    .with_config_entry(WEIGHTS_FOLDER, folder.to_string_lossy())
                    .map_err(|error| refused(error.into()))?;
            }
            builder.commit_from_memory(&bytes).map_err(refused)?
        };
        tracing::debug!(%network, fused = fused.fused, left = fused.left, path = %path.display(), "network loaded");
        Ok(Self { network: network.clone(), session, facts, fused })
    }

    /// Inputs and outputs.
    pub(super) fn facts(&self) -> &GraphFacts {
        &self.facts
    }

    /// What was rewritten.
    pub(super) fn fused(&self) -> Fused {
        self.fused
    }

    /// Runs the network once, or until its task is stopped.
    pub(super) fn run(
        &mut self,
        inputs: &[Named<'_>],
        outputs: &[&str],
        halt: &Halt,
    ) -> Result<Vec<Tensor>, Error> {
        let network = &self.network;
        let failed = |error: ort::Error| Error::of_run(network, || input::describe(inputs), error.message());
        if let Some(&absent) = outputs.iter().find(|name| self.facts.output(name).is_none()) {
            return Err(Error::Failed {
                network: network.clone(),
                reason: format!("the graph has no output {absent:?}"),
            });
        }
        let converted = input::convert(network, &self.facts, inputs)?;
        let (plain, choosy);
        // Only options that choose no outputs may be reached from another thread. Those that do are a text encoder's, whose
        // calls are short.
        let results = if outputs.len() == self.facts.outputs.len() {
            plain = Arc::new(RunOptions::new().map_err(failed)?);
            let end = Arc::clone(&plain);
            let _call = halt.call(move || {
                if let Err(error) = end.terminate() {
                    tracing::warn!(%error, "a network call cannot be ended");
                }
            });
            self.session.run_with_options(converted, &*plain).map_err(failed)?
        } else {
            let selector =
                outputs.iter().fold(OutputSelector::no_default(), |selector, &name| selector.with(name));
            choosy = RunOptions::new().map_err(failed)?.with_outputs(selector);
            self.session.run_with_options(converted, &choosy).map_err(failed)?
        };
        let take = |name: &&str| {
            let reason = || format!("output {name:?} did not come back");
            let value = results.get(name).ok_or_else(reason);
            value.and_then(values).map_err(|reason| Error::Failed { network: network.clone(), reason })
        };
        outputs.iter().map(take).collect()
    }
}

/// A graph file, its size checked before it is read.
fn read(path: &Path) -> Result<Model, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let damaged = |source| Error::Graph { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    limits::check_length(length).map_err(damaged)?;
    let file = fs::read(path).map_err(unreadable)?;
    Model::parse(Bytes::from(file)).map_err(damaged)
}

/// Whether every file of weights is there, before ONNX Runtime says it in its own words.
fn check_weights(model: &Model, folder: &Path) -> Result<(), Error> {
    for name in model.external_files() {
        let path: PathBuf = folder.join(name);
        fs::metadata(&path).map_err(|source| Error::Read { path, source })?;
    }
    Ok(())
}

fn configure(runtime: &Runtime, device: DeviceSpec, provider: &Provider) -> Result<SessionBuilder, Error> {
    let unusable = |error: ort::Error| Error::Device { device, reason: one_line(error.message()) };
    let build = || -> Result<SessionBuilder, ort::Error> {
        let builder = OrtSession::builder(runtime.environment())?
            // Nothing but what is registered below: ONNX Runtime may choose devices by itself.
            .with_auto_device(AutoDevicePolicy::PreferCPU)?
            .with_execution_providers(&provider.chain)?
            .with_memory_pattern(false)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_deterministic_compute(true)?;
        Ok(builder.with_intra_threads(threads(device))?)
    };
    build().map_err(unusable)
}

fn threads(device: DeviceSpec) -> usize {
    match device {
        DeviceSpec::Cpu { threads: Some(threads) } => threads.get(),
        DeviceSpec::Cpu { threads: None } => thread::available_parallelism().map_or(1, |cores| cores.get()),
        // Only shapes are computed on the processor then.
        _ => 1,
    }
}

/// Tells a device that does not start from a graph that is not taken.
fn refusal(device: DeviceSpec, path: &Path, error: &ort::Error) -> Error {
    let reason = one_line(error.message());
    let of_device =
        error.code() == ort::ErrorCode::ExecutionProviderFailure || reason.contains("CUDA failure");
    if of_device { Error::Device { device, reason } } else { Error::of_load(path, reason) }
}

/// A result as f32.
fn values(value: &DynValue) -> Result<Tensor, String> {
    let text = |error: ort::Error| one_line(error.message());
    let kind = value.dtype().tensor_type();
    let (shape, data) = match kind {
        Some(TensorElementType::Float32) => {
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(text)?;
            (shape, values.to_vec())
        }
        Some(TensorElementType::Float16) => {
            let (shape, values) = value.try_extract_tensor::<f16>().map_err(text)?;
            let mut data = vec![0.0; values.len()];
            values.convert_to_f32_slice(&mut data);
            (shape, data)
        }
        _ => {
            return Err(format!("a result is no tensor of f32 or f16 but {}", value.dtype()));
        }
    };
    let shape: Result<Vec<usize>, _> = shape.iter().map(|&length| usize::try_from(length)).collect();
    let shape = shape.map_err(|_| "a result has a negative length".to_owned())?;
    Tensor::new(shape, data).map_err(|error| error.to_string())
}
