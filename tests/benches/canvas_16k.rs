//! Memory of the coordinator for the largest picture that a job may ask for: 16,384x16,384 px on two simulated workers,
//! decoded tile by tile and written row by row.
//!
//! Run by `cargo bench -p tessera-tests --bench canvas_16k`.

use std::{fs, process::ExitCode, time::Duration};

use tessera_tests::{cluster::Cluster, figures::Figures, render::Render};

/// Most memory of the coordinator's process, GiB.
const MEMORY_GIB: f64 = 1.0;

/// The longest that one picture may take: 1,024 tiles of the decoder, each run up to every barrier.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    let mut figures = Figures::default();
    for (name, flags) in [
        ("PNG, exact", "--output out.png"),
        ("PNG of 16 bits, exact", "--output out.png --bits 16"),
        ("JPEG, blended tiles", "--output out.jpg --vae blend"),
        ("TIFF, exact", "--output out.tiff"),
    ] {
        let cluster = Cluster::start(&[]).with_workers(&["sim:0", "sim:0"], None);
        let rendered =
            Render::words(["a harbour", "--coordinator", cluster.url(), "--report", "report.json"])
                .flags("--width 1024 --height 1024 --scale 16 --steps 1 --hires-steps 1 --seed 5")
                .flags(flags)
                .start()
                .rendered_within(LIMIT);
        let mib = u32::try_from(cluster.coordinator.peak_memory() >> 20).unwrap_or(u32::MAX);
        figures.at_most(
            &format!("{name}: coordinator's peak memory"),
            (f64::from(mib) / 1024.0, "GiB"),
            MEMORY_GIB,
        );
        let report = rendered.report();
        figures.note(&format!("{name}: wall"), report.number("/wall_s"), "s");
        figures.note(&format!("{name}: decode and write"), report.stage("decode", "wall_s"), "s");
        let file = flags.split_whitespace().nth(1).unwrap_or_default();
        let bytes = fs::metadata(rendered.file(file)).map_or(0, |file| file.len());
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        figures.note(&format!("{name}: file"), f64::from(mib), "MiB");
        let size = image::image_dimensions(rendered.file(file)).unwrap_or_default();
        figures.at_least(&format!("{name}: width"), (f64::from(size.0), "px"), 16_384.0);
    }
    figures.verdict()
}
