//! What a job had cost when its coordinator ended: a ledger in, numbers to keep beside a checkpoint out, and back.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tessera_proto::{Stage, WorkerId};

use super::{Ledger, Span, WorkerLedger, WorkerReport};

/// A ledger in short.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Past {
    pub(super) stages: BTreeMap<Stage, Times>,
    workers: Vec<Hand>,
    pub(super) retries: u64,
    pub(super) losses: u64,
    pub(super) second_runs: u64,
    pub(super) taken_back: u64,
}

/// Where a stage's time went, seconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Times {
    /// When its first task was sent, since the submission.
    pub(super) begin_s: f64,
    /// From its first task to its last result, where a coordinator was there.
    pub(super) wall_s: f64,
    /// Inside networks.
    pub(super) busy_s: f64,
    /// What all workers together had.
    pub(super) had_s: f64,
    pub(super) tasks: u64,
}

/// What a worker did.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hand {
    name: String,
    device: String,
    tasks: u64,
    busy_s: f64,
    bytes_sent: u64,
    bytes_received: u64,
    second_runs: u64,
    taken_back: u64,
}

// === impl Ledger ===

impl Ledger {
    /// All that is known so far.
    #[must_use]
    pub fn past(&self) -> Past {
        let Past { retries, losses, second_runs, taken_back, .. } = self.past;
        let own = || self.workers.values();
        Past {
            stages: self.times(),
            workers: self.worker_reports().into_iter().map(Hand::from).collect(),
            retries: retries + self.retries,
            losses: losses + self.losses,
            second_runs: second_runs + own().map(|worker| worker.second_runs).sum::<u64>(),
            taken_back: taken_back + own().map(|worker| worker.taken_back).sum::<u64>(),
        }
    }

    /// What an earlier coordinator knew.
    pub fn recall(&mut self, past: Past) {
        self.past = past;
    }

    /// How long a stage was worked on, so far.
    #[must_use]
    pub fn spent_in(&self, stage: Stage) -> Duration {
        let seconds = self.times().get(&stage).map_or(0.0, |times| times.wall_s);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// Where the time of each stage went, by all coordinators.
    pub(super) fn times(&self) -> BTreeMap<Stage, Times> {
        let mut all = self.past.stages.clone();
        for (&stage, span) in &self.stages {
            let wall_s = span.wall().as_secs_f64();
            let begin_s = span.from.saturating_duration_since(self.submitted).as_secs_f64();
            let times = all.entry(stage).or_insert(Times { begin_s, ..Times::default() });
            times.wall_s += wall_s;
            times.busy_s += self.busy_in(stage).as_secs_f64();
            times.had_s += self.workers.values().map(|worker| worker.within(span).as_secs_f64()).sum::<f64>();
            times.tasks += span.tasks;
        }
        all
    }

    /// What each worker did, by all coordinators; one that came back is known by its name.
    pub(super) fn worker_reports(&self) -> Vec<WorkerReport> {
        let mut reports: Vec<_> = self.workers.iter().map(|(id, ledger)| ledger.report(*id)).collect();
        for hand in &self.past.workers {
            let same = |report: &&mut WorkerReport| report.name == hand.name && report.device == hand.device;
            match reports.iter_mut().find(same) {
                Some(report) => hand.add_to(report),
                None => reports.push(hand.report()),
            }
        }
        reports
    }
}

// === impl Times ===

impl Times {
    /// The share of what the workers had that was spent inside networks, over some stages.
    pub(super) fn busy_share<'t>(stages: impl Iterator<Item = &'t Self>) -> f64 {
        let (busy, had) =
            stages.fold((0.0, 0.0), |(busy, had), times| (busy + times.busy_s, had + times.had_s));
        if 0.0 < had { busy / had } else { 0.0 }
    }
}

// === impl WorkerLedger ===

impl WorkerLedger {
    /// How long it was there in a stage.
    fn within(&self, span: &Span) -> Duration {
        let from = self.came.map_or(span.from, |came| came.max(span.from));
        let to = self.left.map_or(span.to, |left| left.min(span.to));
        to.saturating_duration_since(from)
    }

    pub(super) fn report(&self, worker: WorkerId) -> WorkerReport {
        WorkerReport {
            worker: worker.to_string(),
            name: self.name.clone(),
            device: self.device.clone(),
            tasks: self.tasks,
            busy_s: self.busy.as_secs_f64(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            second_runs: self.second_runs,
            taken_back: self.taken_back,
            gap_ms_p50: self.gaps.percentile(50),
            gap_ms_p99: self.gaps.percentile(99),
            dispatch_ms_p50: self.dispatches.percentile(50),
            dispatch_ms_p99: self.dispatches.percentile(99),
        }
    }
}

// === impl Hand ===

impl Hand {
    fn add_to(&self, report: &mut WorkerReport) {
        report.tasks += self.tasks;
        report.busy_s += self.busy_s;
        report.bytes_sent += self.bytes_sent;
        report.bytes_received += self.bytes_received;
        report.second_runs += self.second_runs;
        report.taken_back += self.taken_back;
    }

    /// Of a worker that has not come back.
    fn report(&self) -> WorkerReport {
        let mut report = WorkerReport {
            worker: "-".to_owned(),
            name: self.name.clone(),
            device: self.device.clone(),
            ..WorkerReport::default()
        };
        self.add_to(&mut report);
        report
    }
}

impl From<WorkerReport> for Hand {
    fn from(report: WorkerReport) -> Self {
        let WorkerReport { name, device, tasks, busy_s, bytes_sent, bytes_received, .. } = report;
        let WorkerReport { second_runs, taken_back, .. } = report;
        Self { name, device, tasks, busy_s, bytes_sent, bytes_received, second_runs, taken_back }
    }
}
