//! `--trace` and `tessera bench scaling`: what they write is what Perfetto and scripts can read.

use std::{collections::HashMap, fs, time::Duration};

use serde_json::Value;
use tessera_tests::{cluster::Cluster, process::Running, program, render::Render, report};

/// `[begin, end)` of a slice, microseconds.
fn span(event: &Value) -> (u64, u64) {
    let number = |field: &str| event[field].as_u64().unwrap_or_else(|| panic!("no {field} in {event}"));
    (number("ts"), number("ts") + number("dur"))
}

/// What must hold in any trace of one coordinator.
fn check(trace: &Value, jobs: usize, tasks: usize) {
    let events = trace["traceEvents"].as_array().expect("events");
    let drawn = |pid: u64| events.iter().filter(move |event| event["ph"] == "X" && event["pid"] == pid);
    // Of a task that two workers ran, one result counts.
    let slices = |pid: u64| drawn(pid).filter(|event| event["args"]["withdrawn"] != true);
    let of_job = |event: &Value| event["args"]["job"].as_str().map(ToOwned::to_owned).expect("a job");
    let whole = slices(2).filter(|event| event["name"].as_str().is_some_and(|name| name.starts_with("job ")));
    let spans: HashMap<String, (u64, u64)> = whole.map(|event| (of_job(event), span(event))).collect();
    assert_eq!((spans.len(), slices(1).count()), (jobs, tasks));
    let mut rows: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    for slice in slices(1).chain(slices(2)) {
        let ((begin, end), job) = (span(slice), spans[&of_job(slice)]);
        assert!(job.0 <= begin && end <= job.1, "{slice} lies outside its job, {job:?}");
    }
    for slice in drawn(1) {
        rows.entry(slice["tid"].as_u64().expect("a row")).or_default().push(span(slice));
    }
    for (row, mut slices) in rows {
        slices.sort_unstable();
        let apart = slices.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        assert!(apart, "slices of device {row} overlap: {slices:?}");
        let named =
            |event: &Value| event["ph"] == "M" && event["name"] == "thread_name" && event["tid"] == row;
        assert!(events.iter().any(named), "device {row} has no name");
    }
    let tasks: HashMap<(String, u64), (u64, u64)> = slices(1)
        .map(|event| ((of_job(event), event["args"]["task"].as_u64().expect("a task")), span(event)))
        .collect();
    let ends = |ph: &'static str| events.iter().filter(move |event| event["ph"] == ph);
    let mut begun = HashMap::new();
    for event in ends("s") {
        let slice = tasks[&(of_job(event), event["args"]["task"].as_u64().expect("a task"))];
        let at = event["ts"].as_u64().expect("a time");
        assert_eq!(at, slice.1, "an arrow begins where its slice ends");
        begun.insert(event["id"].to_string(), at);
    }
    assert!(!begun.is_empty(), "tiles wait for one another");
    for event in ends("f") {
        let slice = tasks[&(of_job(event), event["args"]["task"].as_u64().expect("a task"))];
        assert_eq!(event["ts"].as_u64(), Some(slice.0), "an arrow ends where its slice begins");
        let from = begun.remove(&event["id"].to_string()).expect("an arrow that ends has begun");
        assert!(from <= slice.0, "nothing runs before what it waits for: {event}");
    }
    assert!(begun.is_empty(), "arrows without end: {begun:?}");
}

#[test]
fn a_trace_shows_every_task_once_on_its_device() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let rendered = Render::simulated("sim:5,sim:8~0.2#3")
        .flags("--width 128 --height 128 --steps 2 --hires-steps 4 --scale 3 --tile 24")
        .args(["--trace".as_ref(), path.as_os_str()])
        .rendered();
    let tasks: u64 = rendered
        .report()
        .at("/stages")
        .as_array()
        .expect("stages")
        .iter()
        .filter_map(|stage| stage["tasks"].as_u64())
        .sum();
    let trace = report::parse(&fs::read_to_string(path).expect("a trace"));
    check(&trace, 1, usize::try_from(tasks).expect("few"));
    for worker in rendered.report().at("/workers").as_array().expect("workers") {
        for field in
            ["gap_ms_p50", "gap_ms_p99", "dispatch_ms_p50", "dispatch_ms_p99", "bytes_sent", "bytes_received"]
        {
            assert!(worker[field].as_f64().is_some_and(|value| 0.0 < value), "{field} in {worker}");
        }
    }
}

