//! What a coordinator and its workers write for operators: in which form, and what must never be in it.

use std::time::Duration;

use serde_json::Value;
use tessera_tests::{cluster::Cluster, process::Signal, render::Render, report::parse};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_prompt_is_in_no_log() {
    let rendered = Render::tiny("the zanzibarine quokka")
        .args(["--negative", "a xylographic wombat"])
        .flags("--width 64 --height 64 --steps 2 --hires-steps 1 --scale 2 --upscaler lanczos")
        .env("TESSERA_LOG", "trace")
        .rendered();
    let ended = rendered.ended;
    assert!(1000 < ended.stderr.lines().count(), "everything is logged: {}", ended.stderr);
    for part in ["task sent", "tessera_worker", "tessera_coordinator"] {
        assert!(ended.stderr.contains(part), "no {part:?} in the log");
    }
    for word in ["zanzibar", "quokka", "xylograph", "wombat"] {
        let found = ended.stderr.lines().find(|line| line.to_lowercase().contains(word));
        assert_eq!(found, None, "{word} is in the log");
    }
}

#[test]
fn lines_for_collectors_are_json_with_job_task_and_worker() {
    let cluster =
        Cluster::start_with(&["--log-format", "json"], &[("TESSERA_LOG", "tessera_coordinator=trace,info")]);
    let mut cluster = cluster.with_workers(&["sim:0"], None);
    let job = "submit house --width 128 --height 128 --steps 2 --hires-steps 2 --scale 2 --tile 16 --overlap 4 --watch";
    let submitted = cluster.run(&job.split(' ').collect::<Vec<_>>());
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    let id = submitted.stdout.lines().next().expect("an id").trim().to_owned();
    cluster.coordinator.signal(Signal::Interrupt);
    let Cluster { coordinator, .. } = cluster;
    let lines: Vec<Value> = coordinator.wait(LIMIT).stderr.lines().map(parse).collect();
    let of = |message: &str| -> Vec<&Value> {
        let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
        assert!(!found.is_empty(), "no {message:?} in {lines:?}");
        found
    };
    for line in &lines {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string() && line["target"].is_string(),
            "{line}"
        );
    }
    for message in ["job submitted", "job done"] {
        assert_eq!(of(message)[0]["job"], id.as_str());
    }
    for message in ["task sent", "task done"] {
        for line in of(message) {
            assert_eq!(line["job"], id.as_str(), "{line}");
            assert!(line["task"].is_u64() && line["worker"].is_string(), "{line}");
        }
    }
    assert!(of("task done").iter().all(|line| line["busy_ms"].is_f64()));
}
