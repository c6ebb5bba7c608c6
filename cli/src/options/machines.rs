//! Who computes: `--workers` and `--coordinator` as given in, devices with their model or a cluster out.

mod cuda;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use tessera_proto::{ModelFacts, job::ModelRef};
use tessera_worker::{
    engine::{DeviceSpec, Runtime, device::MAX_THREADS, library::Places},
    exact::Spill,
};

use super::{
    Error,
    model::{self, Model},
    seconds,
};
use crate::{access::Target, args::MachineArgs, default_model, environment::Environment};

/// Most local workers: each is a process, and each keeps its own copy of the model.
const MAX_WORKERS: usize = 256;

/// Local CPU workers of `auto`.
///
/// With two, one computes while the other one's result is blended, and both caches stay warm; more workers only cut
/// the same cores into smaller pieces and load the model once more each.
const AUTO_CPU_WORKERS: usize = 2;

/// Most threads that a CPU device takes.
const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(MAX_THREADS).expect("the limit is not 0");

/// Who computes a job.
#[derive(Debug, Clone)]
pub(crate) enum Machines {
    /// Worker processes that we start, and a coordinator in our own process.
    Local(Local),
    /// A running cluster.
    Cluster {
        /// Its coordinator.
        target: Target,
        /// The job's model.
        model: Model,
        /// How long the job may wait for a first worker.
        patience: Duration,
    },
}

/// Worker processes to start.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    /// One process each; at least one.
    pub(crate) devices: Vec<DeviceSpec>,
    /// The model of all of them.
    pub(crate) model: Model,
    /// The ONNX Runtime library as the user named it.
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Whether attention is fused at load.
    pub(crate) fuse: bool,
    /// How much waiting tiles may keep in a worker's memory.
    pub(crate) spill: Spill,
    /// How long the job may wait for a first worker.
    pub(crate) worker_wait: Duration,
}

/// `--workers`, read but not yet fitted to this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Auto,
    Cpu(usize),
    Devices(Vec<DeviceSpec>),
}

/// Decides who computes, and makes sure that it can. `model`: its name, and the file of an upscaler that it shall have.
///
/// # Errors
/// A flag cannot be read, the model folder does not fit, or ONNX Runtime is missing where a device needs it.
pub(super) fn resolve(
    args: MachineArgs,
    (model, upscaler): (Option<String>, Option<PathBuf>),
    environment: &Environment,
) -> Result<Machines, Error> {
    let patience = seconds("--worker-wait", args.worker_wait)?;
    if let Some(url) = args.coordinator {
        if let Some(path) = upscaler {
            return Err(Error::UpscalerElsewhere { path });
        }
        return Ok(Machines::Cluster {
            target: Target::of(&url, &args.access)?,
            model: model::on_cluster(model)?,
            patience,
        });
    }
    let wanted = Wanted::parse(&args.workers)?;
    if wanted.simulated() && model.is_some() {
        return Err(Error::SimulatedModel);
    }
    let model = local_model(&wanted, (model.as_deref(), upscaler.as_deref()), environment)?;
    let devices = match wanted {
        Wanted::Devices(devices) if is_simulated(&devices) => devices,
        wanted => {
            let runtime = Runtime::load(&Places::of_process(args.onnxruntime.clone()))?;
            wanted.on(environment.cores, || cuda::devices(runtime, environment.cuda_visible.as_deref()))
        }
    };
    Ok(Machines::Local(Local {
        devices,
        model,
        onnxruntime: args.onnxruntime,
        fuse: !args.no_fuse,
        spill: args.spill.into(),
        worker_wait: patience,
    }))
}

/// The devices of `tessera worker --device`.
///
/// # Errors
/// It cannot be read, or ONNX Runtime is missing where its devices are asked for.
pub(crate) fn worker_devices(
    text: &str,
    onnxruntime: Option<PathBuf>,
    environment: &Environment,
) -> Result<Vec<DeviceSpec>, Error> {
    let wanted = match text.parse::<DeviceSpec>() {
        Ok(device) => return Ok(vec![device]),
        // What is wrong with a single device is said of it.
        Err(error) if !text.contains(',') && !text.trim().eq_ignore_ascii_case("auto") => {
            return Err(error.into());
        }
        Err(_) => Wanted::parse(text)?,
    };
    let cards = match wanted {
        Wanted::Auto => {
            let runtime = Runtime::load(&Places::of_process(onnxruntime))?;
            cuda::devices(runtime, environment.cuda_visible.as_deref())
        }
        _ => 0,
    };
    Ok(wanted.on(environment.cores, || cards))
}

/// The model to plan with: the one that `render` would find; its facts are absent where only a cluster knows them.
///
/// # Errors
/// `--workers` cannot be read, or the model's folder does not fit.
pub(super) fn planned_model(
    args: &MachineArgs,
    (model, upscaler): (Option<&str>, Option<&Path>),
    environment: &Environment,
) -> Result<Model, Error> {
    match (&args.coordinator, upscaler) {
        (Some(_), Some(path)) => Err(Error::UpscalerElsewhere { path: path.to_owned() }),
        (Some(_), None) => model::on_cluster(model.map(ToOwned::to_owned)),
        (None, _) => local_model(&Wanted::parse(&args.workers)?, (model, upscaler), environment),
    }
}

