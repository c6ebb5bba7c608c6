//! What outlives a coordinator that is killed: jobs, how far they are, their files.

use std::{path::Path, thread, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    process::{Ended, Running, Signal},
    report::parse,
    s3::S3,
};

/// How long a command may take that does not wait for a job.
const LIMIT: Duration = Duration::from_secs(20);

/// A job of a few seconds on simulated devices.
const JOB: &str =
    "--width 128 --height 128 --steps 6 --hires-steps 12 --scale 4 --tile 16 --overlap 4 --seed 7 --user a";

fn submitted(cluster: &Cluster, flags: &str) -> String {
    let words: Vec<&str> = ["submit", "a house"].into_iter().chain(flags.split_whitespace()).collect();
    let submitted = cluster.run(&words);
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    submitted.stdout.trim().to_owned()
}

/// The job's status, as `jobs` lists it.
fn status(cluster: &Cluster, job: &str) -> serde_json::Value {
    let listed = cluster.run(&["jobs", "--json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let jobs = listed.stdout.lines().map(parse);
    jobs.into_iter().find(|status| status["job"] == job).unwrap_or_else(|| panic!("no {job} in {listed:?}"))
}

/// Waits until `wanted` is true of a job's status.
fn until(cluster: &Cluster, job: &str, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    for _ in 0..1200 {
        let status = status(cluster, job);
        if wanted(&status) {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("not within a minute: {}", status(cluster, job));
}

fn is_done(status: &serde_json::Value) -> bool {
    assert!(status["state"] != "failed", "{status}");
    status["state"] == "done"
}

/// The hash of a finished job's picture.
fn fetched(cluster: &Cluster, job: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("a.png");
    let path = picture.display().to_string();
    let fetched = cluster.run(&["fetch", job, "-o", &path]);
    assert_eq!(fetched.code, Some(0), "{fetched:?}");
    blake3::hash(&std::fs::read(picture).expect("a picture")).to_string()
}

/// The picture of a cluster that nobody disturbs.
fn calm(flags: &str) -> String {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let job = submitted(&cluster, flags);
    until(&cluster, &job, is_done);
    fetched(&cluster, &job)
}

fn reached(stage: &'static str, tasks: u64) -> impl Fn(&serde_json::Value) -> bool {
    move |status| status["stage"] == stage && tasks <= status["stage_done"].as_u64().unwrap_or_default()
}

#[test]
fn a_killed_coordinator_goes_on_with_its_jobs() {
    let expected = calm(JOB);
    let mut cluster = Cluster::start(&["--checkpoint", "0.3"]).with_workers(&["sim:15", "sim:25"], None);
    let job = submitted(&cluster, JOB);
    let watching = Running::start(&mut cluster.command(&["watch", &job]));
    let mut done = 0;
    for (stage, tasks) in [("base", 2), ("hires", 60), ("hires", 200), ("decode", 5)] {
        until(&cluster, &job, reached(stage, tasks));
        thread::sleep(Duration::from_millis(600));
        let before = status(&cluster, &job)["done"].as_u64().expect("a number");
        cluster.restart_coordinator();
        let after = until(&cluster, &job, |status| 0 < status["done"].as_u64().unwrap_or_default());
        let after = after["done"].as_u64().expect("a number");
        assert!(done <= after, "what was stored is not lost: {done} {after}");
        // Two devices make 107 tasks a second; a decode begins its round again.
        assert!(stage == "decode" || before.saturating_sub(after) < 80, "{before} {after}");
        done = after;
    }
    let ended = until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), expected);
    tells_of_all_coordinators(&cluster, &job, &ended);
    let watched = watching.wait(LIMIT);
    assert_eq!(watched.code, Some(0), "who watched watches again: {watched:?}");
    for part in ["the coordinator does not answer", "the coordinator is back", "is done"] {
        assert!(watched.stderr.contains(part), "{part:?} is missing in {}", watched.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(cluster.state().join("open")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The job's books go on over the kills: its age, where its time went, and what has happened to it.
fn tells_of_all_coordinators(cluster: &Cluster, job: &str, status: &serde_json::Value) {
    let shown = parse(cluster.run(&["show", job, "--json"]).stdout.trim());
    let events = shown["events"].as_array().expect("a list");
    let messages: Vec<&str> = events.iter().filter_map(|event| event["message"].as_str()).collect();
    let count = |part: &str| messages.iter().filter(|message| message.starts_with(part)).count();
    assert_eq!((messages[0], messages.last()), ("handed in", Some(&"done")), "{messages:?}");
    // The last kill can come when the job is over.
    let kills = count("taken up again");
    assert!((3..=4).contains(&kills) && count("goes on with ") == kills, "{messages:?}");
    assert!(events.is_sorted_by_key(|event| event["at_ms"].as_u64()), "{events:?}");
    let report = &shown["report"];
    let seconds = |value: &serde_json::Value| value.as_f64().expect("a number");
    let [stages, planned] = [&report["stages"], &report["plan"]["stages"]].map(|stages| {
        stages
            .as_array()
            .expect("a list")
            .iter()
            .map(|stage| (stage["stage"].as_str(), stage))
            .collect::<Vec<_>>()
    });
    for (name, stage) in &stages {
        // A decode begins its round again; what is embedded is no stage of the plan.
        let tasks = planned.iter().find(|(other, _)| other == name).map(|(_, stage)| &stage["tasks"]);
        let once = tasks.is_none_or(|tasks| *tasks == stage["tasks"]);
        assert!(once || *name == Some("decode"), "counted once: {stage} {tasks:?}");
    }
    let worked: f64 = stages.iter().map(|(_, stage)| seconds(&stage["wall_s"])).sum();
    let age = seconds(&status["age_ms"]) / 1e3;
    assert!(worked < age && age <= seconds(&report["wall_s"]) + 1.0, "{worked} {age} {report}");
    assert_eq!(report["workers"].as_array().map(Vec::len), Some(2), "who came back is known: {report}");
}

/// The coordinator dies at a named point of the way to the disk; whatever it had said is true afterwards, and the picture
/// is the same.
#[test]
fn a_coordinator_may_die_at_any_point_of_its_writing() {
    let expected = calm(JOB);
    // The point, and which of its passages kills: a specification is the first that is put on the shelf.
    let points = [
        ("put-begin", 1),
        ("put-written", 1),
        ("put-named", 1),
        ("admit-shelved", 1),
        ("admit-listed", 1),
        ("put-begin", 2),
        ("put-written", 2),
        ("put-named", 3),
        ("checkpoint-listed", 1),
        ("checkpoint-listed", 3),
        ("files-written", 1),
        ("picture-named", 1),
        ("end-begin", 1),
        ("end-listed", 1),
    ];
    for (point, passage) in points {
        let fail = format!("{point}={}*off->return", passage - 1);
        let flags = ["--checkpoint", "0.2"];
        let mut cluster =
            Cluster::start_with(&flags, &[("FAILPOINTS", &fail)]).with_workers(&["sim:2"], None);
        let words: Vec<&str> = ["submit", "a house"].into_iter().chain(JOB.split_whitespace()).collect();
        let submitted = cluster.run(&words);
        cluster.coordinator.join();
        cluster.start_again();
        let job = match submitted.code {
            Some(0) => submitted.stdout.trim().to_owned(),
            // It was never acknowledged: it may be there or not.
            _ => match cluster.run(&["jobs", "--json"]).stdout.lines().next().map(parse) {
                Some(status) => status["job"].as_str().unwrap_or_default().to_owned(),
                None => continue,
            },
        };
        until(&cluster, &job, is_done);
        assert_eq!(fetched(&cluster, &job), expected, "{point}, passage {passage}");
        let left = std::fs::read_dir(cluster.state().join("open")).expect("a folder").count();
        let parts = std::fs::read_dir(cluster.artifacts()).expect("a folder");
        let parts: Vec<_> = parts.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
        assert_eq!(left, 0, "{point}, passage {passage}: nothing is left of an open job");
        assert_eq!(parts.len(), 2, "{point}, passage {passage}: a picture and its report, {parts:?}");
    }
}

/// The disk is full for a while: the job says so, waits, and goes on.
#[test]
fn a_full_disk_pauses_jobs() {
    let full = [("FAILPOINTS", "checkpoint-full=1*off->4*return")];
    let cluster = Cluster::start_with(&["--checkpoint", "0.2"], &full).with_workers(&["sim:10"], None);
    let job = submitted(&cluster, JOB);
    let paused = until(&cluster, &job, |status| status["paused"].is_string());
    let why = paused["paused"].as_str().unwrap_or_default();
    assert!(why.starts_with("paused: ") && why.contains("no storage space"), "{why}");
    let table = cluster.run(&["jobs"]).stdout;
    assert!(table.contains("no storage space"), "{table}");
    let done = until(&cluster, &job, is_done);
    assert!(done["paused"].is_null(), "{done}");
    assert_eq!(fetched(&cluster, &job), calm(JOB));
}

#[test]
fn jobs_that_are_over_are_remembered_with_their_files() {
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let [done, cancelled] = [JOB, "--steps 900 --width 1024 --height 1024 --scale 1 --tile-base"]
        .map(|flags| submitted(&cluster, flags));
    assert_eq!(cluster.run(&["cancel", &cancelled]).code, Some(0));
    let before = until(&cluster, &done, is_done);
    let hash = fetched(&cluster, &done);
    for _ in 0..2 {
        cluster.restart_coordinator();
        assert_eq!(status(&cluster, &done), before, "nothing of it has changed");
        assert_eq!(fetched(&cluster, &done), hash);
        assert_eq!(status(&cluster, &cancelled)["state"], "cancelled", "it does not come back");
    }
    let watched: Ended = cluster.run(&["watch", &done]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
}

#[test]
fn a_job_that_waits_is_not_forgotten() {
    let mut cluster = Cluster::start(&[]);
    let job = submitted(&cluster, JOB);
    cluster.restart_coordinator();
    assert_eq!(status(&cluster, &job)["state"], "waiting");
    cluster.add_worker("sim:0", None);
    until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), calm(JOB));
}

/// Coordinator and worker are gone, and only one of them is back for long: a job that had begun is not given up.
#[test]
fn a_job_that_has_begun_waits_for_workers_as_long_as_it_must() {
    let mut cluster =
        Cluster::start(&["--worker-wait", "1", "--checkpoint", "0.2"]).with_workers(&["sim:20"], None);
    let job = submitted(&cluster, JOB);
    until(&cluster, &job, reached("hires", 30));
    cluster.workers.clear();
    cluster.restart_coordinator();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(status(&cluster, &job)["state"], "waiting");
    cluster.add_worker("sim:0", None);
    until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), calm(JOB));
}

/// Told to stop, a coordinator stores how far its jobs are: nothing is done twice.
#[test]
fn a_coordinator_that_is_stopped_loses_no_task() {
    let mut cluster = Cluster::start(&["--checkpoint", "600"]).with_workers(&["sim:20"], None);
    let job = submitted(&cluster, JOB);
    let before = until(&cluster, &job, reached("hires", 30));
    cluster.coordinator.signal(Signal::Interrupt);
    cluster.coordinator.join();
    cluster.start_again();
    let after = until(&cluster, &job, reached("hires", 1));
    assert!(before["done"].as_u64() <= after["done"].as_u64(), "{before} {after}");
    until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), calm(JOB));
}

#[test]
fn a_folder_that_another_coordinator_has() {
    let cluster = Cluster::start(&[]);
    let mut command = tessera_tests::program::command();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--state"]).arg(cluster.state());
    let second = Running::start(&mut command).wait(Duration::from_secs(20));
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("another coordinator has the folder"), "{}", second.stderr);
}

