//! Leases, losses and retries, with no network and no clock.

use std::collections::HashSet;

use proptest::prelude::*;
use tessera_proto::ModelFacts;

use super::*;

const JOB: JobId = JobId::new(1);

fn hello(name: &str) -> Hello {
    Hello { name: name.into(), device: "sim:1".into(), model: ModelFacts::simulated() }
}

fn need(number: u64, call: u64) -> Need {
    Need {
        task: TaskName { job: JOB, number: TaskNumber(number) },
        model: ModelFacts::simulated().hash,
        priority: Priority { job: 0, call, rank: 0 },
        tensors: Vec::new(),
        line: None,
        failures: 0,
        losses: 0,
        avoid: None,
    }
}

fn numbers(orders: &[Order]) -> Vec<(u64, u64)> {
    orders.iter().map(|order| (order.worker.get(), order.task.number.0)).collect()
}

#[test]
fn every_worker_gets_a_first_task_before_any_gets_a_second() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enlist(hello("a"), now);
    fleet.enlist(hello("b"), now);
    (0..5).for_each(|number| fleet.enqueue(need(number, 9 - number)));
    assert_eq!(numbers(&fleet.assign(now)), [(1, 4), (2, 3), (1, 2), (2, 1)]);
    assert!(fleet.assign(now).is_empty(), "both hands are full");
}

#[test]
fn a_line_of_tasks_stays_on_its_worker_until_that_is_gone() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let workers = [fleet.enlist(hello("a"), now), fleet.enlist(hello("b"), now)];
    let next = |number, index| Need { line: Some(Line { job: JOB, index }), ..need(number, number) };
    (0..4).for_each(|number| fleet.enqueue(next(number, u32::try_from(number % 2).unwrap())));
    let orders = fleet.assign(now);
    assert_eq!(numbers(&orders), [(1, 0), (2, 1), (1, 2), (2, 3)], "line 0 on one, line 1 on the other");
    for order in orders {
        assert!(matches!(fleet.settle(order.worker, order.lease, now), Verdict::Current(_)));
    }
    (4..6).for_each(|number| fleet.enqueue(next(number, 0)));
    assert_eq!(numbers(&fleet.assign(now)), [(1, 4), (1, 5)], "the other one is idle, but has not the line");
    assert_eq!(fleet.dismiss(workers[0]).len(), 2);
    assert_eq!(numbers(&fleet.assign(now)), [(2, 4), (2, 5)], "it moves when its worker is gone");
}

#[test]
fn a_lost_workers_tasks_go_elsewhere_and_its_late_outcome_is_dropped() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let first = fleet.enlist(hello("a"), now);
    fleet.enqueue(need(0, 0));
    let order = fleet.assign(now).remove(0);
    assert_eq!(fleet.dismiss(first), [Loss::Requeued(order.task)]);
    let second = fleet.enlist(hello("b"), now);
    let again = fleet.assign(now).remove(0);
    assert_eq!((again.worker, again.task), (second, order.task));
    assert!(matches!(fleet.settle(first, order.lease, now), Verdict::Stale));
    assert!(matches!(fleet.settle(second, again.lease, now), Verdict::Current(_)));
    assert!(matches!(fleet.settle(second, again.lease, now), Verdict::Stale), "a result counts once");
    assert_eq!(fleet.stale(), 2);
}

#[test]
fn a_task_that_kills_its_workers_is_given_up() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enqueue(need(0, 0));
    for round in 0..=MAX_LOSSES {
        let worker = fleet.enlist(hello("victim"), now);
        let order = fleet.assign(now).remove(0);
        let expected =
            if round < MAX_LOSSES { Loss::Requeued(order.task) } else { Loss::GivenUp(order.task) };
        assert_eq!(fleet.dismiss(worker), [expected], "round {round}");
    }
    fleet.enlist(hello("survivor"), now);
    assert!(fleet.assign(now).is_empty());
}

