//! Models over the wire: folders that are pushed to a coordinator, and workers that fetch what jobs need.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tessera_tests::{
    cluster::Cluster,
    model, picture,
    process::{Ended, Running, Signal},
    program,
    render::Render,
    report,
    s3::S3,
};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(90);

/// A small picture.
const JOB: &str = "--width 64 --height 64 --steps 2 --scale 2";

fn words<'a>(command: &'a [&'a str]) -> Vec<&'a str> {
    command.iter().copied().chain(["--seed", "5"]).chain(JOB.split_whitespace()).collect()
}

fn ok(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

fn push(cluster: &Cluster, folder: &Path, flags: &[&str]) -> Ended {
    let folder = folder.to_str().expect("a plain path");
    cluster.run(&[&["model", "push", folder], flags].concat())
}

/// The tiny model after a change, under a name of its own.
fn another(name: &str) -> (TempDir, PathBuf) {
    let outer = tempfile::tempdir().expect("a temporary folder");
    let folder = outer.path().join(name);
    let copy = model::copy_of_tiny();
    fs::rename(copy.keep(), &folder).expect("both lie in the same place");
    let file = folder.join("scheduler/scheduler_config.json");
    let text = fs::read_to_string(&file).expect("settings");
    fs::write(&file, format!("{text}\n")).expect("a temporary file");
    (outer, folder)
}

/// Starts a worker that fetches models into an empty home, and waits until it is there.
fn fetching(cluster: &Cluster, home: &Path, name: &str) -> Running {
    // Its libraries lie where ours do; nothing else of that home is for it.
    let mut command = cluster.command(&["worker", "--device", "cpu:1", "--name", name, "--fetch-models"]);
    command.env("TESSERA_HOME", home).arg("--onnxruntime").arg(program::library());
    let worker = Running::start(&mut command);
    let deadline = Instant::now() + LIMIT;
    while !cluster.worker_names().iter().any(|other| other == name) {
        assert!(Instant::now() < deadline, "{name} does not connect: {worker:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    worker
}

/// Follows a job to its end, and fetches its picture.
fn fetched(cluster: &Cluster, job: &str, into: &Path) -> String {
    let watched = Running::start(&mut cluster.command(&["watch", job])).wait(LIMIT);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    let file = into.join(format!("{job}.png"));
    ok(cluster.run(&["fetch", job, "-o", file.to_str().expect("a plain path")]));
    picture::hash(&file)
}

#[test]
fn a_worker_without_a_model_fetches_the_one_that_a_job_names() {
    let cluster = Cluster::start(&[]);
    let pushed = ok(push(&cluster, &model::tiny(), &[]));
    let (name, hash) = pushed.trim().split_once(' ').expect("a name and a hash");
    assert_eq!((name, hash.len()), ("tiny-sd15", 64));
    let home = tempfile::tempdir().expect("a temporary folder");
    let _worker = fetching(&cluster, home.path(), "remote");
    let waiting = ok(cluster.run(&["workers"]));
    assert!(waiting.contains("waiting for a model"), "{waiting}");

    let submitted = cluster.run(&words(&["submit", "a cat", "--model", "tiny-sd15"]));
    assert!(submitted.stderr.contains("a worker fetches model \"tiny-sd15\" first"), "{submitted:?}");
    let ours = fetched(&cluster, ok(submitted).trim(), home.path());
    let rendered = Render::tiny("a cat").args(JOB.split_whitespace()).rendered();
    assert_eq!(ours, rendered.hash(), "the same bytes as with the folder itself");

    let workers = ok(cluster.run(&["workers", "--json"]));
    let worker = report::parse(workers.lines().next().expect("a worker"));
    assert_eq!((&worker["model_name"], &worker["model_hash"]), (&"tiny-sd15".into(), &hash.into()));
    let blobs = home.path().join("cache/models/blobs");
    assert!(3 < fs::read_dir(blobs).expect("the cache").count());
}

#[test]
fn one_worker_serves_two_models_in_turn() {
    let cluster = Cluster::start(&[]);
    let (_outer, other) = another("other");
    let first = ok(push(&cluster, &model::tiny(), &["--name", "first"]));
    let second = push(&cluster, &other, &[]);
    assert!(second.stderr.contains("0.1 MiB of"), "what both share is sent once: {second:?}");
    let second = ok(second);
    assert_ne!(first.split(' ').nth(1), second.split(' ').nth(1));
    let home = tempfile::tempdir().expect("a temporary folder");
    let _worker = fetching(&cluster, home.path(), "remote");
    let jobs = ["first", "other", "first"]
        .map(|name| ok(cluster.run(&words(&["submit", "a cat", "--model", name]))).trim().to_owned());
    let pictures = jobs.map(|job| fetched(&cluster, &job, home.path()));
    assert_eq!(pictures[0], pictures[2]);
    assert_ne!(pictures[0], pictures[1], "each picture says what model it is of");
}

#[test]
fn models_are_listed_and_removed() {
    let cluster = Cluster::start(&[]);
    let empty = cluster.run(&["model", "list"]);
    assert!(empty.stdout.is_empty() && empty.stderr.contains("tessera model push DIR"), "{empty:?}");
    let pushed = ok(push(&cluster, &model::tiny(), &["--json"]));
    let pushed = report::parse(pushed.trim());
    assert_eq!(pushed["name"], "tiny-sd15");
    let (sent, size) = (pushed["sent"].as_u64(), pushed["size"].as_u64());
    assert!(Some(0) < sent && sent < size, "two of its files are the same: {pushed}");
    let again = push(&cluster, &model::tiny(), &["--name", "again", "--json"]);
    assert_eq!(report::parse(ok(again).trim())["sent"], 0, "nothing is sent twice");
    let listed = ok(cluster.run(&["model", "list", "--json"]));
    let names: Vec<_> = listed.lines().map(|line| report::parse(line)["name"].clone()).collect();
    assert_eq!(names, ["again", "tiny-sd15"]);

    let blobs = cluster.artifacts().join("models/blobs");
    let count = || fs::read_dir(&blobs).expect("blobs").count();
    assert!(3 < count());
    ok(cluster.run(&["model", "remove", "again"]));
    assert!(3 < count(), "they are the other name's too");
    ok(cluster.run(&["model", "remove", "tiny-sd15"]));
    assert_eq!(count(), 0);
    let gone = cluster.run(&["model", "remove", "tiny-sd15"]);
    assert_eq!(gone.code, Some(2), "{gone:?}");
    assert!(gone.error().contains("no model \"tiny-sd15\" is kept here"), "{}", gone.error());
}

#[test]
fn a_model_outlives_its_coordinator() {
    let mut cluster = Cluster::start(&[]);
    ok(push(&cluster, &model::tiny(), &[]));
    cluster.coordinator.signal(Signal::Kill);
    cluster.coordinator.join();
    cluster.start_again();
    let home = tempfile::tempdir().expect("a temporary folder");
    let _worker = fetching(&cluster, home.path(), "remote");
    let job = ok(cluster.run(&words(&["submit", "a cat", "--model", "tiny-sd15"])));
    fetched(&cluster, job.trim(), home.path());
}

#[test]
fn a_file_that_the_coordinator_has_no_more_as_it_was_is_not_believed() {
    let cluster = Cluster::start(&[]);
    ok(push(&cluster, &model::tiny(), &[]));
    let blobs = fs::read_dir(cluster.artifacts().join("models/blobs")).expect("blobs");
    let blobs: Vec<PathBuf> = blobs.map(|entry| entry.expect("a blob").path()).collect();
    let size = |path: &PathBuf| fs::metadata(path).expect("a blob").len();
    let largest = blobs.iter().max_by_key(|path| size(path)).expect("a blob");
    let mut bytes = fs::read(largest).expect("a blob");
    bytes[1000] ^= 1;
    fs::write(largest, bytes).expect("a blob");

    let home = tempfile::tempdir().expect("a temporary folder");
    let worker = fetching(&cluster, home.path(), "remote");
    let job = ok(cluster.run(&words(&["submit", "a cat", "--model", "tiny-sd15"])));
    worker.complaint(LIMIT, |line| line.contains("sent another content of"));
    let deadline = Instant::now() + LIMIT;
    loop {
        let [workers, jobs] = ["workers", "jobs"].map(|list| ok(cluster.run(&[list, "--json"])));
        let (worker, status) = (report::parse(workers.trim()), report::parse(jobs.trim()));
        let [failure, paused] =
            [&worker["failure"], &status["paused"]].map(|text| text.as_str().unwrap_or_default());
        if failure.contains("sent another content of") && paused.contains("which a worker could not get") {
            assert_eq!((&worker["model_name"], &status["state"]), (&"".into(), &"waiting".into()));
            break;
        }
        assert!(Instant::now() < deadline, "{workers} {jobs}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let kept = fs::read_dir(home.path().join("cache/models/folders")).expect("the cache").count();
    assert_eq!(kept, 0, "no folder is made of it");
    ok(cluster.run(&["cancel", job.trim()]));
}

#[test]
fn a_bucket_keeps_models() {
    let server = S3::start();
    let cluster = Cluster::start_in(&["--artifacts", "s3://tessera/farm"], server.variables());
    ok(push(&cluster, &model::tiny(), &[]));
    let stored = server.list("farm/models/");
    assert!(stored.contains("farm/models/blobs/") && stored.contains("farm/models/names/"), "{stored}");
    let home = tempfile::tempdir().expect("a temporary folder");
    let _worker = fetching(&cluster, home.path(), "remote");
    let job = ok(cluster.run(&words(&["submit", "a cat", "--model", "tiny-sd15"])));
    let watched = Running::start(&mut cluster.command(&["watch", job.trim()])).wait(LIMIT);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    ok(cluster.run(&["model", "remove", "tiny-sd15"]));
    assert!(!server.list("farm/models/").contains("<Key>"), "{}", server.list("farm/models/"));
}

/// The folder that a worker serves and the model that is kept may have one name.
#[test]
fn a_name_means_what_is_kept_only_where_somebody_can_get_it() {
    let cluster = Cluster::start(&["--worker-wait", "5"]).with_workers(&["sim:0"], None);
    ok(push(&cluster, &model::tiny(), &["--name", "sim"]));
    let run = || cluster.run(&words(&["submit", "a cat", "--model", "sim", "--watch", "--json"]));
    ok(run());
    let home = tempfile::tempdir().expect("a temporary folder");
    let _worker = fetching(&cluster, home.path(), "remote");
    ok(run());
    let workers = ok(cluster.run(&["workers", "--json"]));
    let done = |name: &str| {
        let of_name = |worker: &serde_json::Value| worker["name"] == name;
        let worker = workers.lines().map(report::parse).find(of_name).expect("a worker");
        worker["tasks_done"].as_u64()
    };
    assert!(Some(0) < done("worker-0") && Some(0) < done("remote"), "{workers}");
}

#[test]
fn a_simulated_worker_fetches_nothing() {
    let cluster = Cluster::start(&[]);
    let ended = cluster.run(&["worker", "--device", "sim:1", "--fetch-models"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.error(), "simulated devices run no files: leave --fetch-models out");
}

/// What a push of a folder that was changed is told; the coordinator has nothing of it.
fn refused(change: impl FnOnce(&Path)) -> String {
    let cluster = Cluster::start(&[]);
    let copy = model::copy_of_tiny();
    change(copy.path());
    let ended = push(&cluster, copy.path(), &["--name", "changed"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!cluster.artifacts().join("models").exists(), "nothing was sent");
    ended.error().to_owned()
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_symbolic_link_is_refused() {
    use std::os::unix::fs::symlink;
    let sentence = refused(|folder| {
        let file = folder.join("unet/model.onnx");
        fs::rename(&file, folder.join("unet/real.onnx")).expect("a file");
        symlink("real.onnx", file).expect("a link");
    });
    assert!(sentence.contains("unet/model.onnx is a symbolic link or no plain file"), "{sentence}");
    let sentence = refused(|folder| {
        fs::rename(folder.join("tokenizer"), folder.join("elsewhere")).expect("a folder");
        symlink("elsewhere", folder.join("tokenizer")).expect("a link");
    });
    assert!(sentence.contains("tokenizer is a symbolic link or no plain file"), "{sentence}");
}

#[test]
fn names_that_cannot_lie_everywhere_are_refused() {
    let sentence = refused(|folder| fs::write(folder.join("unet/a:b"), "x").expect("a file"));
    assert!(sentence.contains("the model's file \"unet/a:b\" is refused"), "{sentence}");
    let cluster = Cluster::start(&[]);
    for name in ["../x", "a/b", "-", ""] {
        let ended = push(&cluster, &model::tiny(), &[&format!("--name={name}")]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.error().contains("a model cannot be called"), "{}", ended.error());
    }
}

#[test]
fn weights_that_lie_elsewhere_are_refused() {
    let sentence = refused(|folder| {
        let external = tessera_tests::root().join("tests/models/tiny-sd15-external/unet");
        for file in model::files_below(&external) {
            let name = file.file_name().expect("a file has a name");
            fs::copy(&file, folder.join("unet").join(name)).expect("a temporary file");
        }
        // The same length, so that the graph stays whole: its weights are looked for above its folder then.
        let graph = folder.join("unet/model.onnx");
        let bytes = fs::read(&graph).expect("a graph");
        let changed = replace(&bytes, b"model.onnx_data", b"../weights_data");
        assert_ne!(bytes, changed, "the graph names its weights");
        fs::write(graph, changed).expect("a temporary file");
    });
    assert!(sentence.contains("../weights_data"), "{sentence}");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "lengths are written down before texts");
    let mut changed = bytes.to_vec();
    let mut at = 0;
    while at + from.len() <= changed.len() {
        if changed[at..].starts_with(from) {
            changed[at..at + to.len()].copy_from_slice(to);
        }
        at += 1;
    }
    changed
}
