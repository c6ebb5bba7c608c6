//! Which worker shall get which model: models that open jobs need in; workers that fetch, and what they shall serve, out.
//!
//! **A model that jobs need and nobody serves gets a worker**: one that has no model, else one whose model no open job
//! needs, else one of several that serve theirs. Only when both have had their time is the last worker of a model taken
//! from it. Then workers with nothing to do join the models that have tasks waiting, where fewest serve.
//!
//! A worker gets one model at a time, and is not asked again for one that it could not get a short while ago.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tessera_proto::{ContentHash, Hello, LeaseId, WorkerId};

use super::{
    Fleet,
    worker::{Conduct, Worker},
};

/// A worker that could not get a model is not asked for it again for so long.
const AGAIN: Duration = Duration::from_secs(60);

/// So long a model keeps its last worker while its jobs are open, and so long another one's jobs wait for that worker.
const TURN: Duration = Duration::from_secs(300);

/// A worker without work joins another model's when its jobs are open for longer than this: to get a model takes longer
/// than a short job.
const JOIN: Duration = Duration::from_secs(30);

/// A model that open jobs need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The model.
    pub model: ContentHash,
    /// Since when its oldest open job is there.
    pub since: Instant,
    /// Whether workers can get it from us.
    pub kept: bool,
}

/// What was decided so far.
struct Choice<'a> {
    demands: &'a [Demand],
    called: HashMap<WorkerId, ContentHash>,
    now: Instant,
}

// === impl Fleet ===

impl Fleet {
    /// Which workers shall get which models. The first of the demands is the most urgent.
    #[must_use]
    pub fn call_up(&self, demands: &[Demand], now: Instant) -> Vec<(WorkerId, ContentHash)> {
        let mut choice = Choice { demands, called: HashMap::new(), now };
        for demand in demands.iter().filter(|demand| demand.kept) {
            if self.servers(demand.model, &choice) == 0 {
                let ranked = self.workers.iter().filter_map(|(&id, worker)| {
                    Some((self.reluctance((id, worker), demand, &choice)?, !is_idle(worker), id))
                });
                let chosen = ranked.min().map(|(.., id)| (id, demand.model));
                choice.called.extend(chosen);
            }
        }
        for (&id, worker) in &self.workers {
            let joined = self.joined((id, worker), &choice).map(|model| (id, model));
            choice.called.extend(joined);
        }
        let mut called: Vec<_> = choice.called.into_iter().collect();
        called.sort_unstable();
        called
    }

    /// The worker takes no more tasks, finishes the one that it runs, and gets a model. Returns the leases of the others,
    /// which are void: their tasks wait again, and this counts as no loss.
    pub fn fetch(&mut self, id: WorkerId, model: ContentHash) -> Vec<LeaseId> {
        let Some(worker) = self.workers.get_mut(&id) else { return Vec::new() };
        worker.standing = Conduct::Fetching { model };
        let void: Vec<LeaseId> = worker.hands.iter().skip(1).map(|hand| hand.lease).collect();
        self.requeue(id, &void);
        void
    }

    /// A worker that was told to get a model says hello anew. Returns whether it was.
    pub fn renew(&mut self, id: WorkerId, hello: Hello, now: Instant) -> bool {
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.fetching().is_some()) else {
            return false;
        };
        // It has none: what it was told to finish came before its hello.
        let left: Vec<LeaseId> = worker.hands.iter().map(|hand| hand.lease).collect();
        let (tasks_done, faults) = (worker.tasks_done, worker.faults);
        self.requeue(id, &left);
        let mut renewed = Worker::new(hello, now);
        (renewed.tasks_done, renewed.faults) = (tasks_done, faults);
        self.workers.insert(id, renewed);
        true
    }

    /// Whether there are workers that get what is needed.
    #[must_use]
    pub fn fetches(&self) -> bool {
        self.workers
            .values()
            .any(|worker| worker.fetches() && (worker.serves() || worker.fetching().is_some()))
    }

    /// Whether a worker gets this model now.
    #[must_use]
    pub fn is_fetched(&self, model: ContentHash) -> bool {
        self.workers.values().any(|worker| worker.fetching() == Some(model))
    }

    /// Workers that serve a model, or will.
    fn servers(&self, model: ContentHash, choice: &Choice<'_>) -> usize {
        let serves = |(id, worker): (&WorkerId, &Worker)| {
            let called = choice.called.get(id);
            called == Some(&model)
                || worker.fetching() == Some(model)
                || (called.is_none() && worker.serves() && own(worker) == Some(model))
        };
        self.workers.iter().filter(|&worker| serves(worker)).count()
    }

    /// How little a worker is wanted for a model; `None` = not at all.
    fn reluctance(
        &self,
        (id, worker): (WorkerId, &Worker),
        demand: &Demand,
        choice: &Choice<'_>,
    ) -> Option<u8> {
        if !choice.may_get((id, worker), demand.model) {
            return None;
        }
        let Some(own) = own(worker) else { return Some(0) };
        if !choice.is_demanded(own) {
            return Some(1);
        }
        if 1 < self.servers(own, choice) {
            return Some(2);
        }
        let has_had = |since: Instant| TURN <= choice.now.saturating_duration_since(since);
        (has_had(worker.came()) && has_had(demand.since)).then_some(3)
    }

    /// The model that a worker without work joins.
    fn joined(&self, (id, worker): (WorkerId, &Worker), choice: &Choice<'_>) -> Option<ContentHash> {
        let own = own(worker);
        if !is_idle(worker) || own.is_some_and(|own| choice.is_demanded(own)) {
            return None;
        }
        let worth = |demand: &&Demand| {
            let lasts = own.is_none() || JOIN <= choice.now.saturating_duration_since(demand.since);
            let waits = 0 < self.queue.free(*demand.model.bytes());
            demand.kept && lasts && waits && choice.may_get((id, worker), demand.model)
        };
        let open = choice.demands.iter().filter(worth);
        open.min_by_key(|demand| self.servers(demand.model, choice)).map(|demand| demand.model)
    }
}

