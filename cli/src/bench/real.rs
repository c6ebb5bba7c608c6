//! The real engine on one worker and on two: a model folder in, how many times as fast the two are out.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The demo's job: 128 px from text, then 512 px in tiles.
const JOB: &str = "render tiles --seed 3 --cfg 4 --steps 4 --scale 4 --upscaler lanczos --denoise 0.35 --hires-steps 15 \
                   --quiet --workers";

/// Runs of either; the best counts, since nothing makes a run faster than the machine is.
const RUNS: usize = 5;

/// Runs a job with the default model on one worker of one thread and on two in turn, each in processes of its own; returns
/// the wall time of the hires pass on one by that on two.
///
/// # Errors
/// The model or ONNX Runtime is missing, or a job fails.
pub(crate) fn speedup(executable: &Path) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut best = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        for (best, workers) in best.iter_mut().zip(["cpu:1", "cpu:1,cpu:1"]) {
            *best = best.min(hires(executable, folder.path(), workers)?);
        }
    }
    let [one, two] = best;
    Ok(one / two)
}

/// Wall time of the hires pass, s.
fn hires(executable: &Path, folder: &Path, workers: &str) -> Result<f64> {
    let report = folder.join("report.json");
    let mut command = Command::new(executable);
    command.args(JOB.split_whitespace()).arg(workers);
    command.arg("-o").arg(folder.join("picture.png")).arg("--report").arg(&report);
    let ended = command.output().context("cannot start a render")?;
    ensure!(ended.status.success(), "a render failed: {}", String::from_utf8_lossy(&ended.stderr).trim());
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let mut stages = report["stages"].as_array().into_iter().flatten();
    let hires = stages.find(|stage| stage["stage"] == "hires");
    hires.and_then(|stage| stage["wall_s"].as_f64()).context("the report has no hires pass")
}