/// Two coordinators share one PostgreSQL and one folder of files; one is killed, and the other ends its job.
#[test]
fn another_coordinator_takes_a_job_over() {
    let expected = calm(JOB);
    let server = tessera_tests::postgres::Postgres::start();
    let files = tempfile::tempdir().expect("a folder");
    let files = files.path().display().to_string();
    let url = server.url();
    let flags = ["--database", url.as_str(), "--checkpoint", "0.3", "--artifacts", files.as_str()];
    let mut first = Cluster::start(&flags).with_workers(&["sim:20"], None);
    let second = Cluster::start(&flags).with_workers(&["sim:5"], None);
    let job = submitted(&first, JOB);
    until(&first, &job, reached("hires", 40));
    assert!(!second.run(&["jobs", "--json"]).stdout.contains(&job), "its owner lives");
    let asked = second.run(&["show", &job]);
    assert_eq!(
        (asked.code, asked.error().contains("is done by another coordinator")),
        (Some(2), true),
        "{asked:?}"
    );
    // What the first has ended, the second has too.
    let small = submitted(&first, "--width 64 --height 64 --steps 2 --scale 1 --priority interactive");
    until(&first, &small, is_done);
    assert_eq!(fetched(&second, &small), fetched(&first, &small));
    let shown = second.run(&["show", &small]).stdout;
    assert!(shown.contains("handed in") && shown.contains("save begins"), "{shown}");
    first.coordinator.signal(Signal::Kill);
    let killed = std::time::Instant::now();
    while !second.run(&["jobs", "--json"]).stdout.contains(&job) {
        thread::sleep(Duration::from_millis(50));
        assert!(killed.elapsed() < Duration::from_secs(30), "nobody takes it over");
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let taken = until(&second, &job, |status| 0 < status["done"].as_u64().unwrap_or_default());
    assert!(40 <= taken["done"].as_u64().unwrap_or_default(), "from its checkpoint: {taken}");
    until(&second, &job, is_done);
    assert_eq!(fetched(&second, &job), expected);
}

/// A database that is reached over a network: TLS, by the authority that is named, or not at all.
#[test]
fn a_database_behind_tls_keeps_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let [tls, other] = ["tls", "other"].map(|name| folder.path().join(name));
    for folder in [&tls, &other] {
        let made = Running::start(tessera_tests::program::command().arg("init").arg(folder)).wait(LIMIT);
        assert_eq!(made.code, Some(0), "{made:?}");
    }
    let server = tessera_tests::postgres::Postgres::start_encrypted(&tls);
    let url = |mode: &str, authority: &Path| {
        format!("{}?sslmode={mode}&sslrootcert={}", server.url(), authority.join("ca.pem").display())
    };
    let state = tempfile::tempdir().expect("a folder");
    let refused = |url: &str| {
        let mut command = tessera_tests::program::command();
        command.args(["coordinator", "--listen", "127.0.0.1:0", "--database", url, "--state"]);
        let ended = Running::start(command.arg(state.path())).wait(LIMIT);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        ended.error().to_owned()
    };
    let error = refused(&url("verify-full", &other));
    assert!(error.contains("--database") && error.to_lowercase().contains("certificate"), "{error}");
    let error = refused(&url("disable", &tls));
    assert!(error.contains("--database") && error.contains("no encryption"), "{error}");

    let database = url("verify-full", &tls);
    let flags = ["--database", database.as_str(), "--checkpoint", "0.3"];
    let mut cluster = Cluster::start(&flags).with_workers(&["sim:10"], None);
    let job = submitted(&cluster, JOB);
    until(&cluster, &job, reached("hires", 40));
    cluster.restart_coordinator();
    // The database is shared: the new one must see first that the old one is gone.
    while !cluster.run(&["jobs", "--json"]).stdout.contains(&job) {
        thread::sleep(Duration::from_millis(50));
    }
    until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), calm(JOB));
}