// === impl Choice ===

impl Choice<'_> {
    /// Whether a worker can be asked to get a model.
    fn may_get(&self, (id, worker): (WorkerId, &Worker), model: ContentHash) -> bool {
        let lately = self.now.saturating_duration_since(worker.came()) < AGAIN;
        let failed = lately && worker.failures().iter().any(|failure| failure.model == model);
        worker.fetches() && worker.serves() && !failed && !self.called.contains_key(&id)
    }

    fn is_demanded(&self, model: ContentHash) -> bool {
        self.demands.iter().any(|demand| demand.model == model)
    }
}

fn own(worker: &Worker) -> Option<ContentHash> {
    worker.model_hash().map(ContentHash::new)
}

fn is_idle(worker: &Worker) -> bool {
    worker.in_hand() == 0 && !worker.runs_in_vain()
}

#[cfg(test)]
mod tests {
    use tessera_proto::{FetchFailure, JobId, ModelFacts};

    use super::*;
    use crate::fleet::{Class, Kind, Need, Priority, TaskName, TaskNumber};

    const SECOND: Duration = Duration::from_secs(1);

    const A: ContentHash = ContentHash::new([1; 32]);
    const B: ContentHash = ContentHash::new([2; 32]);

    fn hello(model: Option<ContentHash>) -> Hello {
        let facts = |model: ContentHash| {
            let draft = ModelFacts::simulated().into_draft();
            ModelFacts::new(tessera_proto::facts::Draft { hash: *model.bytes(), ..draft }).unwrap()
        };
        Hello {
            name: "w".to_owned(),
            device: "cpu".to_owned(),
            model: model.map(facts),
            fetches: true,
            failures: Vec::new(),
        }
    }

    fn fleet(models: &[Option<ContentHash>], now: Instant) -> (Fleet, Vec<WorkerId>) {
        let mut fleet = Fleet::default();
        let ids = models.iter().map(|&model| fleet.enlist(hello(model), now)).collect();
        (fleet, ids)
    }

    fn wanted(model: ContentHash, since: Instant) -> Demand {
        Demand { model, since, kept: true }
    }

    /// A task that waits.
    fn enqueue(fleet: &mut Fleet, model: ContentHash, number: u64) {
        let task = TaskName { job: JobId::new(1), number: TaskNumber(number) };
        let class = Class { kind: Kind::Decode, part: 0, shape: [1, 4, 8, 8] };
        fleet.enqueue(Need::new(task, *model.bytes(), class, Priority { call: 0, rank: 0 }));
    }

    #[test]
    fn a_model_that_nobody_serves_gets_the_worker_that_is_missed_least() {
        let now = Instant::now();
        let (fleet, ids) = fleet(&[Some(A), Some(A), None], now);
        assert_eq!(fleet.call_up(&[wanted(B, now)], now), [(ids[2], B)], "one without a model");
        assert_eq!(fleet.call_up(&[wanted(A, now)], now), [], "it is served");
        let absent = Demand { kept: false, ..wanted(B, now) };
        assert_eq!(fleet.call_up(&[absent], now), [], "nobody can get it");
    }

