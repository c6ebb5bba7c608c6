//! `tessera bench chaos`: flags in; what became of the jobs, and whether that is as promised, out.

use crate::{
    args::ChaosArgs,
    bench::Chaos,
    environment::Environment,
    exit::Failure,
    options::seconds,
    output::{Output, Style},
};

/// Kills, and counts.
pub(super) async fn run(args: &ChaosArgs, output: &Output) -> Result<(), Failure> {
    let environment = Environment::of_process().map_err(Failure::failed)?;
    let chaos = Chaos {
        jobs: args.jobs as usize,
        time: seconds("--seconds", args.seconds).map_err(Failure::usage)?,
        workers: args.workers as usize,
        seed: args.seed,
        executable: environment.executable,
    };
    let after = Box::pin(chaos.run(|text| output.note(text))).await.map_err(Failure::failed)?;
    if output.style() == Style::Json {
        output.json(&after)?;
    } else {
        let [workers, coordinators] = after.kills;
        output.data(format_args!(
            "{} jobs, {workers} workers and {coordinators} coordinators killed in {:.0} s: {} lost, {} stuck, {} with other \
             bytes",
            after.jobs, after.wall_s, after.lost, after.stuck, after.wrong_bytes
        ))?;
    }
    if after.lost + after.stuck + after.wrong_bytes == 0 {
        return Ok(());
    }
    Err(Failure::failed(anyhow::anyhow!(
        "jobs did not come through: run it again with --seed {}",
        after.seed
    )))
}
