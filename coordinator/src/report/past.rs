//! What a job had cost when its coordinator ended: a ledger in, numbers to keep beside a checkpoint out, and back.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tessera_proto::{Stage, WorkerId};

use super::{Ledger, Span, WorkerLedger, WorkerReport, samples::Samples};

/// A ledger in short.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Past {
    pub(super) stages: BTreeMap<Stage, Times>,
    workers: Vec<Hand>,
    retries: u64,
    losses: u64,
    second_runs: u64,
    taken_back: u64,
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
        let [retries, losses, second_runs, taken_back] = self.mishaps();
        let workers = self.hands().into_iter().map(|(_, hand)| hand).collect();
        Past { stages: self.times(), workers, retries, losses, second_runs, taken_back }
    }

    /// Retries, losses, second runs and tasks taken back, of all coordinators.
    pub(super) fn mishaps(&self) -> [u64; 4] {
        let Past { retries, losses, second_runs, taken_back, .. } = self.past;
        let own = self.workers.values().map(|worker| [worker.second_runs, worker.taken_back]);
        own.fold([retries + self.retries, losses + self.losses, second_runs, taken_back], |all, own| {
            [all[0], all[1], all[2] + own[0], all[3] + own[1]]
        })
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

    /// What each worker did, by all coordinators; one that came back is known by its name, one that did not has no number.
    fn hands(&self) -> Vec<(Option<WorkerId>, Hand)> {
        let mut hands: Vec<_> = self.workers.iter().map(|(&id, ledger)| (Some(id), ledger.hand())).collect();
        for before in &self.past.workers {
            let same = |hand: &Hand| hand.name == before.name && hand.device == before.device;
            match hands.iter_mut().find(|(_, hand)| same(hand)) {
                Some((_, hand)) => hand.add(before),
                None => hands.push((None, before.clone())),
            }
        }
        hands
    }

    /// The same for people and scripts.
    pub(super) fn worker_reports(&self) -> Vec<WorkerReport> {
        let report = |(id, hand): (Option<WorkerId>, Hand)| {
            hand.report(id.and_then(|id| Some((id, self.workers.get(&id)?))))
        };
        self.hands().into_iter().map(report).collect()
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

    /// What it did here.
    fn hand(&self) -> Hand {
        Hand {
            name: self.name.clone(),
            device: self.device.clone(),
            tasks: self.tasks,
            busy_s: self.busy.as_secs_f64(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            second_runs: self.second_runs,
            taken_back: self.taken_back,
        }
    }
}

// === impl Hand ===

impl Hand {
    /// And what it did before.
    fn add(&mut self, before: &Self) {
        self.tasks += before.tasks;
        self.busy_s += before.busy_s;
        self.bytes_sent += before.bytes_sent;
        self.bytes_received += before.bytes_received;
        self.second_runs += before.second_runs;
        self.taken_back += before.taken_back;
    }

    /// With what was measured of a worker that is known here.
    fn report(self, known: Option<(WorkerId, &WorkerLedger)>) -> WorkerReport {
        let of = |samples: fn(&WorkerLedger) -> &Samples, percent| {
            known.map_or(0.0, |(_, ledger)| samples(ledger).percentile(percent))
        };
        WorkerReport {
            worker: known.map_or_else(|| "-".to_owned(), |(id, _)| id.to_string()),
            name: self.name,
            device: self.device,
            tasks: self.tasks,
            busy_s: self.busy_s,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            second_runs: self.second_runs,
            taken_back: self.taken_back,
            gap_ms_p50: of(|ledger| &ledger.gaps, 50),
            gap_ms_p99: of(|ledger| &ledger.gaps, 99),
            dispatch_ms_p50: of(|ledger| &ledger.dispatches, 50),
            dispatch_ms_p99: of(|ledger| &ledger.dispatches, 99),
        }
    }
}
