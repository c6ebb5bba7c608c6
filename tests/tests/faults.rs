//! Workers that die, hang, come late or answer nonsense in the hires pass: the job ends with the same bytes.

mod cut;
mod liar;

use std::{path::PathBuf, thread, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    figures::say,
    model,
    process::Signal,
    render::{Pending, Render, Rendered},
};

/// Long enough to be hurt in the middle, with the tiny model: 5x4 tiles, 12 model calls.
const TINY: &str = "--width 160 --height 128 --steps 2 --hires-steps 12 --denoise 0.6 --sampler euler-a --scale 2 \
                    --upscaler latent --tile 16 --overlap 8";

/// The same on simulated devices, where a tile takes as long as the device says.
const SIMULATED: &str =
    "--width 256 --height 256 --steps 1 --hires-steps 6 --sampler euler-a --tile 24 --overlap 8";

fn start(cluster: &Cluster, flags: &str) -> Pending {
    Render::new("a photo of a cat").args(["--json", "--coordinator", cluster.url()]).flags(flags).start()
}

fn undisturbed(workers: &str, model: Option<PathBuf>, flags: &str) -> String {
    let mut render = Render::new("a photo of a cat").flags(flags).args(["--workers", workers]);
    if let Some(model) = model {
        render = render.model(&model);
    }
    render.rendered().hash()
}

fn lost_tasks(rendered: &Rendered) -> f64 {
    rendered.report().number("/lost_tasks")
}

#[test]
fn kill_9_in_the_hires_pass() {
    let model = model::tiny();
    let expected = undisturbed("cpu:1", Some(model.clone()), TINY);
    let mut cluster = Cluster::start(&[]).with_workers(&["cpu:1", "cpu:1"], Some(&model));
    let pending = start(&cluster, TINY);
    pending.reached("hires", 5);
    cluster.workers[0].signal(Signal::Kill);
    let rendered = pending.rendered();
    let report = rendered.report();
    say(format_args!(
        "kill -9 in the hires pass: {} tasks lost, {} and {} done, same bytes",
        lost_tasks(&rendered),
        report.tasks_of("worker-0"),
        report.tasks_of("worker-1")
    ));
    assert!(1.0 <= lost_tasks(&rendered), "it must have died with work in hand");
    assert!(0 < report.tasks_of("worker-0"), "it must have worked before");
    assert_eq!(rendered.hash(), expected);
    assert_eq!(cluster.worker_names(), ["worker-1"]);
}

#[test]
fn every_worker_but_one_dies() {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let devices = ["sim:20", "sim:20", "sim:20", "sim:20"];
    let mut cluster = Cluster::start(&[]).with_workers(&devices, None);
    let pending = start(&cluster, SIMULATED);
    for (worker, done) in [(0, 3), (1, 20), (2, 40)] {
        pending.reached("hires", done);
        cluster.workers[worker].signal(Signal::Kill);
    }
    let rendered = pending.rendered();
    assert!(3.0 <= lost_tasks(&rendered), "three died with work in hand");
    assert_eq!(rendered.hash(), expected);
}

#[test]
fn a_worker_that_comes_late_helps() {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:30"], None);
    let pending = start(&cluster, SIMULATED);
    pending.reached("hires", 3);
    cluster.add_worker("sim:5", None);
    let rendered = pending.rendered();
    assert!(0 < rendered.report().tasks_of("worker-1"), "{:?}", rendered.report());
    assert_eq!(rendered.hash(), expected);
}

#[test]
fn a_job_waits_for_its_first_worker() {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let mut cluster = Cluster::start(&[]);
    let pending = start(&cluster, SIMULATED);
    let waits = |line: &str| line.contains("\"state\":\"waiting\"");
    pending.running.line(Duration::from_secs(20), waits);
    cluster.add_worker("sim:0", None);
    assert_eq!(pending.rendered().hash(), expected);
}

/// The worker stands still for longer than the coordinator listens, wakes with a finished tile in hand, and finds its
/// lease given to another.
#[test]
fn the_late_result_of_a_worker_that_hung_is_dropped() {
    let flags = SIMULATED.replace("--hires-steps 6", "--hires-steps 10");
    let expected = undisturbed("sim:0", None, &flags);
    let mut cluster = Cluster::start(&["--silence", "1"]).with_workers(&["sim:60", "sim:60"], None);
    let pending = start(&cluster, &flags);
    pending.reached("hires", 5);
    cluster.workers[0].signal(Signal::Stop);
    while cluster.worker_names().iter().any(|name| name == "worker-0") {
        thread::sleep(Duration::from_millis(50));
    }
    cluster.workers[0].signal(Signal::Continue);
    let rendered = pending.rendered();
    assert!(1.0 <= lost_tasks(&rendered), "{:?}", rendered.report());
    assert_eq!(rendered.hash(), expected);
}

