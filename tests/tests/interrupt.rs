//! Ctrl-C in the middle: exit 130, no file, no process left.

use std::{thread, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    process::{self, Signal},
    render::{Failed, Render},
    report,
};

/// Takes a minute when it is let.
const LONG: &str = "--json --width 512 --height 512 --steps 1 --hires-steps 50 --tile 32";

fn assert_interrupted(failed: &Failed) {
    let Failed { ended, left } = failed;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("interrupted: "), "{ended:?}");
    assert!(left.is_empty(), "{left:?}");
    assert!(ended.wall < Duration::from_secs(20), "{:?}", ended.wall);
}

#[test]
fn ctrl_c_leaves_neither_files_nor_processes() {
    let mut pending = Render::simulated("sim:40,sim:40").flags(LONG).start();
    pending.reached("hires", 3);
    let workers = process::children(pending.running.id());
    assert_eq!(workers.len(), 2, "one process per device");
    pending.running.signal(Signal::Interrupt);
    assert_interrupted(&pending.failed());
    for worker in workers {
        assert!(!process::exists(worker), "worker {worker} is left");
    }
}

#[test]
fn ctrl_c_before_the_first_worker_came() {
    let cluster = Cluster::start(&[]);
    let mut pending = Render::new("a cat").flags(LONG).args(["--coordinator", cluster.url()]).start();
    let waits = |line: &str| line.contains("\"state\":\"waiting\"");
    pending.running.line(Duration::from_secs(20), waits);
    pending.running.signal(Signal::Interrupt);
    assert_interrupted(&pending.failed());
}

#[test]
fn ctrl_c_cancels_the_job_on_a_cluster() {
    let cluster = Cluster::start(&[]).with_workers(&["sim:40"], None);
    let mut pending = Render::new("a cat").flags(LONG).args(["--coordinator", cluster.url()]).start();
    pending.reached("hires", 3);
    pending.running.signal(Signal::Interrupt);
    assert_interrupted(&pending.failed());
    let jobs = cluster.run(&["jobs", "--json"]);
    let job = report::parse(jobs.stdout.trim());
    assert_eq!(job["state"], "cancelled", "{job}");
    assert_eq!(cluster.worker_names(), ["worker-0"], "the worker stays");
}

/// `kill -9` of the command itself: its workers notice that their coordinator is gone.
#[test]
fn workers_do_not_outlive_a_killed_command() {
    let mut pending = Render::simulated("sim:40,sim:40").flags(LONG).start();
    pending.reached("hires", 3);
    let workers = process::children(pending.running.id());
    pending.running.signal(Signal::Kill);
    let failed = pending.failed();
    assert_eq!(failed.ended.code, None, "{failed:?}");
    assert!(failed.left.is_empty(), "{:?}", failed.left);
    let gone = || workers.iter().all(|worker| !process::exists(*worker));
    for _ in 0..200 {
        if gone() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("workers {workers:?} are left after 10 s");
}