/// The folder named, else the simulated model where no device computes, else the demo model.
fn local_model(
    wanted: &Wanted,
    (named, upscaler): (Option<&str>, Option<&Path>),
    environment: &Environment,
) -> Result<Model, Error> {
    match (named, upscaler) {
        (Some(folder), _) => model::in_folder(folder.as_ref(), upscaler),
        (None, Some(_)) if wanted.simulated() => Err(Error::SimulatedUpscaler),
        (None, None) if wanted.simulated() => Ok(model::simulated()),
        (None, _) => model::in_folder(&default_model::find(environment)?, upscaler),
    }
}

/// Whether no device computes; [`Wanted::parse`] allows no mixture.
fn is_simulated(devices: &[DeviceSpec]) -> bool {
    devices.iter().any(|device| matches!(device, DeviceSpec::Simulated { .. }))
}

// === impl Machines ===

impl Machines {
    /// How the job names its model.
    pub(crate) fn model_ref(&self) -> ModelRef {
        self.model().reference.clone()
    }

    /// The model's facts, where we know them.
    pub(crate) fn facts(&self) -> Option<&ModelFacts> {
        self.model().facts.as_ref()
    }

    const fn model(&self) -> &Model {
        match self {
            Self::Local(local) => &local.model,
            Self::Cluster { model, .. } => model,
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// Reads `auto`, a number of CPU workers, or a list of devices.
    fn parse(text: &str) -> Result<Self, Error> {
        let refused = |reason: String| Error::Workers { text: text.to_owned(), reason };
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let too_many = || refused(format!("give 1 to {MAX_WORKERS} workers"));
        if let Ok(count) = text.trim().parse::<usize>() {
            let fits = (1..=MAX_WORKERS).contains(&count);
            return if fits { Ok(Self::Cpu(count)) } else { Err(too_many()) };
        }
        let devices: Vec<_> = text
            .split(',')
            .map(|device| device.trim().parse::<DeviceSpec>().map_err(|error| refused(error.to_string())))
            .collect::<Result<_, _>>()?;
        if MAX_WORKERS < devices.len() {
            return Err(too_many());
        }
        let apart = devices.chunk_by(|one, other| is_simulated(&[*one]) == is_simulated(&[*other]));
        if 1 < apart.count() {
            let reason = "simulated and real devices serve different models, and cannot share a job";
            return Err(refused(reason.to_owned()));
        }
        Ok(Self::Devices(devices))
    }

    fn simulated(&self) -> bool {
        matches!(self, Self::Devices(devices) if is_simulated(devices))
    }

    /// The devices of a machine with `cores`; `cuda` counts the GPUs that the library can use.
    fn on(self, cores: NonZeroUsize, cuda: impl FnOnce() -> u32) -> Vec<DeviceSpec> {
        match self {
            Self::Auto => match cuda() {
                0 => cpu_workers(AUTO_CPU_WORKERS.min(cores.get()), cores),
                cards => (0..cards).map(|card| DeviceSpec::Cuda { card }).collect(),
            },
            Self::Cpu(count) => cpu_workers(count, cores),
            Self::Devices(devices) => devices,
        }
    }
}

/// `count` workers that share the cores, each with at least one thread.
fn cpu_workers(count: usize, cores: NonZeroUsize) -> Vec<DeviceSpec> {
    let threads = NonZeroUsize::new(cores.get() / count.max(1)).unwrap_or(NonZeroUsize::MIN);
    let threads = Some(threads.min(MOST_THREADS));
    vec![DeviceSpec::Cpu { threads }; count]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str, cores: usize, cuda: u32) -> String {
        let cores = NonZeroUsize::new(cores).unwrap();
        let devices = Wanted::parse(text).unwrap().on(cores, || cuda);
        let names: Vec<_> = devices.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    #[test]
    fn workers_share_the_cores() {
        assert_eq!(devices("2", 8, 0), "cpu:4 cpu:4");
        assert_eq!(devices("3", 2, 0), "cpu:1 cpu:1 cpu:1");
        assert_eq!(devices("auto", 8, 0), "cpu:4 cpu:4");
        assert_eq!(devices("auto", 1, 0), "cpu:1");
        assert_eq!(devices("Auto", 8, 2), "cuda:0 cuda:1");
        assert_eq!(devices("cuda:1, cpu:3", 8, 2), "cuda:1 cpu:3");
    }

    #[test]
    fn other_texts_are_refused() {
        let refusal = |text: &str| Wanted::parse(text).unwrap_err().to_string();
        assert_eq!(
            refusal("sim:5,cpu:1"),
            "--workers \"sim:5,cpu:1\": simulated and real devices serve different models, and cannot share a job"
        );
        assert_eq!(refusal("0"), "--workers \"0\": give 1 to 256 workers");
        assert_eq!(refusal("1000"), "--workers \"1000\": give 1 to 256 workers");
        assert!(refusal("gpu:0").starts_with("--workers \"gpu:0\": "), "{}", refusal("gpu:0"));
        assert!(refusal("cpu:1,,cpu:1").starts_with("--workers"), "{}", refusal("cpu:1,,cpu:1"));
    }
}