#[test]
fn a_failed_task_is_tried_once_more_on_another_worker() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let first = fleet.enlist(hello("a"), now);
    let second = fleet.enlist(hello("b"), now);
    fleet.enqueue(need(0, 0));
    let order = fleet.assign(now).remove(0);
    assert_eq!(order.worker, first);
    let Verdict::Current(lease) = fleet.settle(first, order.lease, now) else { panic!("the lease holds") };
    assert!(fleet.retry(lease));
    let order = fleet.assign(now).remove(0);
    assert_eq!(order.worker, second, "the first worker is avoided");
    let Verdict::Current(lease) = fleet.settle(second, order.lease, now) else { panic!("the lease holds") };
    assert!(!fleet.retry(lease), "twice is enough");
}

#[test]
fn conditioning_is_sent_once_per_worker() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enlist(hello("a"), now);
    let digest = Digest::new([1; 32]);
    (0..2).for_each(|number| fleet.enqueue(Need { tensors: vec![digest], ..need(number, 0) }));
    let sent: Vec<_> = fleet.assign(now).into_iter().map(|order| order.send).collect();
    assert_eq!(sent, [vec![digest], vec![]]);
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
    fleet.assign(start);
    fleet.heard(stuck, start + 11 * minute);
    assert_eq!(overdue(&fleet, 11 * minute), [stuck]);
}

#[test]
fn a_queued_task_has_its_own_time() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let worker = fleet.enlist(hello("slow"), start);
    (0..2).for_each(|number| fleet.enqueue(need(number, number)));
    let first = fleet.assign(start).remove(0);
    let minute = Duration::from_secs(60);
    let overdue = |fleet: &Fleet, after| fleet.overdue(start + after, 100 * minute, 10 * minute);
    assert!(matches!(fleet.settle(worker, first.lease, start + 9 * minute), Verdict::Current(_)));
    assert!(overdue(&fleet, 18 * minute).is_empty(), "the second one began 9 minutes ago");
    assert_eq!(overdue(&fleet, 20 * minute), [worker]);
}

#[test]
fn a_worker_that_says_goodbye_finishes_what_it_runs() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let leaving = fleet.enlist(hello("a"), now);
    (0..2).for_each(|number| fleet.enqueue(need(number, number)));
    let orders = fleet.assign(now);
    assert_eq!(fleet.drain(leaving), [orders[1].lease]);
    assert!(!fleet.is_drained(leaving));
    let other = fleet.enlist(hello("b"), now);
    assert_eq!(numbers(&fleet.assign(now)), [(other.get(), 1)]);
    assert!(matches!(fleet.settle(leaving, orders[0].lease, now), Verdict::Current(_)));
    assert!(fleet.is_drained(leaving));
}

#[test]
fn leaving_in_order_is_no_loss() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    fleet.enqueue(need(0, 0));
    for _ in 0..3 * MAX_LOSSES {
        let worker = fleet.enlist(hello("rolling update"), now);
        let order = fleet.assign(now).remove(0);
        fleet.drain(worker);
        assert_eq!(fleet.dismiss(worker), [Loss::Requeued(order.task)]);
    }
}

#[test]
fn the_tasks_of_an_ended_job_are_void() {
    let (mut fleet, now) = (Fleet::default(), Instant::now());
    let worker = fleet.enlist(hello("a"), now);
    (0..4).for_each(|number| fleet.enqueue(need(number, number)));
    let leases: Vec<_> = fleet.assign(now).iter().map(|order| order.lease).collect();
    let mut void = fleet.drop_job(JOB);
    void.sort_unstable();
    assert_eq!(void, leases.iter().map(|&lease| (worker, lease)).collect::<Vec<_>>());
    assert!(fleet.assign(now).is_empty());
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
                    if let Verdict::Current(lease) = fleet.settle(worker, lease, now) {
                        accepted.push(lease.need.task.number.0);
                    }
                },
            }
            open.extend(fleet.assign(now).iter().map(|order| (order.worker, order.lease)));
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