/// Pictures, checkpoints and specifications lie in a bucket of a real S3 server; the coordinator is killed, and the server
/// stands still for a while.
#[test]
fn a_bucket_keeps_jobs() {
    let expected = calm(JOB);
    let server = S3::start();
    let flags = ["--checkpoint", "0.3", "--artifacts", "s3://tessera/farm"];
    let mut cluster = Cluster::start_in(&flags, server.variables()).with_workers(&["sim:15"], None);
    let job = submitted(&cluster, JOB);
    until(&cluster, &job, reached("hires", 60));
    thread::sleep(Duration::from_millis(600));
    let open = server.list("farm/open/");
    assert!(open.contains(&format!("{job}.job")) && open.contains(".safetensors"), "{open}");
    cluster.restart_coordinator();
    let after = until(&cluster, &job, |status| 0 < status["done"].as_u64().unwrap_or_default());
    assert!(40 <= after["done"].as_u64().unwrap_or_default(), "from its checkpoint: {after}");

    server.signal(Signal::Stop);
    let paused = until(&cluster, &job, |status| status["paused"].is_string());
    let why = paused["paused"].as_str().unwrap_or_default();
    assert!(why.contains("no answer within 20s"), "{why}");
    server.signal(Signal::Continue);
    until(&cluster, &job, is_done);
    assert_eq!(fetched(&cluster, &job), expected);
    let left = server.list("farm/");
    assert!(!left.contains("farm/open/"), "{left}");
    assert_eq!(left.matches("<Key>").count(), 2, "a picture and its report: {left}");
}

/// Processes are killed at random for a while, or for `$TESSERA_CHAOS_SECONDS`; `tessera bench chaos` does so for as long
/// as one likes.
#[test]
fn no_job_is_lost_in_chaos() {
    let seconds =
        std::env::var("TESSERA_CHAOS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let jobs = (seconds / 6).clamp(6, 20).to_string();
    let mut command = tessera_tests::program::command();
    command.args(["bench", "chaos", "--jobs", &jobs, "--seconds", &seconds.to_string()]);
    command.args(["--workers", "3", "--seed", "3", "--json"]);
    let limit = Duration::from_secs(240 + 2 * seconds);
    let ended = Running::start(&mut command).wait(limit);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let after = parse(ended.stdout.trim());
    let kills: u64 =
        after["kills"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).sum();
    assert!(seconds / 5 <= kills, "{after}");
    assert_eq!([&after["lost"], &after["stuck"], &after["wrong_bytes"]], [0, 0, 0], "{after}");
    tessera_tests::figures::say(format_args!("chaos: {after}"));
}
