//! What a ledger makes of task times.

use super::*;

fn times(
    task: u64,
    worker: WorkerId,
    (sent, received): (Instant, Instant),
    before: Option<Instant>,
) -> TaskTimes {
    let place = Place { stage: Stage::Hires, tile: Some(u32::try_from(task).unwrap()), step: Some(0) };
    let (task, busy) = (TaskNumber(task), Duration::from_millis(10));
    TaskTimes { task, place, worker, sent, received, before, busy, bytes: 50 }
}

/// Two tasks are sent at once to one worker; each spends 10 ms in the network, the second waits for the first.
fn two_tasks(start: Instant, traced: bool) -> Ledger {
    let at = |ms| start + Duration::from_millis(ms);
    let mut ledger = Ledger::new(start, traced);
    let worker = WorkerId::new(1);
    ledger.introduce(worker, ("a", "sim:10"), start);
    for (task, received, before) in [(1, 11, None), (2, 22, Some(at(11)))] {
        ledger.task_sent(Stage::Hires, worker, 100, at(0));
        ledger.task_done(times(task, worker, (at(0), at(received)), before));
    }
    ledger
}

#[test]
fn overhead_is_what_neither_network_nor_queue_explains() {
    let ledger = two_tasks(Instant::now(), false);
    let stage = ledger.stage(Stage::Hires, &ledger.times()[&Stage::Hires]);
    assert!((stage.round_trip_overhead_ms_p50 - 1.0).abs() < 1e-9);
    assert!((stage.busy_share - 20.0 / 22.0).abs() < 1e-9);
    assert_eq!(stage.tasks, 2);
}

#[test]
fn a_gap_is_what_lies_between_two_networks() {
    let mut ledger = two_tasks(Instant::now(), false);
    ledger.dispatched(Stage::Hires, WorkerId::new(1), Duration::from_micros(300));
    let worker = &ledger.worker_reports()[0];
    assert!((worker.gap_ms_p50 - 1.0).abs() < 1e-9, "{worker:?}");
    assert!((worker.dispatch_ms_p99 - 0.3).abs() < 1e-9, "{worker:?}");
}

fn plan() -> Summary {
    let size = tessera_proto::job::Size { width: 8, height: 8 };
    let (stages, notes) = (Vec::new(), Vec::new());
    Summary { model: String::new(), base: size, target: size, texts: 0, stages, tasks: 2, notes }
}

#[test]
fn a_worker_counts_for_as_long_as_it_is_there() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut ledger = two_tasks(start, false);
    // One is there for 11 of the 22 ms and does nothing; the next comes when all is over.
    ledger.introduce(WorkerId::new(2), ("b", "sim:10"), at(0));
    ledger.left(WorkerId::new(2), at(11));
    ledger.introduce(WorkerId::new(3), ("c", "sim:10"), at(60));
    let times = ledger.times()[&Stage::Hires];
    assert!((times.had_s - 0.033).abs() < 1e-9 && (times.busy_s - 0.020).abs() < 1e-9, "{times:?}");
}

#[test]
fn what_an_earlier_coordinator_measured_counts_too() {
    let start = Instant::now();
    let text = serde_json::to_string(&two_tasks(start, false).past()).unwrap();
    // A minute later another one does the same again, with a worker that came back.
    let later = start + Duration::from_secs(60);
    let mut ledger = Ledger { submitted: start, ..two_tasks(later, false) };
    ledger.recall(serde_json::from_str(&text).unwrap());
    let report = ledger.so_far(plan(), later + Duration::from_millis(22));
    assert!((report.wall_s - 60.022).abs() < 1e-9, "the wait counts in the job: {}", report.wall_s);
    let stage = &report.stages[0];
    assert!((stage.wall_s - 0.044).abs() < 1e-9 && stage.tasks == 4, "and not in the stage: {stage:?}");
    assert!(stage.begin_s == 0.0 && (stage.busy_share - 40.0 / 44.0).abs() < 1e-9, "{stage:?}");
    assert_eq!(report.workers.len(), 1);
    assert_eq!((report.workers[0].tasks, report.workers[0].bytes_received), (4, 200));
    assert_eq!(ledger.spent_in(Stage::Hires), Duration::from_millis(44));
    assert_eq!(ledger.past().stages[&Stage::Hires].tasks, 4, "once more");
}

#[test]
fn a_trace_has_a_slice_per_task_and_an_arrow_per_wait() {
    let start = Instant::now();
    let mut ledger = two_tasks(start, true);
    ledger.released(TaskNumber(1), TaskNumber(2));
    // What was asked for when the job ended has no slice, and no arrow.
    ledger.released(TaskNumber(2), TaskNumber(3));
    let job = JobId::new(u64::MAX);
    let subject = Subject { job, plan: plan(), origin: start };
    let report = ledger.report(subject, start + Duration::from_millis(30));
    let trace: serde_json::Value = serde_json::from_slice(&report.trace().unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |ph: &str, pid: u64| -> Vec<_> {
        events.iter().filter(|event| event["ph"] == ph && event["pid"] == pid).collect()
    };
    let slices: Vec<_> = of("X", 1)
        .iter()
        .map(|e| (e["name"].as_str().unwrap(), e["ts"].as_u64(), e["dur"].as_u64()))
        .collect();
    assert_eq!(
        slices,
        [
            ("hires tile 1 step 0", Some(1000), Some(10_000)),
            ("hires tile 2 step 0", Some(12_000), Some(10_000))
        ]
    );
    let jobs: Vec<_> = of("X", 2).iter().map(|e| (e["ts"].as_u64(), e["dur"].as_u64())).collect();
    assert_eq!(jobs, [(Some(0), Some(30_000)), (Some(0), Some(22_000))]);
    let (starts, ends) = (of("s", 1), of("f", 1));
    assert_eq!((starts.len(), ends.len()), (1, 1));
    assert_eq!((&starts[0]["ts"], &ends[0]["ts"]), (&serde_json::json!(11_000), &serde_json::json!(12_000)));
    assert_eq!(starts[0]["id"], ends[0]["id"]);
}
