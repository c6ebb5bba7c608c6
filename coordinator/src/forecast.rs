//! How long a job will take, and why: a plan and what is known of the devices in; the time of every stage, what limits it,
//! and flags that would make it shorter out. Pure.
//!
//! The job is played from its first task to its last on devices whose calls take what was measured, with the real
//! placement (`rehearsal`). Only what runs on devices is counted, as if no other job were there and no call were slow:
//! arithmetic of the coordinator, jitter and the writing of the file come on top.

mod advice;
mod device;
mod rehearsal;
mod script;
mod words;

use std::{borrow::Cow, time::Instant};

use serde::Serialize;
use tessera_proto::{Class, Stage};

use crate::render::{Course, Leg, Plan, Steps};
pub use advice::{Advice, Change, Open, advise};
pub use device::{Basis, Device};
use rehearsal::{Ran, Rehearsal, Times};

/// Tasks that are played of one pass; of a longer one the first calls are, and the others take as long.
const PLAYED: usize = 20_000;

/// Model calls of a pass that are played at least.
const LEAST_CALLS: usize = 4;

/// From this share of busy time on, the devices themselves are what limits a stage.
const BUSY: f64 = 0.95;

/// How long a job will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// All stages, s; `None` where nothing is known of one.
    pub seconds: Option<f64>,
    /// The stages that run networks, in order.
    pub stages: Vec<StageForecast>,
}

/// How long a stage will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageForecast {
    /// The stage.
    pub stage: Stage,
    /// The network that it runs.
    pub network: Cow<'static, str>,
    /// `None` where none of its tasks was measured on any device, nor one like them.
    #[serde(flatten)]
    pub time: Option<StageTime>,
}

/// The time of a stage, and why it is no shorter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageTime {
    /// From its first task to its last result, s.
    pub seconds: f64,
    /// How well it is known: as well as its least known task, of the devices that do any.
    pub basis: Basis,
    /// Time in tasks by the time that all devices have, 0 to 1.
    pub busy_share: f64,
    /// What would have to change for it to be shorter.
    pub limit: String,
    /// What each device does.
    pub devices: Vec<DeviceForecast>,
}

/// What a device does in a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceForecast {
    /// Its name.
    pub name: String,
    /// The device, as given to `--device`.
    pub device: String,
    /// What a task takes, ms; the mean, where tasks differ.
    pub task_ms: f64,
    /// How well that is known.
    pub basis: Basis,
    /// Tasks that it does.
    pub tasks: usize,
    /// The same for each model call of a pass, or each round.
    pub tasks_a_step: f64,
    /// Its time in tasks by the time of the stage, 0 to 1.
    pub busy_share: f64,
}

// === impl Forecast ===

impl Forecast {
    /// Plays a plan on devices. `origin` is any moment: times are counted from it.
    #[must_use]
    pub fn new(plan: &Plan, devices: &[Device], origin: Instant) -> Self {
        let mut rehearsal = Rehearsal::new(devices, plan.facts(), origin);
        let legs = Course::of(plan).legs;
        let stages: Vec<_> = legs.iter().map(|leg| stage(leg, devices, &mut rehearsal)).collect();
        let seconds = stages.iter().map(|stage| stage.time.as_ref().map(|time| time.seconds)).sum();
        Self { seconds, stages }
    }
}

/// The class of one tile's call in the pass that is tiled, for devices of which nothing else is known.
#[must_use]
pub fn tile_call(plan: &Plan) -> Option<Class> {
    Some(Course::of(plan).main_pass()?.steps.class(0, 0))
}

fn stage(leg: &Leg, devices: &[Device], rehearsal: &mut Rehearsal) -> StageForecast {
    let known = known(leg, devices);
    let time = known.map(|times| {
        let (ran, scale) = played(leg, &times, PLAYED, rehearsal);
        stage_time(leg, devices, (&times, &ran, scale))
    });
    StageForecast { stage: leg.stage, network: leg.network.clone(), time }
}

/// What each device takes for each task of a leg; `None` where one of them is unknown everywhere, or there is no device.
fn known(leg: &Leg, devices: &[Device]) -> Option<Times> {
    if devices.is_empty() {
        return None;
    }
    leg.classes().into_iter().map(|class| Some((class, device::times(devices, class)?))).collect()
}

