//! A worker as the coordinator sees it: what it holds and how long that has taken in, when it will be free out.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use tessera_proto::{ContentHash, Digest, FetchFailure, Hello, LeaseId, ModelFacts, Speed};

use super::{
    IN_HAND,
    speed::{Class, Speeds},
};

/// Round trip beyond the task itself before one is measured, s.
const OVERHEAD: f64 = 0.001;

/// The next task is sent so many round trips before the present one ends.
const LEAD_TRIPS: f64 = 3.0;

/// And this share of the task, because no two take exactly the same.
const LEAD_SHARE: f64 = 0.02;

/// A task is late after so many times what was expected.
const LATE: f64 = 1.5;

/// No task is late for less than this, s: on a busy machine a message may take as long.
pub(super) const GRACE: f64 = 0.01;

/// A task of unknown length is late after this, s.
const UNKNOWN: f64 = 0.05;

/// One attended stream.
#[derive(Debug)]
pub struct Worker {
    hello: Hello,
    /// When it said hello, for the last time.
    came: Instant,
    pub(super) last_seen: Instant,
    /// When it last ended a task, whether that still counted or not.
    last_outcome: Option<Instant>,
    /// What it holds, the oldest first: that one runs.
    pub(super) hands: Vec<Hand>,
    /// What it runs although nobody wants it any more, and since when: until it says that it has stopped.
    ghost: Option<(Hand, Instant)>,
    pub(super) kept: HashSet<Digest>,
    pub(super) standing: Conduct,
    /// Answers of it that were refused, while another worker's to the same task was good.
    pub(super) faults: u32,
    pub(super) tasks_done: u64,
    speeds: Speeds,
    /// Round trip of a task beyond the task itself, s.
    overhead: f64,
    /// Of its last task.
    last_class: Option<Class>,
}

/// Whether a worker is given tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conduct {
    /// It is.
    Serving,
    /// It finishes what it has, and goes.
    Draining,
    /// It finishes what it has, and gets this model.
    Fetching {
        /// The model.
        model: ContentHash,
    },
    /// Its answers cannot be trusted.
    Quarantined {
        /// What it has done.
        why: String,
    },
}

/// A task in a worker's hands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    pub(super) lease: LeaseId,
    pub(super) class: Class,
    /// When it was handed out.
    pub(super) since: Instant,
}

