//! What a job cost: task times as they come in, the report's JSON out. Time is an argument.

mod past;
mod samples;
mod trace;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use tessera_proto::{JobId, Stage, WorkerId};

use crate::{
    fleet::TaskNumber,
    render::{Place, Summary},
};
pub use past::Past;
use past::Times;
use samples::Samples;
use trace::{Frame, Slice, Trace};

/// Measurements of a job under way.
#[derive(Debug)]
pub struct Ledger {
    submitted: Instant,
    stages: BTreeMap<Stage, Span>,
    workers: BTreeMap<WorkerId, WorkerLedger>,
    /// Per stage and worker: time inside networks.
    busy: BTreeMap<(Stage, WorkerId), Duration>,
    overheads: BTreeMap<Stage, Samples>,
    /// From a result to the tasks that it made possible, of each stage.
    dispatches: BTreeMap<Stage, Samples>,
    retries: u64,
    losses: u64,
    /// Of a job that is to be traced.
    trace: Option<Trace>,
    /// What earlier coordinators measured.
    past: Past,
}

#[derive(Debug)]
struct Span {
    from: Instant,
    to: Instant,
    tasks: u64,
}

#[derive(Debug, Default)]
struct WorkerLedger {
    /// When it was there; open where that is not known.
    came: Option<Instant>,
    left: Option<Instant>,
    name: String,
    device: String,
    tasks: u64,
    busy: Duration,
    bytes_sent: u64,
    bytes_received: u64,
    gaps: Samples,
    dispatches: Samples,
    second_runs: u64,
    taken_back: u64,
}

/// One finished task.
#[derive(Debug, Clone, Copy)]
pub struct TaskTimes {
    /// The task.
    pub task: TaskNumber,
    /// Where it lies in its job.
    pub place: Place,
    /// Who ran it.
    pub worker: WorkerId,
    /// When it was handed out.
    pub sent: Instant,
    /// When its outcome came.
    pub received: Instant,
    /// When the outcome before it came from the same worker, of whatever job.
    pub before: Option<Instant>,
    /// Time inside networks, as the worker measured it.
    pub busy: Duration,
    /// Bytes of the outcome's tensors.
    pub bytes: u64,
}

/// The report, as it is written to JSON. Percentiles are of what this coordinator saw, all else is of the whole job.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(skip)]
    submitted: Instant,
    plan: Summary,
    /// From submission to the finished file, seconds.
    wall_s: f64,
    /// Time inside networks by (time of the stages times workers), 0 to 1.
    device_busy_share: f64,
    /// The same of the hires pass and the decode alone.
    hires_and_decode_busy_share: f64,
    stages: Vec<StageReport>,
    workers: Vec<WorkerReport>,
    /// Tasks run again because they failed, and because their worker was lost.
    retries: u64,
    lost_tasks: u64,
    /// The sums of the workers' own.
    second_runs: u64,
    taken_back: u64,
    /// From a result's arrival to the moment when a task that it made possible was sent, ms.
    dispatch_ms_p50: f64,
    dispatch_ms_p99: f64,
    #[serde(skip)]
    trace: Option<(Trace, Frame)>,
}

#[derive(Debug, Serialize)]
struct StageReport {
    stage: Stage,
    /// When its first task was sent, s since the submission.
    begin_s: f64,
    wall_s: f64,
    busy_s: f64,
    busy_share: f64,
    tasks: u64,
    /// A task's round trip less its time inside networks and its wait for the task before it, milliseconds.
    round_trip_overhead_ms_p50: f64,
    round_trip_overhead_ms_p99: f64,
    /// As the report's, of tasks of this stage.
    dispatch_ms_p50: f64,
    dispatch_ms_p99: f64,
}

#[derive(Debug, Serialize)]
struct WorkerReport {
    worker: String,
    name: String,
    device: String,
    tasks: u64,
    busy_s: f64,
    /// Tasks and conditioning sent to it, and tensors that came back, bytes.
    bytes_sent: u64,
    bytes_received: u64,
    /// Tasks that it ran because another worker was late with them, and tasks that others took back from it.
    second_runs: u64,
    taken_back: u64,
    /// Between two tasks of the job on the device: from a result's arrival to the next network, ms.
    gap_ms_p50: f64,
    gap_ms_p99: f64,
    /// As the report's, of tasks sent to this worker.
    dispatch_ms_p50: f64,
    dispatch_ms_p99: f64,
}

