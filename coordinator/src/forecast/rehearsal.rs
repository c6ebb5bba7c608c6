//! Tasks on devices without devices: a leg and what each device takes in; when the last task ends, and who ran what, out.
//! Pure.
//!
//! The real [`Fleet`] places the tasks; only the time is made up. Messages take none: a measured time has them in it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use tessera_proto::{Class, Hello, JobId, LeaseId, ModelFacts, Speed, WorkerId};

use super::{
    device::{Device, Time},
    script::{Ready, Script},
};
use crate::{
    fleet::{Fleet, Line, Need, Order, Priority, Standing, TaskName, TaskNumber, Verdict},
    render::Leg,
};

/// The only job.
const JOB: JobId = JobId::new(1);

/// What each device takes for each class.
pub(super) type Times = BTreeMap<Class, Vec<Time>>;

/// A fleet in made-up time.
#[derive(Debug)]
pub(super) struct Rehearsal {
    fleet: Fleet,
    machines: Vec<Machine>,
    index: HashMap<WorkerId, usize>,
    facts: ModelFacts,
    /// By time and by number.
    events: BTreeMap<(Duration, u64), Event>,
    numbered: u64,
    origin: Instant,
    now: Duration,
    /// All tasks so far, by number.
    tasks: Vec<Ready>,
    legs: u64,
    /// When the next timer rings.
    armed: Option<Duration>,
}

#[derive(Debug)]
struct Machine {
    worker: WorkerId,
    waiting: VecDeque<(LeaseId, TaskName)>,
    /// The task and what it takes.
    running: Option<(LeaseId, TaskName, Duration)>,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The running task of a machine ends.
    End(usize),
    /// The fleet wants to be asked.
    Turn,
}

/// What a leg came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ran {
    /// From its first task to its last result.
    pub(super) took: Duration,
    /// Per device: tasks whose results counted, and their time.
    pub(super) devices: Vec<(usize, Duration)>,
}

// === impl Rehearsal ===

impl Rehearsal {
    /// Devices that have done nothing yet. `origin` is any moment; times count from it.
    pub(super) fn new(devices: &[Device], facts: &ModelFacts, origin: Instant) -> Self {
        let mut fleet = Fleet::default();
        fleet.admit(JOB, Standing::default());
        let enlist = |device: &Device| {
            let hello = Hello::serving(device.name.clone(), device.device.clone(), facts.clone());
            let worker = fleet.enlist(hello, origin);
            Machine { worker, waiting: VecDeque::new(), running: None }
        };
        let machines: Vec<Machine> = devices.iter().map(enlist).collect();
        Self {
            index: machines.iter().enumerate().map(|(index, machine)| (machine.worker, index)).collect(),
            fleet,
            machines,
            facts: facts.clone(),
            events: BTreeMap::new(),
            numbered: 0,
            origin,
            now: Duration::ZERO,
            tasks: Vec::new(),
            legs: 0,
            armed: None,
        }
    }

    /// Plays a leg, of a pass its first `calls` model calls.
    pub(super) fn play(&mut self, leg: &Leg, times: &Times, calls: usize) -> Ran {
        self.legs += 1;
        let begun = self.now;
        self.teach(times);
        let mut devices = vec![(0, Duration::ZERO); self.machines.len()];
        let (mut script, ready) = Script::new(leg, calls);
        self.enqueue(&ready);
        self.hand_out(times);
        while !script.is_done() {
            // A fleet with a worker and a task always has something to come.
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            self.now = at;
            if let Event::End(machine) = event
                && let Some((task, took)) = self.end(machine)
            {
                let (tasks, busy) = &mut devices[machine];
                (*tasks, *busy) = (*tasks + 1, *busy + took);
                let ready = script.complete(task.index);
                self.enqueue(&ready);
            }
            self.hand_out(times);
        }
        Ran { took: self.now - begun, devices }
    }

    /// The fleet knows what the forecast knows.
    fn teach(&mut self, times: &Times) {
        let now = self.instant();
        for (&class, times) in times {
            for (machine, time) in self.machines.iter().zip(times) {
                self.fleet.teach(machine.worker, Speed { class, took: time.took }, now);
            }
        }
    }

    fn enqueue(&mut self, ready: &[Ready]) {
        for &task in ready {
            let number = TaskNumber(self.tasks.len() as u64);
            self.tasks.push(task);
            let priority =
                Priority { call: self.legs << 32 | task.step as u64, rank: u32::MAX - task.waiting };
            let mut need = Need::new(TaskName { job: JOB, number }, self.facts.hash, task.class, priority);
            need.slack = task.slack;
            // No leg goes on with what another one has kept.
            let line = u32::try_from(self.legs << 24 | task.index as u64).ok().filter(|_| task.kept);
            need.line = line.map(|index| Line { job: JOB, index });
            self.fleet.enqueue(need);
        }
    }

    /// A machine ends its task. Returns the task and what it took, if its result counts.
    fn end(&mut self, machine: usize) -> Option<(Ready, Duration)> {
        let (lease, name, took) = self.machines[machine].running.take()?;
        let now = self.instant();
        match self.fleet.settle(self.machines[machine].worker, lease, Some(took), now) {
            Verdict::Stale => None,
            Verdict::Current(held) => {
                if let Some((loser, lease)) = self.fleet.accept(&held) {
                    self.withdraw(loser, lease);
                }
                Some((*self.task(name)?, took))
            }
        }
    }

    fn hand_out(&mut self, times: &Times) {
        let now = self.instant();
        let placement = self.fleet.assign(now);
        placement.withdrawn.into_iter().for_each(|(worker, lease)| self.withdraw(worker, lease));
        for Order { worker, lease, task, .. } in placement.orders {
            if let Some(&machine) = self.index.get(&worker) {
                self.machines[machine].waiting.push_back((lease, task));
            }
        }
        (0..self.machines.len()).for_each(|machine| self.begin(machine, times));
        let Some(turn) = self.fleet.next_turn(now) else { return };
        let at = turn.saturating_duration_since(self.origin);
        if self.armed.is_none_or(|armed| armed <= self.now || at < armed) {
            self.armed = Some(at);
            self.after(at.saturating_sub(self.now), Event::Turn);
        }
    }

    /// An idle machine begins what waits there.
    fn begin(&mut self, machine: usize, times: &Times) {
        if self.machines[machine].running.is_some() {
            return;
        }
        let Some((lease, name)) = self.machines[machine].waiting.pop_front() else { return };
        let time =
            self.task(name).and_then(|task| times.get(&task.class)).and_then(|times| times.get(machine));
        let took = time.map_or(Duration::ZERO, |time| time.took);
        self.machines[machine].running = Some((lease, name, took));
        self.after(took, Event::End(machine));
    }

    fn withdraw(&mut self, worker: WorkerId, lease: LeaseId) {
        if let Some(&machine) = self.index.get(&worker) {
            self.machines[machine].waiting.retain(|(waiting, _)| *waiting != lease);
        }
    }

    fn task(&self, name: TaskName) -> Option<&Ready> {
        self.tasks.get(usize::try_from(name.number.0).ok()?)
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.numbered += 1;
        self.events.insert((self.now + time, self.numbered), event);
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }
}
