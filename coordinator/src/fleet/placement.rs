//! Who runs what: waiting tasks and measured speeds in, orders out.
//!
//! **A free worker takes the most urgent task of the job whose turn it is.** Two things hold it back:
//!
//! - Faster workers come first. A worker leaves as many tasks to faster ones as those can end before it would end one, so
//!   a task goes where it ends earliest, though that worker may not be free yet. With nothing left beyond these it takes the
//!   least urgent task, if it ends that before the job stands still for want of it: each task says how many others can be
//!   done without it, and how fast the other workers are is measured. Towards the end of a job that leaves a slow worker
//!   with nothing.
//! - A busy worker gets its next task just before it ends the present one, so that its device need not wait for the network
//!   and no task is stranded behind another one. A worker of unknown speed gets one at a time.
//!
//! **An idle worker helps.** It takes back a task that waits behind another one elsewhere, or runs a task a second time
//! that somebody else is late with, if it is expected to end it sooner. Whoever ends first is taken; the other is withdrawn.

use std::time::Instant;

use tessera_proto::{LeaseId, WorkerId};

use super::{
    Fleet, Lease, Need, Order, Reason,
    account::Account,
    worker::{GRACE, Hand, Room, Worker},
};

/// A worker counts as faster than another one if it takes less than this share of its time.
const FASTER: f64 = 0.9;

/// An idle worker helps if the other one is expected to take this many times as long.
const WORTH: f64 = 1.1;

/// A tile that has left its work on a slow worker is begun anew elsewhere when it is late by so many times.
const ANEW: f64 = 4.0;

/// What is to be said to workers.
#[derive(Debug, Default)]
pub struct Placement {
    /// Leases that are void now.
    pub withdrawn: Vec<(WorkerId, LeaseId)>,
    /// Tasks and who runs them.
    pub orders: Vec<Order>,
}

/// Workers of one model beside a certain one.
#[derive(Debug, Default)]
struct Others {
    /// Tasks that faster ones end before that one would end one.
    ahead: usize,
    /// Tasks that all of them end in a second.
    rate: f64,
}

// === impl Fleet ===

impl Fleet {
    /// Hands waiting tasks to workers.
    pub fn assign(&mut self, now: Instant) -> Placement {
        let mut placement = Placement::default();
        let rooms = loop {
            let rooms = self.rooms(now);
            let before = placement.orders.len();
            for &(id, room) in &rooms {
                if let Some(need) = self.choose(id, room, now).cloned() {
                    placement.orders.push(self.order(need, id, now));
                }
            }
            if placement.orders.len() == before {
                break rooms;
            }
        };
        for (id, room) in rooms {
            if room == Room::Now && !self.take_back(id, now, &mut placement) {
                placement.orders.extend(self.run_twice(id, now));
            }
        }
        placement
    }

    /// When to [assign](Self::assign) again though nothing is heard: at the latest then the next task is to be sent, or a
    /// task is late.
    #[must_use]
    pub fn next_turn(&self, now: Instant) -> Option<Instant> {
        self.workers.values().filter_map(|worker| worker.next_turn(now)).min()
    }

    /// Workers that can take a task: idle ones before those that soon will be, those that have the model warm before cold
    /// ones, fast ones before slow ones.
    fn rooms(&self, now: Instant) -> Vec<(WorkerId, Room)> {
        let taking = self.workers.iter().filter(|(_, worker)| worker.serves());
        let mut rooms: Vec<_> = taking
            .map(|(&id, worker)| (worker.room(now), worker.pace(now), id))
            .filter(|(room, ..)| *room != Room::None)
            .collect();
        rooms.sort_by(|(a, pace_a, _), (b, pace_b, _)| {
            a.rank().cmp(&b.rank()).then_with(|| pace_a.total_cmp(pace_b))
        });
        rooms.into_iter().map(|(room, _, id)| (id, room)).collect()
    }

    /// What a worker shall take.
    fn choose(&self, id: WorkerId, room: Room, now: Instant) -> Option<&Need> {
        let model = self.workers.get(&id)?.model_hash()?;
        let wait = match room {
            Room::Now => Some(0.0),
            Room::Soon(wait) => Some(wait),
            Room::Behind => None,
            Room::None => return None,
        };
        self.queue.in_turn(model, id).into_iter().find_map(|(_, account)| {
            let free = wait.and_then(|wait| self.choose_free(account, id, wait, now));
            account.at_home(id).into_iter().chain(free).min_by_key(|need| need.key())
        })
    }

