//! `tessera plan`: its flags in, a job to plan and where what is known of its devices comes from out.

use std::time::Duration;

use tessera_coordinator::{
    forecast::{self, Device, Open},
    render::{Given, Plan},
};
use tessera_proto::{JobSpec, ModelFacts, WorkerStatus};

use super::{Described, Error, described, format, machines, model::called, named_files};
use crate::{
    access::Target,
    args::{PlanArgs, RenderArgs},
    environment::Environment,
};

/// Longest time of a device, ms: ten minutes, after which a worker is taken for lost.
const MAX_MS: f64 = 600_000.0;

/// Most devices of a forecast.
const MAX_DEVICES: usize = 256;

/// What `tessera plan` shall do.
#[derive(Debug)]
pub(crate) struct Planning {
    spec: JobSpec,
    given: Given,
    /// What the user has left open.
    pub(crate) open: Open,
    /// The model's facts, where its folder is here.
    facts: Option<ModelFacts>,
    /// The cluster to ask.
    pub(crate) cluster: Option<Target>,
    /// What each device takes for a tile, where the user says so.
    times: Vec<Duration>,
}

/// A plan, and the devices that would run it.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The plan.
    pub(crate) plan: Plan,
    /// What it starts from.
    pub(crate) given: Given,
    /// The devices, as far as they are known.
    pub(crate) devices: Vec<Device>,
}

/// Reads the flags of `tessera plan`; who would draw the picture matters for the time alone. Where it would go is looked
/// at as `render` does, so that what is refused there is refused here.
///
/// # Errors
/// The job is out of bounds, its model or a device cannot be read, or a file that is named cannot be written.
pub(crate) fn plan(args: PlanArgs, environment: &Environment) -> Result<Planning, Error> {
    let times = args.devices.iter().map(|&ms| time(ms)).collect::<Result<Vec<_>, _>>()?;
    if MAX_DEVICES < times.len() {
        return Err(Error::Devices { count: times.len(), max: MAX_DEVICES });
    }
    let RenderArgs { job, machines, output } = args.render;
    let cluster = machines.coordinator.as_deref().map(|url| Target::of(url, &machines.access)).transpose()?;
    let Described { mut draft, image, upscaler, .. } = described(&job)?;
    draft.format = format::of_file(output.output.as_deref(), &output.format)?;
    let files = named_files(output);
    if files.is_named() {
        files.resolve("tessera", draft.format, &environment.current)?;
    }
    let model = (job.picture.model.as_deref(), upscaler.as_deref());
    let model = machines::planned_model(&machines, model, environment)?;
    draft.model = model.reference;
    let open = Open { tile: job.tiles.tile.is_none(), batch: job.tiles.tile_batch.is_none() };
    let spec = JobSpec::new(draft)?;
    Ok(Planning { spec, given: image.into(), open, facts: model.facts, cluster, times })
}

// === impl Planning ===

impl Planning {
    /// Plans on this machine; of devices is known what the user says.
    ///
    /// # Errors
    /// The model cannot do the job.
    pub(crate) fn here(self) -> Result<Planned, Error> {
        self.on(&[])
    }

    /// Plans with what a cluster knows: the model's facts, and what its devices take.
    ///
    /// # Errors
    /// No worker serves the model, or the model cannot do the job.
    pub(crate) fn on(self, workers: &[WorkerStatus]) -> Result<Planned, Error> {
        let mut serving: Vec<(&WorkerStatus, &ModelFacts)> = workers
            .iter()
            .filter_map(|worker| Some((worker, worker.model.as_ref()?)))
            .filter(|(_, model)| self.spec.model.is(model))
            .collect();
        let facts = match (&self.facts, serving.first()) {
            (Some(facts), _) => facts.clone(),
            (None, Some((_, model))) => ModelFacts::clone(model),
            (None, None) => return Err(Error::NotServed { model: called(&self.spec.model) }),
        };
        let mut names: Vec<String> = Vec::new();
        for (worker, model) in &serving {
            if model.hash != facts.hash && !names.contains(&worker.model_name) {
                names.push(worker.model_name.clone());
            }
        }
        if !names.is_empty() {
            names.insert(0, facts.name.clone());
            return Err(Error::WhichModel { names });
        }
        serving.retain(|(_, model)| model.hash == facts.hash);
        let plan = Plan::new(&self.spec, &facts, self.given)?;
        let mut devices: Vec<Device> = serving.into_iter().map(|(worker, _)| known(worker)).collect();
        if let Some(class) = forecast::tile_call(&plan) {
            let said = (1..).zip(&self.times).map(|(number, &took)| Device::of(number, class, took));
            devices.extend(said);
        }
        Ok(Planned { plan, given: self.given, devices })
    }
}

fn known(worker: &WorkerStatus) -> Device {
    let WorkerStatus { name, device, speeds, .. } = worker;
    Device { name: name.clone(), device: device.clone(), speeds: speeds.clone() }
}

fn time(ms: f64) -> Result<Duration, Error> {
    let fits = 0.0 < ms && ms <= MAX_MS;
    if fits {
        Ok(Duration::from_secs_f64(ms / 1e3))
    } else {
        Err(Error::DeviceTime { value: ms, max: MAX_MS })
    }
}