/// Plays a leg, of a pass so many calls as have about `most` tasks; returns how many times longer all of it takes.
fn played(leg: &Leg, times: &Times, most: usize, rehearsal: &mut Rehearsal) -> (Ran, f64) {
    let all = leg.steps.count();
    let calls = match &leg.steps {
        Steps::Pass { plan, .. } => (most / plan.groups()).max(LEAST_CALLS).min(all),
        Steps::Rounds { .. } => all,
    };
    (rehearsal.play(leg, times, calls), ratio(all, calls))
}

fn stage_time(leg: &Leg, devices: &[Device], (times, ran, scale): (&Times, &Ran, f64)) -> StageTime {
    let played = ran.took.as_secs_f64();
    let share = |busy: f64| if 0.0 < played { busy / played } else { 0.0 };
    let steps = leg.steps.count();
    let basis = |index: usize| {
        times
            .values()
            .filter_map(|times| times.get(index))
            .map(|time| time.basis)
            .max()
            .unwrap_or(Basis::Borrowed)
    };
    let device = |(index, (device, &(tasks, busy))): (usize, (&Device, &(usize, std::time::Duration)))| {
        let expected =
            times.values().filter_map(|times| times.get(index)).map(|time| time.took.as_secs_f64());
        let task_s = expected.sum::<f64>() / ratio(times.len(), 1);
        DeviceForecast {
            name: device.name.clone(),
            device: device.device.clone(),
            task_ms: 1e3 * if 0 < tasks { busy.as_secs_f64() / ratio(tasks, 1) } else { task_s },
            basis: basis(index),
            tasks: whole(ratio(tasks, 1) * scale),
            tasks_a_step: ratio(tasks, 1) * scale / ratio(steps, 1),
            busy_share: share(busy.as_secs_f64()),
        }
    };
    let devices: Vec<_> = devices.iter().zip(&ran.devices).enumerate().map(device).collect();
    let busy_share = devices.iter().map(|device| device.busy_share).sum::<f64>() / ratio(devices.len(), 1);
    let busy = devices.iter().filter(|device| 0 < device.tasks);
    StageTime {
        seconds: played * scale,
        basis: busy.map(|device| device.basis).max().unwrap_or(Basis::Borrowed),
        busy_share,
        limit: limit(leg, devices.len(), busy_share),
        devices,
    }
}

/// What keeps a stage from being shorter, in a few words.
fn limit(leg: &Leg, devices: usize, busy: f64) -> String {
    let (tasks, what) = match &leg.steps {
        Steps::Pass { plan, .. } if plan.batch == 1 => (plan.groups(), ["tile", "tiles"]),
        Steps::Pass { plan, .. } => (plan.groups(), ["batch of tiles", "batches of tiles"]),
        Steps::Rounds { tiles, .. } => (tiles.len(), ["task", "tasks"]),
    };
    if devices == 1 || BUSY <= busy {
        return "the speed of the devices".to_owned();
    }
    let who = format!("{tasks} {} on {devices} devices", what[usize::from(tasks != 1)]);
    if tasks < devices {
        let left = devices - tasks;
        return format!("{who}: {left} {}", if left == 1 { "waits" } else { "wait" });
    }
    let waits = format!("{:.0} % of the time", 100.0 * (1.0 - busy));
    match &leg.steps {
        Steps::Pass { plan, .. } if plan.barrier => format!("{who}, behind a barrier: devices wait {waits}"),
        Steps::Pass { .. } => format!("{who}: devices wait for neighbours {waits}"),
        Steps::Rounds { rounds: 1, .. } => format!("{who}: devices wait for the last ones {waits}"),
        Steps::Rounds { rounds, .. } => {
            format!("{who} meet at {} barriers: devices wait {waits}", rounds - 1)
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "tasks are counted in thousands")]
fn ratio(one: usize, other: usize) -> f64 {
    one as f64 / other.max(1) as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of tasks")]
fn whole(tasks: f64) -> usize {
    tasks.round() as usize
}

#[cfg(test)]
mod tests;
