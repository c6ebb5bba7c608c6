//! What an operator sees of a coordinator: its metrics, its health, and the board that shows them.

use std::{collections::BTreeSet, fs, process::Command, thread, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    http::get,
    process::{Running, Signal},
    root,
};

/// A job of a few seconds on simulated devices.
const JOB: &str = "submit house --width 128 --height 128 --steps 6 --hires-steps 12 --scale 4 --tile 16 --overlap 4 --seed 7";

/// A coordinator that is observed, and where.
fn observed(flags: &[&str], variables: &[(&str, &str)]) -> (Cluster, String) {
    let flags: Vec<&str> = ["--metrics", "127.0.0.1:0"].iter().chain(flags).copied().collect();
    let cluster = Cluster::start_with(&flags, variables);
    let line = cluster.coordinator.complaint(Duration::from_secs(10), |line| line.contains("/healthz"));
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    (cluster, address.expect("the line names the address").to_owned())
}

fn page(address: &str) -> String {
    let (status, page) = get(address, "/metrics");
    assert_eq!(status, 200, "{page}");
    page
}

/// The sum of all series that begin so.
fn sum(page: &str, series: &str) -> f64 {
    let values =
        page.lines().filter_map(|line| line.strip_prefix(series)?.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

fn until(address: &str, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        let page = page(address);
        if wanted(&page) {
            return page;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within half a minute\n{}", page(address));
}

fn submitted(cluster: &Cluster) -> String {
    let submitted = cluster.run(&JOB.split(' ').collect::<Vec<_>>());
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    submitted.stdout.trim().to_owned()
}

#[test]
fn metrics_tell_what_happens() {
    let (cluster, address) = observed(&["--checkpoint", "0.2"], &[]);
    let mut cluster = cluster.with_workers(&["sim:15", "sim:15"], None);
    let before = page(&address);
    assert_eq!(sum(&before, "tessera_workers "), 2.0);
    assert_eq!(sum(&before, "tessera_jobs{"), 0.0);
    assert_eq!(sum(&before, "tessera_worker_tasks_total{worker=\"worker-1\",device=\"sim:15\"}"), 0.0);

    let job = submitted(&cluster);
    let watching = Running::start(&mut cluster.command(&["watch", &job]));
    let during = until(&address, "tiles run, and somebody watches", |page| {
        sum(page, "tessera_tasks_running{kind=\"denoise\"}") >= 2.0 && sum(page, "tessera_watchers ") == 1.0
    });
    assert_eq!(sum(&during, "tessera_jobs{state=\"running\"}"), 1.0);
    until(&address, "tiles wait", |page| 4.0 < sum(page, "tessera_tasks_ready{kind=\"denoise\"}"));

    // A worker that is killed with a task in hand loses it.
    cluster.workers[1].signal(Signal::Kill);
    let lost = until(&address, "a worker is lost", |page| sum(page, "tessera_workers ") == 1.0);
    assert!(1.0 <= sum(&lost, "tessera_task_retries_total{reason=\"lost\"}"), "{lost}");
    assert!(!lost.contains("worker-1"), "a worker that is gone leaves no series\n{lost}");

    let after =
        until(&address, "the job ends", |page| sum(page, "tessera_jobs_ended_total{state=\"done\"}") == 1.0);
    for (series, least) in [
        ("tessera_worker_tasks_total{worker=\"worker-0\"", 100.0),
        ("tessera_worker_busy_seconds_total{worker=\"worker-0\"", 1.0),
        ("tessera_dispatch_seconds_count ", 100.0),
        ("tessera_checkpoint_seconds_count ", 3.0),
        ("tessera_checkpoint_bytes_total ", 100_000.0),
    ] {
        assert!(least <= sum(&after, series), "{series} is below {least}\n{after}");
    }
    for series in
        ["tessera_jobs{", "tessera_tasks_ready{", "tessera_tasks_running{", "tessera_store_errors_total "]
    {
        assert_eq!(sum(&after, series), 0.0, "{series}\n{after}");
    }
    assert_eq!(watching.wait(Duration::from_secs(10)).code, Some(0));
    assert_eq!(get(&address, "/").0, 404);
}

#[test]
fn health_says_when_the_store_fails_and_when_it_works_again() {
    let full = [("FAILPOINTS", "checkpoint-full=3*return->off")];
    let (cluster, address) = observed(&["--checkpoint", "0.2"], &full);
    let cluster = cluster.with_workers(&["sim:15"], None);
    assert_eq!(get(&address, "/healthz"), (200, "well\n".to_owned()));
    let job = submitted(&cluster);
    let sick = (0..400).map(|_| {
        thread::sleep(Duration::from_millis(10));
        (get(&address, "/healthz"), page(&address))
    });
    let sick = sick.into_iter().find(|((status, _), _)| *status == 503);
    let ((_, why), sick) = sick.expect("it says so");
    assert!(why.starts_with("the store fails: "), "{why}");
    assert!(1.0 <= sum(&sick, "tessera_store_errors_total "), "{sick}");
    let watched = cluster.run(&["watch", &job]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert_eq!(get(&address, "/healthz"), (200, "well\n".to_owned()));
    assert_eq!(sum(&page(&address), "tessera_store_errors_total "), 3.0);
}

/// The command that compose asks with in its container, as it stands in the file.
#[test]
fn the_health_check_of_compose_works() {
    let (cluster, address) = observed(&[], &[]);
    let file = fs::read_to_string(root().join("deploy/docker/compose.yaml")).expect("there is one");
    let check = file.split("- >-\n").nth(1).and_then(|rest| rest.split("interval:").next()).expect("a check");
    let port = address.rsplit(':').next().expect("a port");
    let check =
        check.replace("$$", "$").replace("9090", port).split_whitespace().collect::<Vec<_>>().join(" ");
    let asked = || Command::new("bash").args(["-c", &check]).status().expect("there is a bash").success();
    assert!(asked(), "{check}");
    drop(cluster);
    assert!(!asked(), "{check}");
}

/// Names of metrics in a text; a histogram's parts count as one.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    let names = words.filter(|word| word.starts_with("tessera_"));
    let suffixes = ["_bucket", "_count", "_sum"];
    let bare = names.map(|name| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name));
    bare.map(ToOwned::to_owned).collect()
}

#[test]
fn the_board_and_the_readme_name_the_metrics_that_there_are() {
    let (_cluster, address) = observed(&[], &[]);
    let page = page(&address);
    let mut served: BTreeSet<String> =
        named(&page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
    // Workers have none of these before they come.
    served.extend(["tessera_worker_tasks_total", "tessera_worker_busy_seconds_total"].map(str::to_owned));
    let board = fs::read_to_string(root().join("deploy/grafana/tessera.json")).expect("there is a board");
    let asked = named(&board);
    assert!(asked.is_subset(&served), "{:?}", asked.difference(&served));
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let told = named(&readme);
    assert!(served.is_subset(&told), "the README leaves out {:?}", served.difference(&told));
}
