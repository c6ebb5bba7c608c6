//! A host that is cut off, and comes back.

use std::{thread, time::Duration};

use tessera_tests::{cluster::Cluster, process::Running, program, proxy::Proxy};

use super::{SIMULATED, start, undisturbed};

/// Its tasks go to others soon after it has fallen silent; when it is back, what it then says of them is dropped.
#[test]
fn a_host_that_is_cut_off_is_done_without() {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let debug = [("TESSERA_LOG", "tessera_coordinator=debug")];
    let cluster = Cluster::start_with(&["--silence", "1"], &debug).with_workers(&["sim:30"], None);
    let proxy = Proxy::to(cluster.address());
    let mut command = program::command();
    command.args(["worker", "--coordinator", &proxy.url(), "--device", "sim:600", "--name", "far"]);
    let far = Running::start(&mut command);
    let there = |cluster: &Cluster| cluster.worker_names().contains(&"far".to_owned());
    while !there(&cluster) {
        thread::sleep(Duration::from_millis(20));
    }
    let pending = start(&cluster, SIMULATED);
    // It is at a task by then.
    pending.reached("hires", 5);
    proxy.cut();
    let limit = Duration::from_secs(30);
    cluster.coordinator.complaint(limit, |line| line.contains("worker lost") && line.contains("far"));
    assert!(!there(&cluster));
    proxy.mend();
    cluster.coordinator.complaint(limit, |line| line.contains("a late outcome was dropped"));
    let rendered = pending.rendered();
    assert_eq!(rendered.hash(), expected);
    while !there(&cluster) {
        thread::sleep(Duration::from_millis(20));
    }
    drop(far);
}
