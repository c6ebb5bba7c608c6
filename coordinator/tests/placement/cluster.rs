//! A cluster without a network and without a clock: devices and pictures in; how long they take, and their bits, out.
//!
//! Events happen in the order of their simulated time. A message takes 0.4 ms each way, so a call costs 0.8 ms beyond the
//! device's own time unless the next task is there before the present one ends.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use tessera_coordinator::fleet::{Fleet, Loss, Need, Placement, Standing, TaskName, Verdict};
use tessera_proto::{Hello, JobId, LeaseId, ModelFacts, Tensor, WorkerId};

use crate::picture::Picture;

/// One way of a message, ms.
const WAY: f64 = 0.4;

/// How a device behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    /// One call, ms.
    pub(crate) ms: f64,
    /// From this moment on, ms, a call takes so many times as long.
    pub(crate) change: Option<(f64, f64)>,
}

/// What happens to all calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// A call takes up to this share more or less.
    pub(crate) jitter: f64,
    /// This share of calls takes five times as long.
    pub(crate) slow: f64,
    pub(crate) seed: u64,
}

struct Machine {
    device: Device,
    worker: WorkerId,
    waiting: VecDeque<(LeaseId, Tensor)>,
    running: Option<(LeaseId, Tensor, f64)>,
}

enum Event {
    /// An order arrives.
    Order {
        machine: usize,
        lease: LeaseId,
        result: Tensor,
    },
    Withdraw {
        machine: usize,
        lease: LeaseId,
        stop: bool,
    },
    /// The running call ends.
    End {
        machine: usize,
        lease: LeaseId,
    },
    /// An outcome arrives; `busy` ms.
    Outcome {
        worker: WorkerId,
        lease: LeaseId,
        /// `None`: it was withdrawn.
        result: Option<Tensor>,
        busy: f64,
    },
    /// The fleet wants to be asked.
    Turn,
}

/// The whole simulation.
pub(crate) struct Cluster {
    pub(crate) fleet: Fleet,
    machines: Vec<Machine>,
    pub(crate) pictures: BTreeMap<JobId, Picture>,
    names: HashMap<LeaseId, TaskName>,
    /// By time, ns, and by number.
    events: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    start: Instant,
    /// ms.
    pub(crate) now: f64,
    weather: Weather,
    random: u64,
    /// When the next timer rings, ms.
    armed: f64,
    /// Whose calls were handed out, in this order.
    pub(crate) given: Vec<JobId>,
    /// When each job was over, ms.
    pub(crate) ended: BTreeMap<JobId, f64>,
}

impl Device {
    pub(crate) const fn of(ms: f64) -> Self {
        Self { ms, change: None }
    }
}

impl Cluster {
    pub(crate) fn new(devices: &[Device], weather: Weather) -> Self {
        let mut cluster = Self {
            fleet: Fleet::default(),
            machines: Vec::new(),
            pictures: BTreeMap::new(),
            names: HashMap::new(),
            events: BTreeMap::new(),
            numbered: 0,
            start: Instant::now(),
            now: 0.0,
            random: weather.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            armed: 0.0,
            weather,
            given: Vec::new(),
            ended: BTreeMap::new(),
        };
        devices.iter().for_each(|&device| cluster.join(device));
        cluster
    }

    /// One more device.
    pub(crate) fn join(&mut self, device: Device) {
        let hello = Hello::serving("m", "sim:1", ModelFacts::simulated());
        let worker = self.fleet.enlist(hello, self.instant());
        self.machines.push(Machine { device, worker, waiting: VecDeque::new(), running: None });
        self.hand_out();
    }

    /// A device is gone. What it was about to say may still arrive.
    pub(crate) fn kill(&mut self, machine: usize) {
        let worker = self.machines[machine].worker;
        for loss in self.fleet.dismiss(worker) {
            if let Loss::GivenUp(task) = loss {
                self.cancel(task.job);
            }
        }
        self.hand_out();
    }

    pub(crate) fn machines(&self) -> usize {
        self.machines.len()
    }

    /// A job comes.
    pub(crate) fn submit(&mut self, picture: (Picture, Vec<Need>), standing: Standing) {
        let (picture, needs) = picture;
        self.fleet.admit(picture.id, standing);
        self.pictures.insert(picture.id, picture);
        needs.into_iter().for_each(|need| self.fleet.enqueue(need));
        self.hand_out();
    }

    /// A job ends before it is done.
    pub(crate) fn cancel(&mut self, job: JobId) {
        if let Some(picture) = self.pictures.get_mut(&job) {
            picture.cancel();
        }
        let void = self.fleet.drop_job(job);
        void.into_iter().for_each(|held| self.withdraw(held, true));
        self.hand_out();
    }

