//! The real engine on one worker and on two: a model folder in, how many times as fast the two are out.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The demo's job: 128 px from text, then 512 px in tiles.
const JOB: &str = "render tiles --seed 3 --cfg 4 --steps 4 --scale 4 --upscaler lanczos --denoise 0.35 --hires-steps 15 \
                   --quiet --workers";

/// Runs of either, in turn.
const RUNS: usize = 5;

/// What two workers make of a pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    /// Wall time on one worker by that on two, the best of either.
    pub(crate) ratio: f64,
    /// Share of the pass on two that both are inside networks, the mean: what it lacks to 1 is ours. Two engines on one
    /// machine slow each other down, which is not.
    pub(crate) busy: f64,
}

/// Runs a job with the default model on one worker of one thread and on two in turn, each in processes of its own.
///
/// # Errors
/// The model or ONNX Runtime is missing, or a job fails.
pub(crate) fn pair(executable: &Path) -> Result<Pair> {
    let folder = tempfile::tempdir()?;
    let (mut best, mut busy) = ([f64::INFINITY; 2], [0.0; 2]);
    for _ in 0..RUNS {
        for (index, workers) in ["cpu:1", "cpu:1,cpu:1"].into_iter().enumerate() {
            let (wall, share) = hires(executable, folder.path(), workers)?;
            best[index] = wall.min(best[index]);
            busy[index] += share / RUNS as f64;
        }
    }
    let [one, two] = best;
    Ok(Pair { ratio: one / two, busy: busy[1] })
}

/// Wall time of the hires pass, s, and the share of it that the workers are inside networks.
fn hires(executable: &Path, folder: &Path, workers: &str) -> Result<(f64, f64)> {
    let report = folder.join("report.json");
    let mut command = Command::new(executable);
    command.args(JOB.split_whitespace()).arg(workers);
    command.arg("-o").arg(folder.join("picture.png")).arg("--report").arg(&report);
    let ended = command.output().context("cannot start a render")?;
    ensure!(ended.status.success(), "a render failed: {}", String::from_utf8_lossy(&ended.stderr).trim());
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let mut stages = report["stages"].as_array().into_iter().flatten();
    let hires = stages.find(|stage| stage["stage"] == "hires").context("the report has no hires pass")?;
    let number = |name: &str| hires[name].as_f64().with_context(|| format!("the report has no {name}"));
    Ok((number("wall_s")?, number("busy_share")?))
}
