//! Leases, losses and retries, with no network and no clock.

use std::collections::HashSet;

use proptest::prelude::*;
use tessera_proto::ModelFacts;

use super::*;

const JOB: JobId = JobId::new(1);

fn hello(name: &str) -> Hello {
    Hello::serving(name, "sim:1", ModelFacts::simulated())
}

const CLASS: Class = Class { kind: Kind::Denoise, part: 2, shape: [1, 4, 96, 96] };

fn need(number: u64, call: u64) -> Need {
    let task = TaskName { job: JOB, number: TaskNumber(number) };
    Need::new(task, ModelFacts::simulated().hash, CLASS, Priority { call, rank: 0 })
}

/// The answer to a lease; all its time was spent in the network.
fn settle(fleet: &mut Fleet, worker: WorkerId, lease: LeaseId, now: Instant) -> Option<Lease> {
    match fleet.settle(worker, lease, Some(Duration::MAX), now) {
        Verdict::Current(lease) => {
            fleet.accept(&lease);
            Some(*lease)
        }
        Verdict::Stale => None,
    }
}

fn failed(fleet: &mut Fleet, order: &Order, now: Instant) -> Lease {
    match fleet.settle(order.worker, order.lease, None, now) {
        Verdict::Current(lease) => *lease,
        Verdict::Stale => panic!("the lease holds"),
    }
}

fn assign(fleet: &mut Fleet, now: Instant) -> Vec<Order> {
    fleet.assign(now).orders
}

fn numbers(orders: &[Order]) -> Vec<(u64, u64)> {
    orders.iter().map(|order| (order.worker.get(), order.task.number.0)).collect()
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_worker_gets_its_next_task_just_before_it_ends_the_present_one() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let worker = fleet.enlist(hello("a"), start);
    fleet.enlist(hello("b"), start);
    (0..6).for_each(|number| fleet.enqueue(need(number, 9 - number)));
    let first = assign(&mut fleet, start);
    assert_eq!(numbers(&first), [(1, 5), (2, 4)], "the most urgent one first, and one each");
    assert_eq!(numbers(&assign(&mut fleet, start + 99 * MS)), [], "how long they take is not known");
    settle(&mut fleet, worker, first[0].lease, start + 100 * MS);
    assert_eq!(numbers(&assign(&mut fleet, start + 100 * MS)), [(1, 3)]);
    assert_eq!(numbers(&assign(&mut fleet, start + 190 * MS)), [], "it takes 10 ms more");
    let turn = fleet.next_turn(start + 190 * MS).unwrap() - start;
    assert!((190 * MS..199 * MS).contains(&turn), "the next task is sent {turn:?} after the start");
    assert_eq!(numbers(&assign(&mut fleet, start + turn)), [(1, 2)]);
    assert_eq!(numbers(&assign(&mut fleet, start + 199 * MS)), [], "both hands are full");
}

#[test]
fn a_line_of_tasks_stays_on_its_worker_until_that_is_gone() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let workers = [fleet.enlist(hello("a"), now), fleet.enlist(hello("b"), now)];
    let next = |number, index| Need { line: Some(Line { job: JOB, index }), ..need(number, number) };
    (0..4).for_each(|number| fleet.enqueue(next(number, u32::try_from(number % 2).unwrap())));
    let orders = assign(&mut fleet, now);
    assert_eq!(numbers(&orders), [(1, 0), (2, 1), (1, 2), (2, 3)], "line 0 on one, line 1 on the other");
    for order in orders {
        assert!(settle(&mut fleet, order.worker, order.lease, now).is_some());
    }
    (4..6).for_each(|number| fleet.enqueue(next(number, 0)));
    assert_eq!(
        numbers(&assign(&mut fleet, now)),
        [(1, 4), (1, 5)],
        "the other one is idle, but has not the line"
    );
    assert_eq!(fleet.dismiss(workers[0]).len(), 2);
    assert_eq!(numbers(&assign(&mut fleet, now)), [(2, 4), (2, 5)], "it moves when its worker is gone");
}