/// What a report needs to know of its job.
#[derive(Debug)]
pub struct Subject {
    /// The job.
    pub job: JobId,
    /// Its plan.
    pub plan: Summary,
    /// What the times of a trace count from.
    pub origin: Instant,
}

// === impl Ledger ===

impl Ledger {
    /// Begins at submission. `traced`: whether each task is remembered.
    #[must_use]
    pub fn new(now: Instant, traced: bool) -> Self {
        Self {
            submitted: now,
            stages: BTreeMap::new(),
            workers: BTreeMap::new(),
            busy: BTreeMap::new(),
            overheads: BTreeMap::new(),
            dispatches: BTreeMap::new(),
            retries: 0,
            losses: 0,
            trace: traced.then(Trace::default),
            past: Past::default(),
        }
    }

    /// A stage begins, or goes on: it reaches from its first task's dispatch to its last outcome.
    pub fn task_sent(&mut self, stage: Stage, worker: WorkerId, bytes: u64, now: Instant) {
        self.stages.entry(stage).or_insert(Span { from: now, to: now, tasks: 0 });
        self.workers.entry(worker).or_default().bytes_sent += bytes;
    }

    /// A worker has gone.
    pub fn left(&mut self, worker: WorkerId, now: Instant) {
        if let Some(ledger) = self.workers.get_mut(&worker) {
            ledger.left = Some(now);
        }
    }

    /// Names a worker that is there from now on. Returns whether it was not known.
    pub fn introduce(&mut self, worker: WorkerId, (name, device): (&str, &str), now: Instant) -> bool {
        let ledger = self.workers.entry(worker).or_default();
        let is_new = ledger.name.is_empty();
        if is_new {
            ledger.came = Some(now);
            name.clone_into(&mut ledger.name);
            device.clone_into(&mut ledger.device);
        }
        is_new
    }

    /// A task's outcome was accepted.
    pub fn task_done(&mut self, times: TaskTimes) {
        let TaskTimes { task, place, worker, sent, received, before, busy, bytes } = times;
        let stage = place.stage;
        if let Some(span) = self.stages.get_mut(&stage) {
            span.to = received;
            span.tasks += 1;
        }
        *self.busy.entry((stage, worker)).or_default() += busy;
        // It ran until its outcome came, and not before the one before it.
        let network = received.checked_sub(busy).unwrap_or(received);
        let begin = before.map_or(network, |before| before.max(network)).max(sent).min(received);
        let ledger = self.workers.entry(worker).or_default();
        if let Some(before) = before.filter(|_| 0 < ledger.tasks) {
            ledger.gaps.push(begin.saturating_duration_since(before));
        }
        if let Some(trace) = &mut self.trace {
            trace.push(Slice { task, place, worker, begin, end: received, counts: true });
        }
        ledger.tasks += 1;
        ledger.busy += busy;
        ledger.bytes_received += bytes;
        // The worker could begin when it had the task and the one before it was done.
        let began = before.map_or(sent, |before| before.max(sent));
        let overhead = received.saturating_duration_since(began).saturating_sub(busy);
        self.overheads.entry(stage).or_default().push(overhead);
    }

    /// A task came to an end after another worker's result had counted.
    pub fn withdrawn(&mut self, times: &TaskTimes) {
        let TaskTimes { task, place, worker, sent, received, before, .. } = *times;
        let begin = before.map_or(sent, |before| before.max(sent)).min(received);
        let slice = Slice { task, place, worker, begin, end: received, counts: false };
        self.trace.iter_mut().for_each(|trace| trace.push(slice));
    }

    /// The worker runs a task that another one is late with.
    pub fn run_twice(&mut self, worker: WorkerId) {
        self.workers.entry(worker).or_default().second_runs += 1;
    }

    /// A task was taken back from behind another one on this worker.
    pub fn taken_back(&mut self, worker: WorkerId) {
        self.workers.entry(worker).or_default().taken_back += 1;
    }

    /// A task was sent to a worker, so long after the result had come that made it possible.
    pub fn dispatched(&mut self, stage: Stage, worker: WorkerId, after: Duration) {
        self.dispatches.entry(stage).or_default().push(after);
        self.workers.entry(worker).or_default().dispatches.push(after);
    }

