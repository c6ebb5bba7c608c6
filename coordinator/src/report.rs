//! What a job cost: task times as they come in, the report's JSON out. Time is an argument.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use tessera_proto::{Stage, WorkerId};

use crate::render::Summary;

/// Measurements of a job under way.
#[derive(Debug)]
pub struct Ledger {
    submitted: Instant,
    stages: BTreeMap<Stage, Span>,
    workers: BTreeMap<WorkerId, WorkerLedger>,
    /// Per stage and worker: time inside networks.
    busy: BTreeMap<(Stage, WorkerId), Duration>,
    overheads_us: BTreeMap<Stage, Vec<u32>>,
    retries: u64,
    losses: u64,
}

#[derive(Debug)]
struct Span {
    from: Instant,
    to: Instant,
    tasks: u64,
}

#[derive(Debug, Default)]
struct WorkerLedger {
    name: String,
    device: String,
    tasks: u64,
    busy: Duration,
    bytes_sent: u64,
    bytes_received: u64,
    last_outcome: Option<Instant>,
}

/// One finished task.
#[derive(Debug, Clone, Copy)]
pub struct TaskTimes {
    /// Its stage.
    pub stage: Stage,
    /// Who ran it.
    pub worker: WorkerId,
    /// When it was handed out.
    pub sent: Instant,
    /// When its outcome came.
    pub received: Instant,
    /// Time inside networks, as the worker measured it.
    pub busy: Duration,
    /// Bytes of the outcome's tensors.
    pub bytes: u64,
}

/// The report, as it is written to JSON.
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
}

#[derive(Debug, Serialize)]
struct StageReport {
    stage: Stage,
    wall_s: f64,
    busy_s: f64,
    busy_share: f64,
    tasks: u64,
    /// A task's round trip less its time inside networks and its wait for the task before it, milliseconds.
    round_trip_overhead_ms_p50: f64,
    round_trip_overhead_ms_p99: f64,
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
}

// === impl Ledger ===

impl Ledger {
    /// Begins at submission.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            submitted: now,
            stages: BTreeMap::new(),
            workers: BTreeMap::new(),
            busy: BTreeMap::new(),
            overheads_us: BTreeMap::new(),
            retries: 0,
            losses: 0,
        }
    }

    /// A stage begins, or goes on: it reaches from its first task's dispatch to its last outcome.
    pub fn task_sent(&mut self, stage: Stage, worker: WorkerId, bytes: u64, now: Instant) {
        self.stages.entry(stage).or_insert(Span { from: now, to: now, tasks: 0 });
        self.workers.entry(worker).or_default().bytes_sent += bytes;
    }

    /// Names a worker.
    pub fn introduce(&mut self, worker: WorkerId, name: &str, device: &str) {
        let ledger = self.workers.entry(worker).or_default();
        if ledger.name.is_empty() {
            name.clone_into(&mut ledger.name);
            device.clone_into(&mut ledger.device);
        }
    }

    /// A task's outcome was accepted.
    pub fn task_done(&mut self, times: TaskTimes) {
        let TaskTimes { stage, worker, sent, received, busy, bytes } = times;
        if let Some(span) = self.stages.get_mut(&stage) {
            span.to = received;
            span.tasks += 1;
        }
        *self.busy.entry((stage, worker)).or_default() += busy;
        let ledger = self.workers.entry(worker).or_default();
        ledger.tasks += 1;
        ledger.busy += busy;
        ledger.bytes_received += bytes;
        // The worker could begin when it had the task and the one before it was done.
        let began = ledger.last_outcome.map_or(sent, |before| before.max(sent));
        ledger.last_outcome = Some(received);
        let overhead = received.saturating_duration_since(began).saturating_sub(busy);
        let overhead = u32::try_from(overhead.as_micros()).unwrap_or(u32::MAX);
        self.overheads_us.entry(stage).or_default().push(overhead);
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

    /// The report at the job's end.
    #[must_use]
    pub fn report(&self, plan: Summary, now: Instant) -> Report {
        Report {
            submitted: self.submitted,
            plan,
            wall_s: self.age(now).as_secs_f64(),
            device_busy_share: self.busy_share(|_| true),
            hires_and_decode_busy_share: self
                .busy_share(|stage| matches!(stage, Stage::Hires | Stage::Decode)),
            stages: self.stages.iter().map(|(&stage, span)| self.stage(stage, span)).collect(),
            workers: self.workers.iter().map(|(id, ledger)| ledger.report(*id)).collect(),
            retries: self.retries,
            lost_tasks: self.losses,
        }
    }

    fn stage(&self, stage: Stage, span: &Span) -> StageReport {
        let mut overheads = self.overheads_us.get(&stage).cloned().unwrap_or_default();
        overheads.sort_unstable();
        let at = |share: usize| {
            overheads.get((overheads.len() * share / 100).min(overheads.len().saturating_sub(1)))
        };
        let ms = |us: Option<&u32>| us.map_or(0.0, |&us| f64::from(us) / 1000.0);
        StageReport {
            stage,
            wall_s: span.wall().as_secs_f64(),
            busy_s: self.busy_in(stage).as_secs_f64(),
            busy_share: self.busy_share(|other| other == stage),
            tasks: span.tasks,
            round_trip_overhead_ms_p50: ms(at(50)),
            round_trip_overhead_ms_p99: ms(at(99)),
        }
    }

    fn busy_in(&self, stage: Stage) -> Duration {
        self.busy.iter().filter(|((of, _), _)| *of == stage).map(|(_, &busy)| busy).sum()
    }

    /// Of the time that all workers together had in these stages, the share inside networks.
    fn busy_share(&self, of: impl Fn(Stage) -> bool) -> f64 {
        let spans = self.stages.iter().filter(|(stage, _)| of(**stage));
        let (mut busy, mut wall) = (0.0, 0.0);
        for (&stage, span) in spans {
            busy += self.busy_in(stage).as_secs_f64();
            wall += span.wall().as_secs_f64();
        }
        let workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        let had = wall * f64::from(workers);
        if 0.0 < had { busy / had } else { 0.0 }
    }
}

// === impl Report ===

impl Report {
    /// The same where the job's picture took until `now` to be written.
    #[must_use]
    pub fn ended(self, now: Instant) -> Self {
        Self { wall_s: now.saturating_duration_since(self.submitted).as_secs_f64(), ..self }
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

// === impl WorkerLedger ===

impl WorkerLedger {
    fn report(&self, worker: WorkerId) -> WorkerReport {
        WorkerReport {
            worker: worker.to_string(),
            name: self.name.clone(),
            device: self.device.clone(),
            tasks: self.tasks,
            busy_s: self.busy.as_secs_f64(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_what_neither_network_nor_queue_explains() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ledger = Ledger::new(start);
        let worker = WorkerId::new(1);
        // Two tasks are sent at once; each spends 10 ms in the network, the second waits for the first.
        for received in [11, 22] {
            ledger.task_sent(Stage::Hires, worker, 100, at(0));
            let busy = Duration::from_millis(10);
            ledger.task_done(TaskTimes {
                stage: Stage::Hires,
                worker,
                sent: at(0),
                received: at(received),
                busy,
                bytes: 50,
            });
        }
        let stage = ledger.stage(Stage::Hires, &ledger.stages[&Stage::Hires]);
        assert!((stage.round_trip_overhead_ms_p50 - 1.0).abs() < 1e-9);
        assert!((stage.busy_share - 20.0 / 22.0).abs() < 1e-9);
        assert_eq!(stage.tasks, 2);
    }
}