#[test]
fn what_was_run_twice_is_counted_and_drawn() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:20", "sim:20", "sim:20/0.1x40#7"], None);
    let job = submitted(
        &cluster,
        "--width 128 --height 128 --steps 1 --hires-steps 12 --scale 3 --tile 24 --trace",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let watched = cluster.run(&["watch", &job, "--trace", &path("trace.json")]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let fetched = cluster.run(&["fetch", &job, "-o", &path("a.png"), "--report", &path("a.json")]);
    assert_eq!(fetched.code, Some(0), "{fetched:?}");
    let report = report::parse(&fs::read_to_string(path("a.json")).expect("a report"));
    let sum = |list: &str, field: &str| -> u64 {
        report[list].as_array().into_iter().flatten().filter_map(|entry| entry[field].as_u64()).sum()
    };
    let twice = report["second_runs"].as_u64().expect("a count");
    assert!(0 < twice && twice == sum("workers", "second_runs"), "{report}");
    assert_eq!(report["taken_back"].as_u64(), Some(sum("workers", "taken_back")), "{report}");
    let trace = report::parse(&fs::read_to_string(path("trace.json")).expect("a trace"));
    check(&trace, 1, usize::try_from(sum("stages", "tasks")).expect("few"));
    let events = trace["traceEvents"].as_array().expect("events");
    let named = |event: &&Value| event["name"].as_str().is_some_and(|name| name.ends_with(" (withdrawn)"));
    let withdrawn: Vec<&Value> = events.iter().filter(named).collect();
    assert!(!withdrawn.is_empty() && withdrawn.len() as u64 <= twice, "{twice} second runs: {withdrawn:?}");
    assert!(withdrawn.iter().all(|event| event["args"]["withdrawn"] == true && event["pid"] == 1));
}

#[test]
fn only_a_traced_job_leaves_a_trace_to_watch() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:1"], None);
    let job = submitted(&cluster, "--width 64 --height 64 --steps 1 --scale 1");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ended = cluster.run(&["watch", &job, "--trace", &path("trace.txt")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.error().contains("must end in .json"), "{ended:?}");
    let ended = cluster.run(&["watch", &job, "--trace", &path("trace.json")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.error(), format!("job {job} has no trace: submit it with --trace"));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
}

/// Other jobs' networks run on the device that one job's hires pass leaves idle.
#[test]
fn one_jobs_gap_is_anothers_upscale_encode_and_decode() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:30", "sim:30"], None);
    // One tile at a time, call after call: a device is idle all the while.
    let long = submitted(&cluster, "--width 64 --height 64 --steps 1 --hires-steps 100 --scale 2 --trace");
    let watch = Running::start(&mut cluster.command(&["watch", &long, "--json"]));
    watch.line(Duration::from_secs(30), |line| line.contains("\"stage\":\"hires\""));
    let other = submitted(
        &cluster,
        "--width 64 --height 64 --steps 1 --hires-steps 1 --scale 2 --upscaler sim-2x --upscale-tile 64 --trace",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let slices = |job: &str, cat: &str| -> Vec<(u64, u64)> {
        let path = folder.path().join("trace.json");
        let watched = cluster.run(&["watch", job, "--trace", &path.display().to_string()]);
        assert_eq!(watched.code, Some(0), "{watched:?}");
        let trace = report::parse(&fs::read_to_string(path).expect("a trace"));
        let events = trace["traceEvents"].as_array().expect("events").iter();
        events.filter(|event| event["pid"] == 1 && event["cat"] == cat).map(span).collect()
    };
    let hires = slices(&long, "hires");
    let (first, last) = (hires.iter().min().expect("slices").0, hires.iter().max().expect("slices").1);
    // Upscaling network and encoder are one stage.
    for (stage, least) in [("base", 1), ("upscale", 3), ("hires", 1), ("decode", 1)] {
        let spans = slices(&other, stage);
        assert!(least <= spans.len(), "{stage}: {spans:?}");
        assert!(
            spans.iter().all(|&(begin, end)| first < begin && end < last),
            "{stage}, {spans:?}, does not lie in the other job's hires pass, {first} to {last}"
        );
    }
}

/// Hands a job in and returns its id.
fn submitted(cluster: &Cluster, flags: &str) -> String {
    let words: Vec<&str> =
        ["submit", "a cat", "--seed", "5"].into_iter().chain(flags.split_whitespace()).collect();
    let ended = cluster.run(&words);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

#[test]
fn a_case_of_the_bench_is_measured_and_traced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut command = program::command();
    command.args("bench scaling --tiles 3x2 --devices 20,30 --steps 5 --jitter 0.1 --slow 0.01x2 --jobs 2 --json --trace".split(' '));
    let ended = command.arg(&path).output().expect("the program runs");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let rows = report::parse(&String::from_utf8_lossy(&ended.stdout));
    assert_eq!(rows[0]["case"], "3x2 tiles, devices: 20 ms, 30 ms");
    let busy = rows[0]["dataflow"].as_f64().expect("a share");
    assert!(0.2 < busy && busy < 1.2, "{rows}");
    assert!(rows[0]["dispatch_p99_ms"].as_f64().is_some_and(|ms| 0.0 < ms), "{rows}");
    let trace = report::parse(&fs::read_to_string(path).expect("a trace"));
    let tasks = trace["traceEvents"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["ph"] == "X" && event["pid"] == 1 && event["args"]["withdrawn"] != true);
    check(&trace, 2, tasks.count());
}

#[test]
fn devices_that_take_no_time_are_counted_in_calls() {
    let mut command = program::command();
    let flags = "bench scaling --tiles 2x2 --tile 16x8 --devices 0,0 --steps 3 --json";
    let ended = command.args(flags.split(' ')).output().expect("the program runs");
    let rows = report::parse(&String::from_utf8_lossy(&ended.stdout));
    assert_eq!(rows[0]["unit"], "calls/s", "{rows}");
    assert!(rows[0]["dataflow"].as_f64().is_some_and(|rate| 1.0 < rate), "{rows}");
}

#[test]
fn a_case_that_makes_no_sense_is_refused() {
    for (flags, sentence) in [
        ("--tiles 5 --devices 20", "--tiles is \"5\", must be columns x rows as in 5x5"),
        ("--tiles 2x2 --devices 5,0", "--devices holds 0, must be milliseconds above 0, or all of them 0"),
        ("--tiles 2x2 --tile 0x8 --devices 5", "--tile is \"0x8\", must be latent px as in 128x64"),
        ("--tiles 2x2 --devices 5 --jitter 2", "JITTER is 0 to 1, a share of the milliseconds"),
    ] {
        let mut command = program::command();
        let ended =
            command.args(["bench", "scaling"]).args(flags.split(' ')).output().expect("the program runs");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(sentence), "{stderr}");
    }
}