    /// The result of `cause` was the last one that `task` waited for.
    pub fn released(&mut self, cause: TaskNumber, task: TaskNumber) {
        if let Some(trace) = &mut self.trace {
            trace.released(cause, task);
        }
    }

    /// A task failed and runs again.
    pub fn retried(&mut self) {
        self.retries += 1;
    }

    /// A task lost its worker and runs again.
    pub fn lost(&mut self) {
        self.losses += 1;
    }

    /// Time in the job since it was submitted.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.submitted)
    }

    /// The report at the job's end; the tasks of a trace go into it.
    #[must_use]
    pub fn report(&mut self, subject: Subject, now: Instant) -> Report {
        let trace = self.trace.take().map(|trace| (trace, self.frame(&subject, now)));
        Report { trace, ..self.so_far(subject.plan, now) }
    }

    /// The report of a job under way, without a trace.
    #[must_use]
    pub fn so_far(&self, plan: Summary, now: Instant) -> Report {
        let dispatches: Samples = self.workers.values().map(|ledger| &ledger.dispatches).collect();
        let times = self.times();
        let share = |of: fn(Stage) -> bool| {
            Times::busy_share(times.iter().filter(|(stage, _)| of(**stage)).map(|(_, times)| times))
        };
        let [retries, losses, second_runs, taken_back] = self.mishaps();
        Report {
            trace: None,
            dispatch_ms_p50: dispatches.percentile(50),
            dispatch_ms_p99: dispatches.percentile(99),
            submitted: self.submitted,
            plan,
            wall_s: self.age(now).as_secs_f64(),
            device_busy_share: share(|_| true),
            hires_and_decode_busy_share: share(|stage| matches!(stage, Stage::Hires | Stage::Decode)),
            stages: times.iter().map(|(&stage, times)| self.stage(stage, times)).collect(),
            workers: self.worker_reports(),
            retries,
            lost_tasks: losses,
            second_runs,
            taken_back,
        }
    }

    fn stage(&self, stage: Stage, times: &Times) -> StageReport {
        let overheads = self.overheads.get(&stage).cloned().unwrap_or_default();
        let dispatches = self.dispatches.get(&stage).cloned().unwrap_or_default();
        StageReport {
            stage,
            begin_s: times.begin_s,
            wall_s: times.wall_s,
            busy_s: times.busy_s,
            busy_share: Times::busy_share(std::iter::once(times)),
            tasks: times.tasks,
            round_trip_overhead_ms_p50: overheads.percentile(50),
            round_trip_overhead_ms_p99: overheads.percentile(99),
            dispatch_ms_p50: dispatches.percentile(50),
            dispatch_ms_p99: dispatches.percentile(99),
        }
    }

    /// What a trace shows besides its tasks.
    fn frame(&self, subject: &Subject, now: Instant) -> Frame {
        let stages = self.stages.iter().map(|(&stage, span)| (stage, span.from, span.to));
        let names =
            self.workers.iter().map(|(&id, ledger)| (id, format!("{} {}", ledger.device, ledger.name)));
        Frame {
            job: subject.job,
            origin: subject.origin,
            span: (self.submitted, now),
            stages: stages.collect(),
            devices: names.collect(),
        }
    }

    fn busy_in(&self, stage: Stage) -> Duration {
        self.busy.iter().filter(|((of, _), _)| *of == stage).map(|(_, &busy)| busy).sum()
    }
}

// === impl Report ===

impl Report {
    /// The same where the job's picture took until `now` to be written.
    #[must_use]
    pub fn ended(self, now: Instant) -> Self {
        Self { wall_s: now.saturating_duration_since(self.submitted).as_secs_f64(), ..self }
    }

    /// Whether it has a trace.
    #[must_use]
    pub const fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// The trace's bytes, of a job that was traced.
    #[must_use]
    pub fn trace(&self) -> Option<Vec<u8>> {
        self.trace.as_ref().map(|(trace, frame)| trace.to_json(frame))
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// None: every field can be written.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }
}

// === impl Span ===

impl Span {
    fn wall(&self) -> Duration {
        self.to.saturating_duration_since(self.from)
    }
}

#[cfg(test)]
mod tests;
