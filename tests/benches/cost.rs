//! What a cluster costs beside its networks: the README's demo job, and the same shape on simulated devices.
//!
//! Run by `cargo bench -p tessera-tests --bench cost`, on a machine with nothing else to do.

use std::process::ExitCode;

use tessera_tests::{
    figures::{Figures, say},
    model,
    render::{Render, Rendered},
};

/// Least share of the workers' time in hires pass and decode that networks run.
const BUSY: f64 = 0.9;

/// Most that a tile's round trip takes beyond its network on loopback, p50, ms.
const OVERHEAD_MS: f64 = 2.0;

/// As in `deploy/demo.sh`.
const DEMO: &str =
    "--steps 20 --cfg 4 --scale 8 --upscaler demo-4x --denoise 0.4 --hires-steps 15 --tile-method mixture";

fn main() -> ExitCode {
    let mut figures = Figures::default();
    let demo =
        Render::new("a red house by a river at noon, green meadow, flowers, autumn trees, mountains, clouds")
            .model(&model::demo())
            .args(["--workers", "cpu:1,cpu:1"])
            .flags(DEMO)
            .rendered();
    judge("demo job, cpu:1 cpu:1", &demo, &mut figures);
    let simulated =
        Render::simulated("sim:20,sim:20").flags("--steps 5 --hires-steps 10 --scale 4 --tile 64").rendered();
    judge("simulated job, sim:20 sim:20", &simulated, &mut figures);
    figures.verdict()
}

fn judge(name: &str, rendered: &Rendered, figures: &mut Figures) {
    say(name);
    let report = rendered.report();
    figures.note("  wall", report.number("/wall_s"), "s");
    for stage in ["embed", "base", "upscale", "hires", "decode"] {
        let stages = report.at("/stages").as_array().into_iter().flatten();
        if !stages.into_iter().any(|entry| entry["stage"] == stage) {
            continue;
        }
        figures.note(&format!("  {stage}: wall"), report.stage(stage, "wall_s"), "s");
        figures.note(&format!("  {stage}: tasks"), report.stage(stage, "tasks"), "");
        figures.note(&format!("  {stage}: busy"), report.stage(stage, "busy_share"), "");
        let overhead = |percentile: &str| {
            let field = format!("round_trip_overhead_ms_{percentile}");
            report.stage(stage, &field)
        };
        figures.note(&format!("  {stage}: round trip p99"), overhead("p99"), "ms");
        let p50 = format!("  {stage}: round trip beyond the network, p50");
        if stage == "hires" {
            figures.at_most(&p50, (overhead("p50"), "ms"), OVERHEAD_MS);
        } else {
            figures.note(&p50, overhead("p50"), "ms");
        }
    }
    let busy = report.number("/hires_and_decode_busy_share");
    figures.at_least("  hires and decode: device-busy share", (busy, ""), BUSY);
}
