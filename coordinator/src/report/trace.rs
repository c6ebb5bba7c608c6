//! When each task of a job ran, and what it waited for: measurements in, a trace for Perfetto and chrome://tracing out.
//!
//! The format is that of Chrome's "Trace Event Format": one row per device with a slice per task, one row per job with a
//! slice per stage, and arrows from each task to those that its result let begin. Times count from the coordinator's
//! start, so that the traces of two jobs can be laid over one another.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tessera_proto::{JobId, Stage, WorkerId};

use crate::{fleet::TaskNumber, render::Place};

/// The process that devices' rows stand under, and that of jobs' rows.
const DEVICES: u64 = 1;
const JOBS: u64 = 2;

/// Tasks of one job, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Trace {
    slices: Vec<Slice>,
    /// Whose result let a task begin.
    causes: HashMap<TaskNumber, TaskNumber>,
}

/// One task on its device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) task: TaskNumber,
    pub(super) place: Place,
    pub(super) worker: WorkerId,
    pub(super) begin: Instant,
    pub(super) end: Instant,
    /// Whether its result counted; that of a task that two workers ran counts once.
    pub(super) counts: bool,
}

/// What a trace shows besides its tasks.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) job: JobId,
    /// Times count from here.
    pub(super) origin: Instant,
    pub(super) span: (Instant, Instant),
    pub(super) stages: Vec<(Stage, Instant, Instant)>,
    /// What the devices' rows are called.
    pub(super) devices: BTreeMap<WorkerId, String>,
}

// === impl Trace ===

impl Trace {
    pub(super) fn push(&mut self, slice: Slice) {
        self.slices.push(slice);
    }

    /// The result of `cause` was the last one that `task` waited for.
    pub(super) fn released(&mut self, cause: TaskNumber, task: TaskNumber) {
        self.causes.insert(task, cause);
    }

    fn counted(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter().filter(|slice| slice.counts)
    }

    /// The trace as JSON text.
    pub(super) fn to_json(&self, frame: &Frame) -> Vec<u8> {
        let mut events = frame.head();
        events.extend(self.slices.iter().map(|slice| frame.task(slice)));
        let by_task: HashMap<TaskNumber, &Slice> = self.counted().map(|slice| (slice.task, slice)).collect();
        for slice in self.counted() {
            let cause = self.causes.get(&slice.task).and_then(|cause| by_task.get(cause));
            events.extend(cause.into_iter().flat_map(|cause| frame.flow(cause, slice)));
        }
        json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string().into_bytes()
    }
}

// === impl Frame ===

impl Frame {
    /// Names of the rows, and the job's own one.
    fn head(&self) -> Vec<Value> {
        let name = |what, pid, tid, name: &str| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
        let job = self.job.to_string();
        let mut events = vec![
            name("process_name", DEVICES, 0, "devices"),
            name("process_name", JOBS, 0, "jobs"),
            name("thread_name", JOBS, self.row(), &format!("job {job}")),
        ];
        for (worker, device) in &self.devices {
            events.push(name("thread_name", DEVICES, worker.get(), device));
        }
        let slice = |name: &str, (begin, end)| {
            json!({
                "ph": "X", "cat": "job", "name": name, "pid": JOBS, "tid": self.row(),
                "ts": self.us(begin), "dur": micros(end - begin), "args": { "job": job },
            })
        };
        events.push(slice(&format!("job {job}"), self.span));
        events.extend(self.stages.iter().map(|&(stage, begin, end)| slice(stage.name(), (begin, end))));
        events
    }

    fn task(&self, slice: &Slice) -> Value {
        let Slice { task, place: Place { stage, tile, step }, worker, begin, end, counts } = *slice;
        let mut name = stage.name().to_owned();
        for (what, number) in [("tile", tile.map(u64::from)), ("step", step)] {
            if let Some(number) = number {
                name.push_str(&format!(" {what} {number}"));
            }
        }
        if !counts {
            name.push_str(" (withdrawn)");
        }
        json!({
            "ph": "X", "cat": stage.name(), "name": name, "pid": DEVICES, "tid": worker.get(),
            "ts": self.us(begin), "dur": micros(end - begin),
            "args": { "job": self.job.to_string(), "task": task.0, "tile": tile, "step": step, "withdrawn": !counts },
        })
    }

    /// An arrow from the end of one slice to the beginning of another.
    fn flow(&self, from: &Slice, to: &Slice) -> [Value; 2] {
        let id = format!("{}/{}", self.job, to.task.0);
        let end = |ph, slice: &Slice, at| {
            json!({
                "ph": ph, "cat": "waits", "name": "waits", "id": id, "pid": DEVICES, "tid": slice.worker.get(),
                "ts": at, "bp": "e", "args": { "job": self.job.to_string(), "task": slice.task.0 },
            })
        };
        [end("s", from, self.us(from.begin) + micros(from.end - from.begin)), end("f", to, self.us(to.begin))]
    }

    /// JSON's numbers hold 53 bits.
    const fn row(&self) -> u64 {
        self.job.get() >> 11
    }

    /// Microseconds since the origin.
    fn us(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.origin))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
