//! The commands of a cluster's users: submit, watch, fetch, cancel, jobs, workers.

use std::{fs, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    picture,
    process::{Ended, Running, Signal},
    render::Render,
    report,
};

const SMALL: [&str; 12] =
    ["submit", "a cat", "--seed", "5", "--width", "128", "--height", "128", "--steps", "2", "--tile", "16"];

const LONG: [&str; 12] = [
    "submit",
    "a cat",
    "--seed",
    "5",
    "--width",
    "512",
    "--height",
    "512",
    "--steps",
    "2",
    "--hires-steps",
    "200",
];

/// Hands a job in and returns its id.
fn submit(cluster: &Cluster, words: &[&str]) -> String {
    let ended = cluster.run(words);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

fn ok(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[test]
fn a_job_is_submitted_watched_listed_and_fetched() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:1", "sim:1"], None);
    let job = submit(&cluster, &[&SMALL[..], &["--dump"]].concat());
    let watched = ok(cluster.run(&["watch", &job, "--json"]));
    let last = report::parse(watched.lines().last().expect("a final state"));
    assert_eq!((&last["state"], &last["job"]), (&"done".into(), &job.as_str().into()));
    let listed = ok(cluster.run(&["jobs"]));
    assert!(listed.contains(&job) && listed.contains("done"), "{listed}");
    let workers = ok(cluster.run(&["workers"]));
    assert!(
        workers.contains("worker-0") && workers.contains("worker-1") && workers.contains("sim:1"),
        "{workers}"
    );

    let shown = ok(cluster.run(&["show", &job]));
    for part in
        [&*format!("job {job}"), ": done", "256x256 px, png, batch, took", "unet", "hires", "worker-1"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let told = report::parse(ok(cluster.run(&["show", &job, "--json"])).trim());
    assert_eq!((&told["status"]["state"], &told["report"]["plan"]["model"]), (&"done".into(), &"sim".into()));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (png, dump, json) = (path("a.png"), path("a.safetensors"), path("a.json"));
    let words = ["fetch", &job, "-o", &png, "--dump", &dump, "--report", &json];
    ok(cluster.run(&words));
    let local = Render::words(&SMALL[1..])
        .args(["--workers", "sim:0", "--output", "out.png", "--dump", "dump.safetensors"])
        .rendered();
    assert_eq!(picture::hash(png.as_ref()), local.hash(), "as render draws it");
    let (ours, fetched) = (local.tensors(), tessera_tests::tensors::Tensors::open(dump.as_ref()));
    assert_eq!(ours.names(), fetched.names());
    assert_eq!(ours.get("hires_latent"), fetched.get("hires_latent"));
    assert_eq!(report::Report::open(json.as_ref()).planned("hires")["network"], "unet");
}

#[test]
fn a_cancelled_job_leaves_nothing() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:30"], None);
    let job = submit(&cluster, &LONG);
    let watch = Running::start(&mut cluster.command(&["watch", &job, "--json"]));
    let in_hires = |line: &str| line.contains("\"stage\":\"hires\"");
    watch.line(Duration::from_secs(30), in_hires);
    let said = ok(cluster.run(&["cancel", &job]));
    assert_eq!(said.trim(), format!("job {job} was cancelled"));
    let watched = watch.wait(Duration::from_secs(20));
    assert_eq!(watched.code, Some(1), "{watched:?}");
    assert_eq!(watched.error(), format!("job {job} was cancelled"));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let png = folder.path().join("a.png").display().to_string();
    let fetched = cluster.run(&["fetch", &job, "-o", &png]);
    assert_ne!(fetched.code, Some(0), "{fetched:?}");
    assert!(fetched.error().contains("it did not finish"), "{fetched:?}");
    for folder in [folder.path(), cluster.artifacts()] {
        let left = fs::read_dir(folder).expect("the folder is there").count();
        assert_eq!(left, 0, "files are left in {}", folder.display());
    }
    // The worker is free for the next job.
    let next = submit(&cluster, &SMALL);
    ok(cluster.run(&["watch", &next]));
}

#[test]
fn all_of_several_jobs_are_tried_and_the_worst_decides() {
    let cluster = Cluster::start(&[]);
    let by = |user: &str| submit(&cluster, &[&SMALL[..], &["--user", user]].concat());
    let (one, other) = (by("ann"), by("ben"));
    let unknown = "00000000000000aa";
    let ended = cluster.run(&["cancel", &one, unknown, &other]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, format!("job {one} was cancelled\njob {other} was cancelled"));
    assert!(ended.stderr.contains(unknown), "{ended:?}");
    assert_eq!(ended.error(), "1 of 3 jobs were not cancelled");

    let third = by("eve");
    let ended = cluster.run(&["cancel", &third, "nonsense"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "a word that is no id is seen before");
    let shown = ok(cluster.run(&["show", &third]));
    assert!(shown.contains("of eve: waiting") && shown.contains("0 workers with its model"), "{shown}");
    assert!(shown.contains("after  event") && shown.contains("handed in"), "{shown}");
    let told = report::parse(ok(cluster.run(&["show", &third, "--json"])).trim());
    assert_eq!((&told["status"]["user"], &told["report"]), (&"eve".into(), &serde_json::Value::Null));
    assert_eq!(ok(cluster.run(&["cancel", &third, &third])).lines().count(), 2);
}

#[test]
fn a_job_that_nobody_serves_says_that_it_waits() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let ended = cluster.run(&[&SMALL[..], &["--model", "unheard-of"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let waits = "no worker serves model \"unheard-of\" (they serve sim): the job waits for one";
    assert!(ended.stderr.contains(waits), "{ended:?}");
    ok(cluster.run(&["cancel", ended.stdout.trim()]));
    let served = cluster.run(&SMALL);
    assert!(!served.stderr.contains("waits"), "{served:?}");
}

#[test]
fn two_jobs_share_the_workers_and_stay_apart() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:2", "sim:2"], None);
    let one = submit(&cluster, &SMALL);
    let other = submit(&cluster, &[&SMALL[..], &["--cfg", "3"]].concat());
    let again = submit(&cluster, &SMALL);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hash = |job: &str| {
        ok(cluster.run(&["watch", job]));
        let png = folder.path().join(format!("{job}.png"));
        ok(cluster.run(&["fetch", job, "-o", &png.display().to_string()]));
        picture::hash(&png)
    };
    assert_eq!(hash(&one), hash(&again));
    assert_ne!(hash(&one), hash(&other));
}

#[test]
fn a_user_has_so_many_jobs_at_a_time_and_others_do_not_wait_for_them() {
    let cluster = Cluster::start(&["--user-jobs", "2"]).with_workers(&["sim:30"], None);
    let by = |user: &str| submit(&cluster, &[&LONG[..], &["--user", user]].concat());
    let (first, second, third, other) = (by("a"), by("a"), by("a"), by("b"));
    let state = |job: &str| {
        let listed = ok(cluster.run(&["jobs", "--json"]));
        let jobs = listed.lines().map(report::parse);
        let mut state = jobs.filter(|status| status["job"] == job).map(|status| status["state"].clone());
        state.next_back().and_then(|state| state.as_str().map(ToOwned::to_owned)).expect("a state")
    };
    for (job, expected) in
        [(&first, "running"), (&second, "running"), (&third, "waiting"), (&other, "running")]
    {
        assert_eq!(state(job), expected, "{job}");
    }
    ok(cluster.run(&["cancel", &second]));
    assert_eq!([state(&third), state(&other)], ["running", "running"], "there is room for it now");
    // One that waits can be cancelled too, and leaves its place to nobody.
    let fourth = by("a");
    assert_eq!(state(&fourth), "waiting");
    ok(cluster.run(&["cancel", &fourth]));
    assert_eq!([state(&fourth), state(&first)], ["cancelled", "running"]);
}

/// The ids that `tessera jobs` lists with these flags.
fn listed(cluster: &Cluster, flags: &[&str]) -> Vec<String> {
    let lines = ok(cluster.run(&[&["jobs", "--json"], flags].concat()));
    let jobs = lines.lines().map(report::parse);
    jobs.map(|job| job["job"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn jobs_are_listed_by_state_user_and_age() {
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let by = |user: &str, more: &[&str]| submit(&cluster, &[&SMALL[..], &["--user", user], more].concat());
    let first = by("ann", &[]);
    ok(cluster.run(&["watch", &first]));
    let second = by("ben", &["--priority", "interactive", "--model", "unheard-of"]);
    let third = by("ann", &["--model", "unheard-of"]);
    ok(cluster.run(&["cancel", &third]));

    assert_eq!(listed(&cluster, &[]), [&*first, &*second, &*third]);
    assert_eq!(listed(&cluster, &["--user", "ann"]), [&*first, &*third]);
    assert_eq!(listed(&cluster, &["--state", "done", "--state", "Waiting"]), [&*first, &*second]);
    assert_eq!(listed(&cluster, &["--last", "2"]), [&*second, &*third]);
    assert_eq!(listed(&cluster, &["--user", "ann", "--state", "cancelled,failed"]), [&*third]);
    let nobody = cluster.run(&["jobs", "--user", "nobody"]);
    assert!(nobody.stdout.is_empty() && nobody.stderr.contains("none of the 3 jobs"), "{nobody:?}");
    let table = ok(cluster.run(&["jobs", "--user", "ben"]));
    let row: Vec<_> = table.lines().nth(1).expect("a row").split_whitespace().take(4).collect();
    assert_eq!(row, [&*second, "waiting", "ben", "interactive"]);

    // Whose they were outlives the coordinator.
    cluster.restart_coordinator();
    assert_eq!(listed(&cluster, &["--user", "ann"]), [&*first, &*third]);
    assert_eq!(listed(&cluster, &["--user", "ben"]), [&*second]);
}

#[test]
fn ctrl_c_stops_watching_and_not_the_job() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:30"], None);
    let job = submit(&cluster, &LONG);
    let mut watch = Running::start(&mut cluster.command(&["watch", &job, "--json"]));
    watch.line(Duration::from_secs(30), |line| line.contains("\"state\":\"running\""));
    watch.signal(Signal::Interrupt);
    let ended = watch.wait(Duration::from_secs(20));
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let listed = ok(cluster.run(&["jobs", "--json"]));
    assert_eq!(report::parse(listed.trim())["state"], "running");
}

#[test]
fn an_unknown_job_is_named() {
    let cluster = Cluster::start(&[]);
    for command in ["watch", "cancel", "show", "fetch"] {
        let ended = cluster.run(&[command, "00000000000000aa"]);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(ended.error().contains("00000000000000aa"), "{ended:?}");
        let ended = cluster.run(&[command, "nonsense"]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.error().contains("nonsense"), "{ended:?}");
    }
}

/// A coordinator and a worker that are told to stop do so, and say good-bye with code 0.
#[test]
fn ctrl_c_stops_coordinator_and_worker() {
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:1"], None);
    let mut worker = cluster.workers.remove(0);
    worker.signal(Signal::Interrupt);
    assert_eq!(worker.wait(Duration::from_secs(20)).code, Some(0));
    assert!(cluster.worker_names().is_empty());
    let Cluster { mut coordinator, .. } = cluster;
    coordinator.signal(Signal::Interrupt);
    assert_eq!(coordinator.wait(Duration::from_secs(20)).code, Some(0));
}
