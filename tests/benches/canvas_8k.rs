//! Memory and time of the coordinator for the largest picture: 8192x8192 px on two simulated workers.
//!
//! Run by `cargo bench -p tessera-tests --bench canvas_8k`.

use std::process::ExitCode;

use tessera_tests::{cluster::Cluster, figures::Figures, render::Render};

/// Most memory of the coordinator's process, GiB.
const MEMORY_GIB: f64 = 1.5;

fn main() -> ExitCode {
    let mut figures = Figures::default();
    for (name, flags) in [
        ("latent, euler", "--sampler euler --upscaler latent"),
        ("latent, dpmpp-2m", "--sampler dpmpp-2m --upscaler latent"),
        ("lanczos, euler-a", "--sampler euler-a --upscaler lanczos"),
    ] {
        let cluster = Cluster::start(&[]).with_workers(&["sim:0", "sim:0"], None);
        let rendered = Render::new("a harbour")
            .args(["--coordinator", cluster.url()])
            .flags("--width 512 --height 512 --scale 16 --steps 2 --hires-steps 4 --denoise 0.5")
            .flags(flags)
            .rendered();
        let gib =
            f64::from(u32::try_from(cluster.coordinator.peak_memory() >> 20).unwrap_or(u32::MAX)) / 1024.0;
        let report = rendered.report();
        figures.at_most(&format!("{name}: coordinator's peak memory"), (gib, "GiB"), MEMORY_GIB);
        figures.note(&format!("{name}: wall"), report.number("/wall_s"), "s");
        for stage in ["hires", "decode"] {
            figures.note(
                &format!("{name}: {stage}, {} tasks", report.stage(stage, "tasks")),
                report.stage(stage, "wall_s"),
                "s",
            );
        }
    }
    figures.verdict()
}
