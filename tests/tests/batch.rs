//! Job files, batches and folders of pictures: the jobs that they are, handed in, followed and fetched together.

use std::fs;

use image::ImageFormat;
use tempfile::TempDir;
use tessera_tests::{
    cluster::Cluster,
    picture,
    process::Ended,
    render::Render,
    report::{self, Report},
};

const SMALL: &str = "seed = 5\nwidth = 128\nheight = 128\nsteps = 2\ntile = 16\n";

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a temporary file");
    }
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn ok(ended: Ended) -> String {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

/// The names in a folder, sorted.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_job_file_renders_what_its_flags_do() {
    let text = format!("prompt = \"a cat\"\n{SMALL}output = \"from-file.png\"\n");
    let by_flags = Render::words(["a cat"])
        .flags("--seed 5 --width 128 --height 128 --steps 2 --tile 16 --workers sim:0 --output out.png")
        .rendered();
    let by_file = Render::words(["--workers", "sim:0", "--output", "out.png", "--job", "job.toml"])
        .file("job.toml", text.as_bytes())
        .rendered();
    assert_eq!(by_file.hash(), by_flags.hash());
    assert!(!by_file.file("from-file.png").exists(), "the flag wins");
}

#[test]
fn a_batch_is_handed_in_followed_and_fetched() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:1", "sim:1"], None);
    let lines = "{\"prompt\": \"a cat\"}\n{\"prompt\": \"a dog\", \"steps\": 3, \"format\": \"jpg\"}\n\n{\"scale\": 1}\n";
    let folder = folder(&[("job.toml", SMALL.as_bytes()), ("b.jsonl", lines.as_bytes())]);
    let (file, batch, into) = (path(&folder, "job.toml"), path(&folder, "b.jsonl"), path(&folder, "out"));
    let words = ["submit", "a fox", "--job", &file, "--batch", &batch, "--watch"];
    let ended = cluster.run(&words);
    let jobs = ok(ended.clone());
    let jobs: Vec<&str> = jobs.lines().collect();
    assert_eq!(jobs.len(), 3, "{ended:?}");
    let parts = ["b.jsonl, line 2", "b.jsonl, line 4", "3 jobs were handed in", "3 of 3 have ended"];
    for part in parts {
        assert!(ended.stderr.contains(part), "{part} is missing in {ended:?}");
    }

    let words = [&["fetch"], &*jobs, &["-o", &into]].concat();
    assert_eq!(ok(cluster.run(&words)).lines().count(), 3);
    let endings = ["png", "jpg", "png"];
    let mut expected: Vec<_> =
        jobs.iter().zip(endings).map(|(job, ending)| format!("tessera-{job}.{ending}")).collect();
    let hash = |name: &String| picture::hash(format!("{into}/{name}").as_ref());
    let by_flags = Render::words(["a cat", "--workers", "sim:0", "--output", "out.png"])
        .flags("--seed 5 --width 128 --height 128 --steps 2 --tile 16")
        .rendered();
    assert_eq!(hash(&expected[0]), by_flags.hash());
    let json = path(&folder, "r.json");
    ok(cluster.run(&["fetch", jobs[2], "-o", &path(&folder, "last.png"), "--report", &json]));
    assert_eq!(
        Report::open(json.as_ref()).number("/plan/target/width"),
        128.0,
        "the last one has no hires pass"
    );
    expected.sort();
    assert_eq!(names(&into), expected);

    // One that is not known does not keep the others from being fetched.
    let again = path(&folder, "again/");
    let ended = cluster.run(&["fetch", jobs[0], "00000000000000aa", jobs[2], "-o", &again]);
    assert_eq!((ended.code, names(&again).len()), (Some(2), 2), "{ended:?}");
    assert_eq!(ended.error(), "1 of 3 jobs were not fetched");
}

#[test]
fn a_folder_of_pictures_is_a_job_each() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:0"], None);
    let scene = |side| picture::bytes(&picture::scene(side, side), ImageFormat::Png);
    let folder = folder(&[("b.png", &scene(64)), ("a.png", &scene(128)), ("notes.txt", b"no picture")]);
    let pictures = folder.path().display().to_string();
    let words = ["submit", "--image", &pictures, "--steps", "1", "--seed", "5", "--watch", "--json"];
    let lines = ok(cluster.run(&words));
    let events: Vec<_> = lines.lines().map(report::parse).collect();
    let submitted: Vec<_> = events.iter().filter(|event| event["event"] == "submitted").collect();
    let sources: Vec<_> =
        submitted.iter().map(|event| event["source"].as_str().unwrap_or_default()).collect();
    assert_eq!(sources, [path(&folder, "a.png"), path(&folder, "b.png")]);
    for (event, side) in submitted.iter().zip([256, 128]) {
        let last = events.iter().rfind(|other| other["event"] == "status" && other["job"] == event["job"]);
        let last = last.expect("it was followed");
        assert_eq!((&last["state"], &last["size"]["width"]), (&"done".into(), &side.into()), "{last}");
    }
}

#[test]
fn a_bad_line_keeps_the_whole_batch_from_being_handed_in() {
    let cluster = Cluster::start(&[]);
    let lines = "{\"prompt\": \"a cat\"}\n{\"prompt\": \"a dog\", \"image\": \"absent.png\"}\n";
    let folder = folder(&[("b.jsonl", lines.as_bytes())]);
    let ended = cluster.run(&["submit", "--batch", &path(&folder, "b.jsonl")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.error().contains("b.jsonl, line 2: cannot read the image"), "{ended:?}");
    assert_eq!(ok(cluster.run(&["jobs", "--json"])), "");
}

#[test]
fn a_batch_with_a_job_that_fails_says_which() {
    let cluster = Cluster::start(&["--worker-wait", "1"]).with_workers(&["sim:0"], None);
    let lines = "{\"model\": \"unheard-of\"}\n{}\n";
    let folder = folder(&[("job.toml", SMALL.as_bytes()), ("b.jsonl", lines.as_bytes())]);
    let (file, batch) = (path(&folder, "job.toml"), path(&folder, "b.jsonl"));
    let ended = cluster.run(&["submit", "a cat", "--job", &file, "--batch", &batch, "--watch"]);
    let jobs: Vec<&str> = ended.stdout.lines().collect();
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains(&format!("job {} failed: ", jobs[0])), "{ended:?}");
    assert!(ended.stderr.contains(&format!("job {} is done", jobs[1])), "{ended:?}");
    assert_eq!(ended.error(), "1 of 2 jobs ended without a picture");
}