/// A new coordinator gives the numbers of leases out again: what a worker computed for the old one must not count.
#[test]
fn a_restarted_coordinator_takes_no_result_of_the_old_one() {
    let flags = "--width 64 --height 64 --steps 1 --scale 1";
    let expected = undisturbed("sim:0", None, flags);
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:1000"], None);
    let submit =
        ["submit", "another picture", "--width", "64", "--height", "64", "--steps", "1", "--scale", "1"];
    assert_eq!(cluster.run(&submit).code, Some(0));
    // The worker is in the middle of the first task when its coordinator goes.
    thread::sleep(Duration::from_millis(300));
    cluster.restart_coordinator();
    assert_eq!(start(&cluster, flags).rendered().hash(), expected);
}

/// The only worker dies and none comes: the client that waits gives up, in words.
#[test]
fn a_job_without_workers_ends_for_the_one_who_waits() {
    let mut cluster = Cluster::start(&[]).with_workers(&["sim:200"], None);
    let pending = Render::new("a photo of a cat")
        .args(["--json", "--worker-wait", "2", "--coordinator", cluster.url()])
        .flags("--width 64 --height 64 --steps 20 --scale 1")
        .start();
    pending.reached("base", 1);
    cluster.workers[0].signal(Signal::Kill);
    let failed = pending.failed();
    assert_eq!(failed.ended.code, Some(1), "{:?}", failed.ended);
    assert!(failed.ended.stderr.contains("no worker is left"), "{}", failed.ended.stderr);
}

/// Workers show themselves more often where the coordinator listens for a shorter time.
#[test]
fn an_idle_worker_is_not_lost_to_a_short_silence() {
    let cluster = Cluster::start(&["--silence", "0.8"]).with_workers(&["sim:0"], None);
    let listed = || cluster.run(&["workers", "--json"]).stdout;
    let id = |text: &str| tessera_tests::report::parse(text.trim())["worker"].clone();
    let first = id(&listed());
    thread::sleep(Duration::from_secs(3));
    assert_eq!(id(&listed()), first, "a worker that was lost comes back under another id");
}

/// A local worker is started again by `render` itself.
#[test]
fn render_starts_its_own_worker_again() {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let pending = Render::simulated("sim:20,sim:20").args(["--json"]).flags(SIMULATED).start();
    pending.reached("hires", 5);
    let workers = tessera_tests::process::children(pending.running.id());
    assert_eq!(workers.len(), 2, "one process per device");
    tessera_tests::process::kill(workers[0]);
    let rendered = pending.rendered();
    assert!(rendered.ended.stderr.contains("was started again"), "{}", rendered.ended.stderr);
    assert!(1.0 <= lost_tasks(&rendered));
    assert_eq!(rendered.hash(), expected);
}

#[test]
fn kill_9_in_the_exact_decode() {
    // 3x2 tiles of 20 rounds each; what a dead worker kept of its tiles is computed again elsewhere.
    let flags =
        "--width 160 --height 128 --steps 1 --hires-steps 1 --scale 2 --upscaler latent --vae-tile 16";
    let model = model::tiny();
    let expected = undisturbed("cpu:1", Some(model.clone()), flags);
    let mut cluster = Cluster::start(&[]).with_workers(&["cpu:1", "cpu:1", "cpu:1"], Some(&model));
    let pending = start(&cluster, flags);
    pending.reached("decode", 40);
    cluster.workers[0].signal(Signal::Kill);
    let rendered = pending.rendered();
    say(format_args!("kill -9 in the exact decode: {} tasks lost, same bytes", lost_tasks(&rendered)));
    assert_eq!(rendered.hash(), expected);
    assert_eq!(cluster.worker_names(), ["worker-1", "worker-2"]);
}

#[test]
fn kill_9_in_the_exact_encode() {
    // 5x4 tiles of 7 rounds each before the hires pass, and the encoder's last part.
    let flags = "--width 320 --height 256 --steps 1 --hires-steps 1 --scale 2 --upscaler lanczos --vae-encode-tile 128 \
                 --vae-tile 256 --tile 96 --overlap 8";
    let model = model::tiny();
    let expected = undisturbed("cpu:1", Some(model.clone()), flags);
    let mut cluster = Cluster::start(&[]).with_workers(&["cpu:1", "cpu:1", "cpu:1"], Some(&model));
    let pending = start(&cluster, flags);
    // The first task decodes the base.
    pending.reached("upscale", 40);
    cluster.workers[0].signal(Signal::Kill);
    let rendered = pending.rendered();
    say(format_args!("kill -9 in the exact encode: {} tasks lost, same bytes", lost_tasks(&rendered)));
    assert_eq!(rendered.hash(), expected);
    assert_eq!(cluster.worker_names(), ["worker-1", "worker-2"]);
}