    #[test]
    fn a_worker_whose_jobs_are_over_goes_before_one_of_several() {
        let now = Instant::now();
        let c = ContentHash::new([3; 32]);
        let (fleet, ids) = fleet(&[Some(A), Some(A), Some(c)], now);
        assert_eq!(fleet.call_up(&[wanted(A, now), wanted(B, now)], now), [(ids[2], B)]);
        assert_eq!(fleet.call_up(&[wanted(A, now), wanted(c, now), wanted(B, now)], now), [(ids[0], B)]);
    }

    #[test]
    fn the_last_worker_of_a_model_stays_for_its_turn() {
        let start = Instant::now();
        let (fleet, ids) = fleet(&[Some(A)], start);
        let both = |since| [wanted(A, start), wanted(B, since)];
        assert_eq!(fleet.call_up(&both(start), start + 200 * SECOND), []);
        assert_eq!(fleet.call_up(&both(start), start + 301 * SECOND), [(ids[0], B)]);
        let lately = start + 100 * SECOND;
        assert_eq!(fleet.call_up(&both(lately), start + 301 * SECOND), [], "it has not waited for long");
        assert_eq!(fleet.call_up(&both(start)[1..], start), [(ids[0], B)], "nobody needs the first any more");
    }

    #[test]
    fn a_worker_gets_one_model_at_a_time_and_says_hello_anew() {
        let now = Instant::now();
        let (mut fleet, ids) = fleet(&[None], now);
        let c = ContentHash::new([3; 32]);
        assert_eq!(fleet.call_up(&[wanted(A, now), wanted(B, now)], now), [(ids[0], A)]);
        assert!(fleet.fetch(ids[0], A).is_empty());
        assert!(fleet.is_fetched(A) && fleet.fetches());
        assert_eq!(fleet.call_up(&[wanted(A, now), wanted(B, now), wanted(c, now)], now), []);
        assert!(fleet.renew(ids[0], hello(Some(A)), now));
        assert!(!fleet.is_fetched(A));
        assert_eq!(fleet.worker(ids[0]).and_then(Worker::model_hash), Some(*A.bytes()));
        assert!(!fleet.renew(ids[0], hello(Some(B)), now), "nobody has asked");
    }

    #[test]
    fn one_that_could_not_get_a_model_is_left_alone_for_a_while() {
        let now = Instant::now();
        let mut fleet = Fleet::default();
        let failures = vec![FetchFailure { model: A, message: "no room".to_owned() }];
        let failed = fleet.enlist(Hello { failures, ..hello(None) }, now);
        assert_eq!(fleet.call_up(&[wanted(A, now)], now), []);
        assert_eq!(fleet.call_up(&[wanted(B, now)], now), [(failed, B)]);
        assert_eq!(fleet.call_up(&[wanted(A, now)], now + 61 * SECOND), [(failed, A)]);
        let other = fleet.enlist(hello(None), now);
        assert_eq!(fleet.call_up(&[wanted(A, now)], now), [(other, A)]);
    }

    #[test]
    fn one_that_runs_a_task_finishes_it_and_no_other_worker_is_told() {
        let now = Instant::now();
        let (mut fleet, ids) = fleet(&[Some(A), Some(A)], now);
        (0..4).for_each(|number| enqueue(&mut fleet, A, number));
        let orders = fleet.assign(now).orders;
        assert_eq!(orders.len(), 2);
        let called = fleet.call_up(&[wanted(A, now), wanted(B, now)], now);
        assert_eq!(called, [(ids[0], B)], "both are busy, and one can be spared");
        assert!(fleet.fetch(ids[0], B).is_empty(), "what it runs, it ends");
        assert_eq!(fleet.worker(ids[0]).map(Worker::in_hand), Some(1));
        assert!(fleet.assign(now).orders.iter().all(|order| order.worker != ids[0]));
    }

    #[test]
    fn workers_without_work_join_where_fewest_serve() {
        let now = Instant::now();
        let (mut fleet, ids) = fleet(&[Some(A), Some(B), None, None, Some(ContentHash::new([3; 32]))], now);
        enqueue(&mut fleet, A, 0);
        let demands = [wanted(A, now), wanted(B, now)];
        assert_eq!(fleet.call_up(&demands, now), [(ids[2], A), (ids[3], A)], "only A has tasks that wait");
        let later = now + 31 * SECOND;
        assert_eq!(fleet.call_up(&demands, later), [(ids[2], A), (ids[3], A), (ids[4], A)]);
    }

    #[test]
    fn one_that_serves_its_own_model_alone_is_told_nothing() {
        let now = Instant::now();
        let mut fleet = Fleet::default();
        fleet.enlist(Hello::serving("w", "cpu", ModelFacts::simulated()), now);
        assert!(!fleet.fetches());
        assert_eq!(fleet.call_up(&[wanted(A, now)], now + 1000 * SECOND), []);
    }
}