#[test]
fn a_lost_workers_tasks_go_elsewhere_and_its_late_outcome_is_dropped() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let first = fleet.enlist(hello("a"), now);
    fleet.enqueue(need(0, 0));
    let order = assign(&mut fleet, now).remove(0);
    assert_eq!(fleet.dismiss(first), [Loss::Requeued(order.task)]);
    let second = fleet.enlist(hello("b"), now);
    let again = assign(&mut fleet, now).remove(0);
    assert_eq!((again.worker, again.task), (second, order.task));
    assert!(settle(&mut fleet, first, order.lease, now).is_none());
    assert!(settle(&mut fleet, second, again.lease, now).is_some());
    assert!(settle(&mut fleet, second, again.lease, now).is_none(), "a result counts once");
    assert_eq!(fleet.stale(), 2);
}

#[test]
fn a_task_that_kills_its_workers_is_given_up() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enqueue(need(0, 0));
    for round in 0..=MAX_LOSSES {
        let worker = fleet.enlist(hello("victim"), now);
        let order = assign(&mut fleet, now).remove(0);
        let expected =
            if round < MAX_LOSSES { Loss::Requeued(order.task) } else { Loss::GivenUp(order.task) };
        assert_eq!(fleet.dismiss(worker), [expected], "round {round}");
    }
    fleet.enlist(hello("survivor"), now);
    assert!(assign(&mut fleet, now).is_empty());
}

#[test]
fn a_failed_task_is_tried_once_more_on_another_worker() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let first = fleet.enlist(hello("a"), now);
    let second = fleet.enlist(hello("b"), now);
    fleet.enqueue(need(0, 0));
    let order = assign(&mut fleet, now).remove(0);
    assert_eq!(order.worker, first);
    let lease = failed(&mut fleet, &order, now);
    assert!(fleet.retry(lease));
    let order = assign(&mut fleet, now).remove(0);
    assert_eq!(order.worker, second, "the first worker is avoided");
    let lease = failed(&mut fleet, &order, now);
    assert!(!fleet.retry(lease), "twice is enough");
}

/// Its answers are refused, the others' to the same tasks are good: three times, and it is given nothing more.
#[test]
fn a_worker_whose_answers_are_refused_is_quarantined() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let [bad, good] = ["bad", "good"].map(|name| fleet.enlist(hello(name), now));
    let lease = |orders: &[Order], worker: WorkerId| {
        let order = orders.iter().find(|order| order.worker == worker).expect("it has a task");
        (order.lease, order.clone())
    };
    for round in 1..=MAX_FAULTS {
        (0..2).for_each(|number| fleet.enqueue(need(u64::from(2 * round + number), 0)));
        let orders = assign(&mut fleet, now);
        let (_, order) = lease(&orders, bad);
        let refused = Fleet::suspected(failed(&mut fleet, &order, now));
        assert!(fleet.retry(refused));
        settle(&mut fleet, good, lease(&orders, good).0, now).expect("it holds");
        let again = assign(&mut fleet, now);
        let settled = settle(&mut fleet, good, lease(&again, good).0, now).expect("it holds");
        assert_eq!(settled.need.task, order.task);
        assert_eq!(fleet.convict(&settled), (round == MAX_FAULTS).then_some(bad), "round {round}");
    }
    (10..12).for_each(|number| fleet.enqueue(need(number, 0)));
    let orders = assign(&mut fleet, now);
    assert_eq!(fleet.quarantine(bad, "nonsense".to_owned()), [lease(&orders, bad).0]);
    assert_eq!(fleet.worker(bad).unwrap().quarantine(), Some("nonsense"));
    settle(&mut fleet, good, lease(&orders, good).0, now).expect("it holds");
    let again = assign(&mut fleet, now);
    assert_eq!((again.len(), again[0].task), (1, lease(&orders, bad).1.task), "what it had goes elsewhere");
    (20..24).for_each(|number| fleet.enqueue(need(number, 0)));
    assert!(assign(&mut fleet, now).iter().all(|order| order.worker == good), "and nothing comes to it");
}

/// A task that nobody can do well is no fault of a worker's.
#[test]
fn a_worker_is_not_blamed_for_a_task_that_fails_everywhere() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    for name in ["a", "b"] {
        fleet.enlist(hello(name), now);
    }
    for round in 0..2 * MAX_FAULTS {
        fleet.enqueue(need(u64::from(round), 0));
        let order = assign(&mut fleet, now).remove(0);
        let lease = Fleet::suspected(failed(&mut fleet, &order, now));
        assert!(fleet.retry(lease));
        let order = assign(&mut fleet, now).remove(0);
        let lease = Fleet::suspected(failed(&mut fleet, &order, now));
        assert!(!fleet.retry(lease));
    }
    assert!(fleet.workers().all(|(_, worker)| worker.serves()));
}