    /// Whether a job is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.pictures.values().any(|picture| !picture.is_over())
    }

    /// Lets all jobs end; returns when the last one does, ms.
    pub(crate) fn finish(&mut self) -> f64 {
        for _ in 0..1_000_000 {
            if !self.is_busy() {
                return self.now;
            }
            assert!(self.step(), "jobs are open, and nothing will happen any more");
        }
        panic!("jobs do not end");
    }

    /// The next event; returns whether there was one.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        #[expect(clippy::cast_precision_loss, reason = "a simulation lasts minutes")]
        let now = at as f64 / 1e6;
        self.now = now;
        match event {
            Event::Order { machine, lease, result } => {
                self.machines[machine].waiting.push_back((lease, result));
                self.begin(machine);
            }
            Event::Withdraw { machine, lease, stop } => {
                let Machine { worker, waiting, running, .. } = &mut self.machines[machine];
                let (worker, before) = (*worker, waiting.len());
                waiting.retain(|(waiting, _)| *waiting != lease);
                let stopped = running.take_if(|(running, ..)| stop && *running == lease).is_some();
                if stopped || self.machines[machine].waiting.len() < before {
                    self.after(WAY, Event::Outcome { worker, lease, result: None, busy: 0.0 });
                }
                self.begin(machine);
            }
            Event::End { machine, lease } => {
                let Machine { worker, running, .. } = &mut self.machines[machine];
                let worker = *worker;
                if let Some((lease, result, busy)) = running.take_if(|(running, ..)| *running == lease) {
                    self.after(WAY, Event::Outcome { worker, lease, result: Some(result), busy });
                }
                self.begin(machine);
            }
            Event::Outcome { worker, lease, result: Some(result), busy } => {
                self.outcome(worker, lease, &result, busy);
            }
            Event::Outcome { worker, lease, result: None, .. } => {
                let verdict = self.fleet.settle(worker, lease, None, self.instant());
                assert!(matches!(verdict, Verdict::Stale), "nobody waits for it");
                self.hand_out();
            }
            Event::Turn => self.hand_out(),
        }
        true
    }

    /// The same outcome arrives a second time.
    pub(crate) fn repeat(&mut self, pick: usize) {
        let leases: Vec<_> = self.names.keys().copied().collect();
        let Some(&lease) = leases.get(pick % leases.len().max(1)) else { return };
        let worker = self.machines[pick % self.machines.len()].worker;
        // A lease that is void, or is another worker's, counts for nothing whatever comes with it.
        let settled = self.fleet.worker(worker).is_none() || !self.holds(worker, lease);
        if settled {
            let verdict = self.fleet.settle(worker, lease, None, self.instant());
            assert!(matches!(verdict, Verdict::Stale));
        }
    }

    fn holds(&self, worker: WorkerId, lease: LeaseId) -> bool {
        let machine = self.machines.iter().find(|machine| machine.worker == worker);
        let on_the_way = self.events.values().any(|event| match event {
            Event::Order { lease: other, .. } | Event::Outcome { lease: other, .. } => *other == lease,
            _ => false,
        });
        on_the_way
            || machine.is_some_and(|machine| {
                machine.running.as_ref().is_some_and(|(running, ..)| *running == lease)
                    || machine.waiting.iter().any(|(waiting, _)| *waiting == lease)
            })
    }

    fn outcome(&mut self, worker: WorkerId, lease: LeaseId, result: &Tensor, busy: f64) {
        let now = self.instant();
        let busy = Duration::from_secs_f64(busy / 1e3);
        if let Verdict::Current(held) = self.fleet.settle(worker, lease, Some(busy), now) {
            let TaskName { job, number } = held.need.task;
            if let Some(loser) = self.fleet.accept(&held) {
                self.withdraw(loser, false);
            }
            if let Some(picture) = self.pictures.get_mut(&job) {
                picture.complete(number, result).into_iter().for_each(|need| self.fleet.enqueue(need));
                if picture.is_over() {
                    self.ended.insert(job, self.now);
                    let void = self.fleet.drop_job(job);
                    void.into_iter().for_each(|held| self.withdraw(held, true));
                }
            }
        }
        self.hand_out();
    }

    fn hand_out(&mut self) {
        let now = self.instant();
        let Placement { withdrawn, orders } = self.fleet.assign(now);
        withdrawn.into_iter().for_each(|held| self.withdraw(held, false));
        for order in orders {
            let machine = self.machine(order.worker);
            let result = self.pictures[&order.task.job].run(order.task.number).expect("the task is open");
            self.names.insert(order.lease, order.task);
            self.given.push(order.task.job);
            self.after(WAY, Event::Order { machine, lease: order.lease, result });
        }
        // As the actor does: one timer, which never rings too early.
        if let Some(turn) = self.fleet.next_turn(now) {
            let at = turn.duration_since(self.start).as_secs_f64() * 1e3 + 1e-3;
            if self.armed <= self.now || at < self.armed {
                self.armed = at;
                self.after(at - self.now, Event::Turn);
            }
        }
    }

    fn begin(&mut self, index: usize) {
        if self.machines[index].running.is_some() {
            return;
        }
        let Some((lease, result)) = self.machines[index].waiting.pop_front() else { return };
        let Device { ms, change } = self.machines[index].device;
        let changed = change.filter(|(from, _)| *from <= self.now).map_or(1.0, |(_, factor)| factor);
        let Weather { jitter, slow, .. } = self.weather;
        let slowed = if self.draw() < slow { 5.0 } else { 1.0 };
        let takes = ms * changed * slowed * (1.0 + jitter * (2.0 * self.draw() - 1.0));
        self.machines[index].running = Some((lease, result, takes));
        self.after(takes, Event::End { machine: index, lease });
    }

    /// As the actor does: what has begun is stopped where its job is over.
    fn withdraw(&mut self, (worker, lease): (WorkerId, LeaseId), stop: bool) {
        let machine = self.machine(worker);
        self.after(WAY, Event::Withdraw { machine, lease, stop });
    }

    fn machine(&self, worker: WorkerId) -> usize {
        self.machines.iter().position(|machine| machine.worker == worker).expect("a worker has a machine")
    }

    fn after(&mut self, ms: f64, event: Event) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below hours in ns")]
        let at = ((self.now + ms.max(0.0)) * 1e6) as u64;
        self.numbered += 1;
        self.events.insert((at, self.numbered), event);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now / 1e3)
    }

    /// 0 to 1, xorshift64 (Marsaglia 2003).
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        f64::from(u32::try_from(self.random >> 32).expect("32 bits are left")) / f64::from(u32::MAX)
    }
}
