//! `tessera plan`: how long it says a job takes, on a cluster and on devices that are named.

use serde_json::Value;
use tessera_tests::{cluster::Cluster, figures::say, program, report};

/// A job that runs every kind of network.
const JOB: &str = "--width 128 --height 128 --steps 2 --hires-steps 12 --scale 3 --tile 24 --upscaler sim-2x \
                   --upscale-tile 64 --vae-tile 16 --vae-encode-tile 128";

fn words(flags: &str) -> Vec<&str> {
    flags.split_whitespace().filter(|word| *word != "\\").collect()
}

fn plan(flags: &str) -> (Option<i32>, String, String) {
    let mut command = program::command();
    let ended = command.args(["plan", "a cat"]).args(words(flags)).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
}

fn planned(cluster: &Cluster, flags: &str) -> Value {
    let ended = cluster.run(&[&["plan", "a cat", "--json"], &words(flags)[..]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    report::parse(&ended.stdout)
}

fn stage<'v>(plan: &'v Value, name: &str) -> &'v Value {
    let mut stages = plan["forecast"]["stages"].as_array().expect("stages").iter();
    stages.find(|stage| stage["stage"] == name).unwrap_or_else(|| panic!("no {name} in {plan}"))
}

/// Runs a job and returns its report.
fn run(cluster: &Cluster, flags: &str) -> report::Report {
    let submitted = cluster.run(&[&["submit", "a cat", "--seed", "5"], &words(flags)[..]].concat());
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let job = submitted.stdout.trim().to_owned();
    assert_eq!(cluster.run(&["watch", &job]).code, Some(0));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let fetched = cluster.run(&["fetch", &job, "-o", &path("a.png"), "--report", &path("a.json")]);
    assert_eq!(fetched.code, Some(0), "{fetched:?}");
    report::Report::open(path("a.json").as_ref())
}

#[test]
fn a_cluster_foretells_a_job_from_what_it_has_measured() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:30", "sim:60"], None);
    let before = planned(&cluster, JOB);
    assert_eq!((&before["forecast"]["seconds"], &before["advice"]), (&Value::Null, &Value::Null));
    for flags in [JOB.to_owned(), format!("{JOB} --vae fast")] {
        run(&cluster, &flags);
        let took = run(&cluster, &flags);
        let foretold = planned(&cluster, &flags);
        for stage in foretold["forecast"]["stages"].as_array().expect("stages") {
            assert!(stage["seconds"].as_f64().is_some_and(|seconds| 0.0 < seconds), "{stage}");
        }
        assert_eq!(stage(&foretold, "hires")["basis"], "measured", "{foretold}");
        let seconds = stage(&foretold, "hires")["seconds"].as_f64().expect("a time");
        let wall = took.stage("hires", "wall_s");
        say(format_args!("hires pass foretold {seconds:.2} s, took {wall:.2} s"));
        assert!((0.75..1.15).contains(&(seconds / wall)), "foretold {seconds} s, took {wall} s");
        let devices = stage(&foretold, "hires")["devices"].as_array().expect("devices").clone();
        assert_eq!((&devices[0]["name"], &devices[1]["device"]), (&"worker-0".into(), &"sim:60".into()));
        assert!(devices[1]["tasks"].as_u64() < devices[0]["tasks"].as_u64(), "{devices:?}");
        assert!(0.0 < foretold["forecast"]["seconds"].as_f64().expect("all is known"));
    }
    let text = cluster.run(&[&["plan", "a cat"], &words(JOB)[..]].concat()).stdout;
    assert!(text.contains("time on 2 devices") && text.contains("worker-1 (sim:60): "), "{text}");
    // Another shape of the same model is estimated, and said to be.
    let other = planned(&cluster, &JOB.replace("--tile 24", "--tile 32"));
    assert_eq!(stage(&other, "hires")["basis"], "scaled");
}

#[test]
fn named_devices_are_enough_for_the_tiled_pass() {
    let (code, text, error) = plan("--workers sim:1 --devices 47,86,86");
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("time on 3 devices, in networks alone, beside no other job:"), "{text}");
    assert!(
        text.contains("device 1 (47 ms): 47.0 ms a call") && text.contains("not measured on any device"),
        "{text}"
    );
    let (code, text, error) = plan("--workers sim:1 --devices 86,86,86,86,86,86,86,86");
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("4 tiles on 8 devices: 4 wait"), "{text}");
    assert!(text.contains("faster: --tile ") && text.contains("other tiles make another picture"), "{text}");
    let (_, text, error) = plan("--workers sim:1");
    assert!(!text.contains("faster") && error.contains("--devices MS,MS"), "{text}{error}");
}

#[test]
fn devices_and_models_that_make_no_sense_are_refused() {
    for (flags, sentence) in [
        ("--devices 0", "--devices holds 0, must be milliseconds above 0 and at most 600000, as in 47,86,86"),
        ("--devices 86,-1", "-1"),
        ("--devices 86,inf", "--devices holds inf, must be milliseconds"),
        ("--devices NaN", "--devices holds NaN, must be milliseconds"),
        ("--devices fast", "invalid value 'fast' for '--devices"),
        ("--devices 5 --coordinator http://127.0.0.1:1", "cannot be used with '--coordinator"),
    ] {
        let simulated = if flags.contains("--coordinator") { "" } else { "--workers sim:1" };
        let (code, _, error) = plan(&format!("{flags} {simulated}"));
        assert_eq!(code, Some(2), "{flags}: {error}");
        assert!(error.contains(sentence), "{flags}: {error}");
    }
    // It may answer another time.
    let (code, _, error) = plan("--coordinator http://127.0.0.1:1");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("no coordinator answers at http://127.0.0.1:1"), "{error}");
    let (_, _, error) = plan(&format!("--workers sim:1 --devices {}", vec!["5"; 257].join(",")));
    assert!(error.contains("--devices names 257 devices, the limit is 256"), "{error}");
    let cluster = Cluster::start(&[]);
    let nobody = cluster.run(&["plan", "a cat"]);
    assert_eq!(nobody.code, Some(2), "{nobody:?}");
    assert!(
        nobody.error().starts_with("no worker of this cluster serves any model: start tessera worker"),
        "{nobody:?}"
    );
}

/// What `render` would refuse is refused, and what it would write is not written.
#[test]
fn files_are_looked_at_and_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let sim = "--workers sim:0 --scale 1";
    let (code, stdout, stderr) = plan(&format!("{sim} -q -o {} --report {}", path("a.png"), path("a.json")));
    assert_eq!((code, &*stdout, &*stderr), (Some(0), "", ""));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let (code, _, stderr) = plan(&format!("{sim} -o {} --trace {}", path("a.png"), path("no/t.json")));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no/t.json") && stderr.contains("does not exist"), "{stderr}");
    let (code, _, stderr) = plan(&format!("{sim} --report {}", path("a.txt")));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("must end in .json"), "{stderr}");
}