/// Whether a worker can take a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Room {
    /// It is idle.
    Now,
    /// It will be idle in so many seconds: time to send the next task.
    Soon(f64),
    /// It is busy, and has a hand for a task that nobody else can run.
    Behind,
    /// It can take none.
    None,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(hello: Hello, now: Instant) -> Self {
        Self {
            hello,
            came: now,
            last_seen: now,
            last_outcome: None,
            hands: Vec::new(),
            ghost: None,
            kept: HashSet::new(),
            standing: Conduct::Serving,
            faults: 0,
            tasks_done: 0,
            speeds: Speeds::default(),
            overhead: OVERHEAD,
            last_class: None,
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.hello.name
    }

    /// Its device, as given to `--device`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.hello.device
    }

    /// The kind of its engine, `cuda` of `cuda:0`: engines of one kind return the same bytes.
    #[must_use]
    pub fn engine(&self) -> &str {
        self.device().split(':').next().unwrap_or_default()
    }

    /// The model it serves; one that fetches may have none yet.
    #[must_use]
    pub const fn model(&self) -> Option<&ModelFacts> {
        self.hello.model.as_ref()
    }

    /// Content hash of its model.
    #[must_use]
    pub fn model_hash(&self) -> Option<[u8; 32]> {
        self.model().map(|facts| facts.hash)
    }

    /// Whether it serves whatever model it is told to.
    #[must_use]
    pub const fn fetches(&self) -> bool {
        self.hello.fetches
    }

    /// The model that it gets now.
    #[must_use]
    pub const fn fetching(&self) -> Option<ContentHash> {
        match self.standing {
            Conduct::Fetching { model } => Some(model),
            _ => None,
        }
    }

    /// What it could not get, by its last hello.
    #[must_use]
    pub fn failures(&self) -> &[FetchFailure] {
        &self.hello.failures
    }

    /// When it said hello, for the last time.
    #[must_use]
    pub const fn came(&self) -> Instant {
        self.came
    }

    /// Tasks in its hands.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.hands.len()
    }

    /// Tasks done since it came.
    #[must_use]
    pub const fn tasks_done(&self) -> u64 {
        self.tasks_done
    }

    /// When it was last heard of.
    #[must_use]
    pub const fn last_seen(&self) -> Instant {
        self.last_seen
    }

    /// Whether it is given tasks.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.standing == Conduct::Serving
    }

    /// Whether it finishes what it has, and goes.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.standing == Conduct::Draining
    }

    /// Why it is given no tasks although it stays.
    #[must_use]
    pub fn quarantine(&self) -> Option<&str> {
        match &self.standing {
            Conduct::Quarantined { why } => Some(why),
            Conduct::Serving | Conduct::Draining | Conduct::Fetching { .. } => None,
        }
    }

    /// How long its tasks take, by class.
    #[must_use]
    pub fn speeds(&self) -> Vec<Speed> {
        self.speeds.all()
    }

    /// It is known to take so long.
    pub(super) fn teach(&mut self, Speed { class, took }: Speed, now: Instant) {
        self.speeds.record(class, took, now);
    }

    /// How long a task of this class will take, s.
    pub(super) fn expected(&self, class: Class, now: Instant) -> Option<f64> {
        self.speeds.expected(class, now)
    }

    /// How long its last task would take again, s: infinite for one that has done nothing yet, or nothing for long.
    pub(super) fn pace(&self, now: Instant) -> f64 {
        self.last_class.and_then(|class| self.expected(class, now)).unwrap_or(f64::INFINITY)
    }

    /// A task ended. `busy` is the time in the network, of one that succeeded. Returns how long the worker was at it.
    pub(super) fn ended(&mut self, lease: LeaseId, busy: Option<Duration>, now: Instant) -> Option<Duration> {
        // One that it does not hold was withdrawn before it began: what the worker runs goes on.
        let (hand, began) = self.held(lease)?;
        // Tasks end in the order in which they were sent: what was before this one is over.
        self.ghost = None;
        self.hands.retain(|hand| hand.lease != lease);
        let queued = hand.since < began;
        self.last_outcome = Some(now);
        let took = now.saturating_duration_since(began);
        if let Some(busy) = busy {
            self.speeds.record(hand.class, took, now);
            self.last_class = Some(hand.class);
            if !queued {
                let beyond = took.saturating_sub(busy).as_secs_f64();
                self.overhead += (beyond - self.overhead) / 8.0;
            }
        }
        Some(took)
    }

    /// A lease of it is void.
    pub(super) fn release(&mut self, lease: LeaseId) {
        let held = self.held(lease);
        let first = self.hands.first().is_some_and(|hand| hand.lease == lease);
        self.hands.retain(|hand| hand.lease != lease);
        if first && self.ghost.is_none() {
            self.ghost = held;
        }
    }

    /// It was never sent the task of a lease, and will not answer it.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.ghost = self.ghost.filter(|(hand, _)| hand.lease != lease);
    }

    /// What it runs, and since when.
    pub(super) fn running(&self) -> Option<(Class, Instant)> {
        let first = || self.hands.first().map(|hand| (*hand, self.began(hand)));
        self.ghost.or_else(first).map(|(hand, began)| (hand.class, began))
    }

    /// Whether what it runs is void: until it says that it has stopped, its device is not free.
    #[must_use]
    pub fn runs_in_vain(&self) -> bool {
        self.ghost.is_some()
    }

    /// Whether it can take a task now.
    pub(super) fn room(&self, now: Instant) -> Room {
        let Some((class, began)) = self.running() else { return Room::Now };
        let in_vain = self.runs_in_vain();
        if IN_HAND <= self.hands.len() + usize::from(in_vain) {
            return Room::None;
        }
        let due = self.expected(class, now).map(|expected| expected - self.lead(expected));
        let elapsed = now.saturating_duration_since(began).as_secs_f64();
        if due.is_some_and(|due| due <= elapsed) && !self.is_late(class, began, now) && !in_vain {
            Room::Soon(self.remaining(now))
        } else {
            Room::Behind
        }
    }

    /// Until all that it holds is done, s.
    pub(super) fn remaining(&self, now: Instant) -> f64 {
        let behind = self.behind().filter_map(|hand| self.expected(hand.class, now));
        self.present(now) + behind.sum::<f64>()
    }

    /// Until what it runs is done, s. What is late is taken to need as long again as it has taken so far.
    pub(super) fn present(&self, now: Instant) -> f64 {
        let Some((class, began)) = self.running() else { return 0.0 };
        let elapsed = now.saturating_duration_since(began).as_secs_f64();
        match self.expected(class, now) {
            Some(expected) if elapsed < expected => expected - elapsed,
            Some(_) if !self.is_late(class, began, now) => 0.0,
            _ => elapsed,
        }
    }

    /// Tasks that it holds and cannot have begun.
    pub(super) fn behind(&self) -> impl Iterator<Item = &Hand> {
        self.hands.iter().skip(usize::from(!self.runs_in_vain()))
    }

    /// The next moment at which there is something to decide though nothing is heard: its next task is to be sent, or the
    /// present one is late, or twice as late as before.
    pub(super) fn next_turn(&self, now: Instant) -> Option<Instant> {
        let (class, began) = self.running()?;
        let expected = self.expected(class, now)?;
        let elapsed = now.saturating_duration_since(began).as_secs_f64();
        let mut after = expected - self.lead(expected);
        if after <= elapsed {
            after = LATE * expected + GRACE;
        }
        while after <= elapsed {
            after *= 2.0;
        }
        // Past it, however it was rounded.
        Some(began + Duration::from_secs_f64(after) + Duration::from_micros(1))
    }

    /// Whether a task that began then takes longer than expected.
    fn is_late(&self, class: Class, began: Instant, now: Instant) -> bool {
        let late = self.expected(class, now).map_or(UNKNOWN, |expected| LATE * expected + GRACE);
        late <= now.saturating_duration_since(began).as_secs_f64()
    }

    /// Since when it is at the task of its oldest lease, or at one that is void.
    pub(super) fn busy_since(&self) -> Option<Instant> {
        self.running().map(|(_, began)| began)
    }

    /// How long before the end of a task the next one is sent, s.
    fn lead(&self, expected: f64) -> f64 {
        (LEAD_TRIPS * self.overhead).max(LEAD_SHARE * expected)
    }

    fn held(&self, lease: LeaseId) -> Option<(Hand, Instant)> {
        self.ghost.filter(|(hand, _)| hand.lease == lease).or_else(|| {
            let hand = self.hands.iter().find(|hand| hand.lease == lease)?;
            Some((*hand, self.began(hand)))
        })
    }

    /// A task begins when it is there and the one before it is done.
    fn began(&self, hand: &Hand) -> Instant {
        self.last_outcome.map_or(hand.since, |done| done.max(hand.since))
    }
}