    /// What a worker that is free in `wait` seconds shall take of a job's tasks that any worker may run.
    fn choose_free<'a>(
        &self,
        account: &'a Account,
        id: WorkerId,
        wait: f64,
        now: Instant,
    ) -> Option<&'a Need> {
        let worker = self.workers.get(&id)?;
        let alone = self.peers(worker).count() < 2;
        let fits = |need: &&Need| alone || need.avoid != Some(id);
        let first = account.free.values().find(fits)?;
        let last = || account.free.values().rev().find(fits);
        let Some(takes) = worker.expected(first.class, now) else {
            // Where the speed of others is known, a stranger shows its own with what is needed last.
            let known = self.peers(worker).any(|(_, peer)| peer.expected(first.class, now).is_some());
            return if known { last() } else { Some(first) };
        };
        let Others { ahead, rate } = self.others(id, first, (takes, wait), now);
        if ahead == 0 {
            return Some(first);
        }
        if ahead < self.queue.free(account.model) {
            return account.free.values().filter(fits).take(ahead + 1).last();
        }
        let left =
            |need: &Need| f64::from(u32::try_from(need.due.saturating_sub(account.done)).unwrap_or(u32::MAX));
        last().filter(|need| (takes + wait) * rate <= left(need))
    }

    /// The workers beside one that `takes` so many seconds for the task, in `wait` seconds from now.
    fn others(&self, id: WorkerId, need: &Need, (takes, wait): (f64, f64), now: Instant) -> Others {
        let mut others = Others::default();
        let Some(worker) = self.workers.get(&id) else { return others };
        // One that must not run it again leaves it to others.
        let able = |other: WorkerId| other != id && need.avoid != Some(other);
        for (_, peer) in self.peers(worker).filter(|(other, _)| able(*other)) {
            let Some(theirs) = peer.expected(need.class, now) else { continue };
            // A network that takes no time at all counts as one of a microsecond.
            let theirs = theirs.max(1e-6);
            others.rate += 1.0 / theirs;
            if theirs < FASTER * takes {
                let until = FASTER * (takes + wait) - peer.remaining(now);
                others.ahead += whole(until / theirs);
            }
        }
        others
    }

    /// Workers that take tasks of the same model, itself among them.
    fn peers(&self, worker: &Worker) -> impl Iterator<Item = (WorkerId, &Worker)> {
        let model = worker.model_hash();
        let same = move |worker: &Worker| worker.model_hash() == model && worker.serves();
        self.workers.iter().filter(move |(_, other)| same(other)).map(|(&id, worker)| (id, worker))
    }

    /// An idle worker takes a task that waits behind another one elsewhere; returns whether there is one.
    fn take_back(&mut self, id: WorkerId, now: Instant, placement: &mut Placement) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        let stranded = self.peers(worker).filter_map(|(other, peer)| {
            let &Hand { lease, class, .. } = peer.behind().next()?;
            let waits = peer.remaining(now);
            let sooner = WORTH * worker.expected(class, now)? + GRACE < waits;
            let need = &self.leases.get(&lease).filter(|held| sooner && held.need.line.is_none())?.need;
            (need.avoid != Some(id)).then_some((waits, other, lease))
        });
        let worst = stranded.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let Some((_, other, lease)) = worst else { return false };
        let Some(held) = self.void(other, lease) else { return false };
        placement.withdrawn.push((other, lease));
        self.taken_back += 1;
        self.queue.push(held.need.clone());
        let order = self.order(held.need, id, now);
        placement.orders.push(Order { reason: Reason::TakenBack { from: other }, ..order });
        true
    }

    /// An idle worker runs a task that another one is late with, or slow.
    fn run_twice(&mut self, id: WorkerId, now: Instant) -> Option<Order> {
        let worker = self.workers.get(&id)?;
        let late = self.peers(worker).filter_map(|(other, peer)| {
            let first = peer.hands.first().filter(|_| other != id && !peer.runs_in_vain())?;
            let takes = worker.expected(first.class, now)?;
            let worth = WORTH * takes + GRACE < peer.present(now) && peer.engine() == worker.engine();
            let held = self.leases.get(&first.lease).filter(|_| worth)?;
            let since = now.saturating_duration_since(peer.busy_since()?).as_secs_f64();
            let anew = held.need.line.is_none() || ANEW * takes + GRACE < since;
            let free = held.twin.is_none() && held.need.avoid != Some(id);
            (anew && free).then_some((held.need.due, first.lease))
        });
        let (_, lease) = late.min()?;
        let need = self.leases.get(&lease)?.need.clone();
        self.duplicates += 1;
        self.queue.leased(need.task.job, 1);
        let order = self.lend(need, id, (0.0, Some(lease)), now);
        if let Some(held) = self.leases.get_mut(&lease) {
            held.twin = Some(order.lease);
        }
        Some(order)
    }

    /// A waiting task goes to a worker.
    fn order(&mut self, need: Need, id: WorkerId, now: Instant) -> Order {
        let expected = self.workers.get(&id).and_then(|worker| worker.expected(need.class, now));
        let paid = self.queue.take(&need, id, expected);
        self.lend(need, id, (paid, None), now)
    }

    fn lend(
        &mut self,
        need: Need,
        id: WorkerId,
        (paid, twin): (f64, Option<LeaseId>),
        now: Instant,
    ) -> Order {
        self.next_lease += 1;
        let lease = LeaseId::new(self.next_lease);
        let mut send = Vec::new();
        if let Some(worker) = self.workers.get_mut(&id) {
            send = need.tensors.iter().copied().filter(|&digest| worker.kept.insert(digest)).collect();
            worker.hands.push(Hand { lease, class: need.class, since: now });
        }
        let reason = if twin.is_some() { Reason::Second } else { Reason::Turn };
        let order = Order { worker: id, lease, task: need.task, send, reason };
        self.leases.insert(lease, Lease { need, worker: id, since: now, paid, twin });
        order
    }
}

// === impl Room ===

impl Room {
    const fn rank(self) -> u8 {
        match self {
            Self::Now => 0,
            Self::Soon(_) => 1,
            Self::Behind => 2,
            Self::None => 3,
        }
    }
}

/// The whole tasks in a number of them, none if it is negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a small count before")]
fn whole(tasks: f64) -> usize {
    tasks.clamp(0.0, 1e6) as usize
}