#[test]
fn conditioning_is_sent_once_per_worker() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enlist(hello("a"), now);
    let digest = Digest::new([1; 32]);
    (0..2).for_each(|number| fleet.enqueue(Need { tensors: vec![digest], ..need(number, 0) }));
    let first = assign(&mut fleet, now).remove(0);
    settle(&mut fleet, first.worker, first.lease, now);
    let second = assign(&mut fleet, now).remove(0);
    assert_eq!([first.send, second.send], [vec![digest], vec![]]);
    assert_eq!(fleet.forget(digest).len(), 1);
    assert!(fleet.forget(digest).is_empty());
}

#[test]
fn silent_and_stuck_workers_are_overdue() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let silent = fleet.enlist(hello("silent"), start);
    let stuck = fleet.enlist(hello("stuck"), start);
    let minute = Duration::from_secs(60);
    let overdue = |fleet: &Fleet, after| fleet.overdue(start + after, minute, 10 * minute);
    assert!(overdue(&fleet, minute).is_empty());
    fleet.heard(stuck, start + minute);
    assert_eq!(overdue(&fleet, minute + minute / 2), [silent]);
    fleet.dismiss(silent);
    fleet.enqueue(need(0, 0));
    assign(&mut fleet, start);
    fleet.heard(stuck, start + 11 * minute);
    assert_eq!(overdue(&fleet, 11 * minute), [stuck]);
}

/// Two tasks in the hands of one worker, which takes 100 ms for each: the first runs, the second is behind it.
fn both_hands_full(fleet: &mut Fleet, start: Instant) -> (WorkerId, Vec<Order>, Instant) {
    let worker = fleet.enlist(hello("a"), start);
    (0..3).for_each(|number| fleet.enqueue(need(number, number)));
    let first = assign(fleet, start).remove(0);
    settle(fleet, worker, first.lease, start + 100 * MS);
    let mut orders = assign(fleet, start + 100 * MS);
    let now = start + 199 * MS;
    orders.extend(assign(fleet, now));
    assert_eq!(numbers(&orders), [(worker.get(), 1), (worker.get(), 2)]);
    (worker, orders, now)
}

#[test]
fn a_queued_task_has_its_own_time() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let (worker, orders, _) = both_hands_full(&mut fleet, start);
    let minute = Duration::from_secs(60);
    let overdue = |fleet: &Fleet, after| fleet.overdue(start + after, 100 * minute, 10 * minute);
    assert!(settle(&mut fleet, worker, orders[0].lease, start + 9 * minute).is_some());
    assert!(overdue(&fleet, 18 * minute).is_empty(), "the second one began 9 minutes ago");
    assert_eq!(overdue(&fleet, 20 * minute), [worker]);
}

#[test]
fn a_worker_that_says_goodbye_finishes_what_it_runs() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let (leaving, orders, now) = both_hands_full(&mut fleet, start);
    assert_eq!(fleet.drain(leaving), [orders[1].lease]);
    assert!(!fleet.is_drained(leaving));
    let other = fleet.enlist(hello("b"), now);
    assert_eq!(numbers(&assign(&mut fleet, now)), [(other.get(), 2)]);
    assert!(settle(&mut fleet, leaving, orders[0].lease, now).is_some());
    assert!(fleet.is_drained(leaving));
}

#[test]
fn leaving_in_order_is_no_loss() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enqueue(need(0, 0));
    for _ in 0..3 * MAX_LOSSES {
        let worker = fleet.enlist(hello("rolling update"), now);
        let order = assign(&mut fleet, now).remove(0);
        fleet.drain(worker);
        assert_eq!(fleet.dismiss(worker), [Loss::Requeued(order.task)]);
    }
}

