//! One command for all devices of a machine: a worker process each, which come back when they die and go together.

use std::{thread, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    process::{self, Running, Signal},
};

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

fn host(cluster: &Cluster, devices: &str) -> Running {
    Running::start(&mut cluster.command(&["worker", "--device", devices, "--name", "farm"]))
}

/// Waits until exactly these workers are connected.
fn have(cluster: &Cluster, expected: &[&str]) {
    for _ in 0..600 {
        let mut names = cluster.worker_names();
        names.sort();
        if names == expected {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("not within a minute: {:?}, but {expected:?}", cluster.worker_names());
}

#[test]
fn a_host_has_a_worker_per_device_and_keeps_it_running() {
    let cluster = Cluster::start(&[]);
    let mut farm = host(&cluster, "sim:1,sim:2,sim:2");
    let all = ["farm/sim:1", "farm/sim:2", "farm/sim:2.1"];
    have(&cluster, &all);
    let children = process::children(farm.id());
    assert_eq!(children.len(), 3, "{children:?}");
    process::kill(children[0]);
    thread::sleep(Duration::from_millis(300));
    have(&cluster, &all);
    farm.signal(Signal::Interrupt);
    let ended = farm.wait(LIMIT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    have(&cluster, &[]);
}

#[test]
fn workers_do_not_outlive_what_started_them() {
    let cluster = Cluster::start(&[]);
    let mut farm = host(&cluster, "sim:1,sim:1");
    have(&cluster, &["farm/sim:1", "farm/sim:1.1"]);
    farm.signal(Signal::Kill);
    have(&cluster, &[]);
}

#[test]
fn a_host_is_drained_as_one() {
    let cluster = Cluster::start(&[]);
    let farm = host(&cluster, "sim:1,sim:1");
    have(&cluster, &["farm/sim:1", "farm/sim:1.1"]);
    let drained = cluster.run(&["drain", "farm"]);
    assert_eq!(drained.code, Some(0), "{drained:?}");
    assert_eq!(drained.stdout.lines().count(), 2, "{}", drained.stdout);
    let ended = farm.wait(LIMIT);
    assert_eq!(ended.code, Some(0), "drained workers are not started again: {ended:?}");
}

#[test]
fn devices_that_do_not_serve_are_said() {
    let cluster = Cluster::start(&[]);
    let mut command = cluster.command(&["worker", "--device", "cpu:1,cpu:1", "--model", "/nowhere"]);
    let ended = Running::start(&mut command).wait(LIMIT);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("/nowhere"), "{}", ended.stderr);
    assert!(ended.error().contains("no device of this machine can serve"), "{}", ended.stderr);
    for (device, sentence) in
        [("gpu:0", "gpu:0"), ("cpu:1,gpu:0", "gpu:0"), ("sim:1,cpu:1", "simulated and real")]
    {
        let ended = Running::start(&mut cluster.command(&["worker", "--device", device])).wait(LIMIT);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.error().contains(sentence), "{}", ended.error());
    }
}
