//! Memory of a worker for an exact decode of 1024x1024 and of 4096x4096 px in the same tiles, and the time of an exact
//! decode beside a blended one.
//!
//! Run by `cargo bench -p tessera-tests --bench vae_memory`, on a machine with nothing else to do. The large picture
//! takes some minutes: attention looks from every latent px at every other.

use std::{process::ExitCode, time::Duration};

use tessera_tests::{
    cluster::Cluster,
    figures::{Figures, say},
    model,
    render::Render,
    report::Report,
};

/// Most memory of a worker for sixteen times the pixels.
const MEMORY: f64 = 1.6;

/// The longest that a render may take.
const LIMIT: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let mut figures = Figures::default();
    let flags = "--vae-tile 64";
    let [small, large] = [1024, 4096].map(|side| {
        let (report, mib, _) = decode(side, flags);
        figures.note(&format!("{side}x{side} px, exact: a worker's peak memory"), mib, "MiB");
        figures.note("  by the plan, without weights", planned(&report), "MiB");
        mib
    });
    figures.at_most("4096x4096 by 1024x1024 px", (large / small, "x"), MEMORY);
    let [exact, blend] = ["exact", "blend"].map(|mode| {
        let (report, _, seconds) = decode(2048, &format!("{flags} --vae {mode}"));
        figures.note(&format!("2048x2048 px, {mode}: decode, wall"), report.stage("decode", "wall_s"), "s");
        figures.note("  the worker's processor time, all stages", seconds, "s");
        report.stage("decode", "busy_s")
    });
    figures.note("exact by blend, time inside networks and between them", exact / blend, "x");
    figures.verdict()
}

/// One picture with a single step. Returns the report, and the worker's peak memory, MiB, and processor time, seconds.
fn decode(side: u32, flags: &str) -> (Report, f64, f64) {
    say(format_args!("{side}x{side} px {flags}"));
    let mut cluster = Cluster::start(&[]);
    cluster.add_worker_with("cpu:2", Some(&model::tiny()), &["--spill-above", "64"]);
    let pending = Render::new("a harbour")
        .args(["--coordinator", cluster.url()])
        .flags(&format!(
            "--width {side} --height {side} --scale 1 --steps 1 --tile-base --tile 64 --overlap 0"
        ))
        .flags(flags)
        .start();
    let report = pending.rendered_within(LIMIT).report();
    let worker = &cluster.workers[0];
    let mib = f64::from(u32::try_from(worker.peak_memory() >> 10).unwrap_or(u32::MAX)) / 1024.0;
    (report, mib, worker.processor_time().as_secs_f64())
}

fn planned(report: &Report) -> f64 {
    report.planned("decode")["peak_bytes"].as_f64().unwrap_or(f64::NAN) / f64::from(1 << 20)
}