#[test]
fn the_tasks_of_an_ended_job_are_void() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let (worker, orders, now) = both_hands_full(&mut fleet, start);
    (4..9).for_each(|number| fleet.enqueue(need(number, number)));
    let void = fleet.drop_job(JOB);
    assert_eq!(void, orders.iter().map(|order| (worker, order.lease)).collect::<Vec<_>>());
    assert!(assign(&mut fleet, now).is_empty());
}

/// Two workers, `a` of the first device and `b` of the second, that take 100 ms a task, and three tasks: `a` has two in hand
/// 199 ms after the start, `b` has ended its one 1 ms later.
fn one_idle(fleet: &mut Fleet, devices: [&str; 2]) -> ([WorkerId; 2], Instant) {
    let start = Instant::now();
    let hello = |device: &str| Hello { device: device.into(), ..hello("w") };
    let workers = devices.map(|device| fleet.enlist(hello(device), start));
    (0..2).for_each(|number| fleet.enqueue(need(number, number)));
    let first = assign(fleet, start);
    for order in &first {
        settle(fleet, order.worker, order.lease, start + 100 * MS);
    }
    (2..5).for_each(|number| fleet.enqueue(need(number, number)));
    let second = assign(fleet, start + 100 * MS);
    assert_eq!(numbers(&second), [(1, 2), (2, 3)]);
    assert_eq!(numbers(&assign(fleet, start + 198 * MS)), [(1, 4)]);
    settle(fleet, workers[1], second[1].lease, start + 200 * MS);
    (workers, start)
}

#[test]
fn a_task_behind_a_late_one_is_taken_back() {
    let mut fleet = Fleet::default();
    let ([a, b], start) = one_idle(&mut fleet, ["sim:1", "cuda:0"]);
    assert!(fleet.assign(start + 200 * MS).orders.is_empty(), "it is about to begin");
    let late = start + 261 * MS;
    assert!(
        fleet.next_turn(start + 200 * MS).unwrap() <= late,
        "the fleet is asked when the first one is late"
    );
    let placement = fleet.assign(late);
    assert_eq!(placement.withdrawn.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [a]);
    assert_eq!(numbers(&placement.orders), [(b.get(), 4)]);
    assert_eq!(fleet.taken_back(), 1);
}

/// The orders of two late tasks' second runs, where `b` is idle and `a` is late with the one task that is left.
fn late_alone(devices: [&str; 2]) -> (Fleet, [WorkerId; 2], Vec<Order>, Instant) {
    let mut fleet = Fleet::default();
    let (workers, start) = one_idle(&mut fleet, devices);
    let late = start + 261 * MS;
    let back = assign(&mut fleet, late);
    for order in &back {
        settle(&mut fleet, order.worker, order.lease, late + 100 * MS);
    }
    let orders = assign(&mut fleet, late + 100 * MS);
    (fleet, workers, orders, late + 100 * MS)
}

#[test]
fn an_idle_worker_runs_a_late_task_too_and_the_first_result_wins() {
    let (mut fleet, [a, b], orders, now) = late_alone(["sim:1", "sim:2"]);
    assert_eq!((numbers(&orders), fleet.duplicates()), (vec![(b.get(), 2)], 1));
    let Verdict::Current(lease) = fleet.settle(b, orders[0].lease, Some(MS), now + 90 * MS) else {
        panic!("its lease holds");
    };
    let (loser, void) = fleet.accept(&lease).expect("the other one is withdrawn");
    assert_eq!(loser, a);
    assert!(settle(&mut fleet, a, void, now + 500 * MS).is_none(), "what comes later is dropped");
}

#[test]
fn bytes_of_another_kind_of_engine_are_not_taken_instead() {
    let (fleet, _, orders, _) = late_alone(["cpu:1", "cuda:0"]);
    assert_eq!((numbers(&orders), fleet.duplicates()), (vec![], 0));
}

#[test]
fn of_two_runs_of_a_task_one_may_be_lost_or_fail() {
    let (mut fleet, [a, b], orders, now) = late_alone(["sim:1", "sim:2"]);
    assert_eq!(fleet.dismiss(a), [], "the other one goes on");
    assert!(settle(&mut fleet, b, orders[0].lease, now).is_some());
    let (mut fleet, [a, _], orders, now) = late_alone(["sim:1", "sim:2"]);
    let lease = failed(&mut fleet, &orders[0], now);
    assert!(fleet.retry(lease), "the other one goes on");
    assert!(assign(&mut fleet, now).is_empty());
    let first = fleet.leases.iter().find(|(_, lease)| lease.worker == a).map(|(&id, _)| id);
    assert!(settle(&mut fleet, a, first.expect("it still runs"), now).is_some());
}

proptest! {
    /// Workers come, die and answer in any order: every task is accepted exactly once.
    #[test]
    fn no_task_is_lost_or_counted_twice(steps in proptest::collection::vec((0_u8..4, any::<u16>()), 1..200)) {
        let (mut fleet, now) = (Fleet::default(), Instant::now());
        let total = 12;
        (0..total).for_each(|number| fleet.enqueue(need(number, number % 3)));
        let (mut accepted, mut given_up) = (Vec::new(), 0);
        let mut open: Vec<(WorkerId, LeaseId)> = Vec::new();
        let mut apply = |fleet: &mut Fleet, kind: u8, pick: usize| {
            match kind {
                0 => { fleet.enlist(hello("w"), now); }
                1 => {
                    let ids: Vec<_> = fleet.workers().map(|(id, _)| id).collect();
                    if !ids.is_empty() {
                        let losses = fleet.dismiss(ids[pick % ids.len()]);
                        given_up += losses.iter().filter(|loss| matches!(loss, Loss::GivenUp(_))).count();
                    }
                }
                _ => if !open.is_empty() {
                    // Not removed from `open`: the same outcome may arrive twice.
                    let (worker, lease) = open[pick % open.len()];
                    if let Some(lease) = settle(fleet, worker, lease, now) {
                        accepted.push(lease.need.task.number.0);
                    }
                },
            }
            open.extend(assign(fleet, now).iter().map(|order| (order.worker, order.lease)));
        };
        for (kind, pick) in steps {
            apply(&mut fleet, kind, pick.into());
        }
        apply(&mut fleet, 0, 0);
        for round in 0..10_000 {
            apply(&mut fleet, 2, round);
        }
        accepted.sort_unstable();
        let distinct: HashSet<_> = accepted.iter().collect();
        prop_assert_eq!(distinct.len(), accepted.len());
        prop_assert_eq!(accepted.len() + given_up, usize::try_from(total).unwrap());
    }
}

#[test]
fn a_shared_tensor_is_sent_once_to_each_worker_that_serves_the_model() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let [first, second, leaving] = ["a", "b", "c"].map(|name| fleet.enlist(hello(name), now));
    fleet.drain(leaving);
    let digest = Digest::new([7; 32]);
    let model = ModelFacts::simulated().hash;
    assert_eq!(fleet.lacking([9; 32], digest), [], "nobody serves that one");
    assert_eq!(fleet.lacking(model, digest), [first, second]);
    assert_eq!(fleet.lacking(model, digest), []);
    fleet.enqueue(Need { tensors: vec![digest], ..need(1, 1) });
    assert_eq!(assign(&mut fleet, now)[0].send, [], "it is there already");
}

#[test]
fn a_worker_is_free_when_it_says_that_it_has_stopped() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let worker = fleet.enlist(hello("a"), now);
    fleet.enqueue(need(1, 1));
    let first = assign(&mut fleet, now);
    settle(&mut fleet, worker, first[0].lease, now + 100 * MS);
    (2..=3).for_each(|number| fleet.enqueue(need(number, number)));
    let running = assign(&mut fleet, now + 100 * MS)[0].lease;
    let queued = assign(&mut fleet, now + 199 * MS)[0].lease;
    let void = fleet.drop_job(JOB);
    assert_eq!(
        void.iter().map(|(_, lease)| *lease).collect::<HashSet<_>>(),
        HashSet::from([running, queued])
    );
    fleet.enqueue(need(4, 1));
    fleet.enqueue(need(5, 1));
    assert!(matches!(fleet.settle(worker, queued, None, now + 200 * MS), Verdict::Stale));
    assert_eq!(
        numbers(&assign(&mut fleet, now + 200 * MS)),
        [],
        "that one had not begun: the other runs still"
    );
    assert!(matches!(fleet.settle(worker, running, None, now + 201 * MS), Verdict::Stale));
    assert_eq!(numbers(&assign(&mut fleet, now + 201 * MS)), [(1, 4)]);
}
