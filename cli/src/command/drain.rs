//! `tessera drain`: a worker's number or name in, a worker that takes no more and goes out.

use crate::{
    args::DrainArgs,
    exit::Failure,
    output::{Output, Style},
};

/// Tells workers to go; they finish the task in hand first.
pub(super) async fn run(args: DrainArgs, output: &Output) -> Result<(), Failure> {
    let workers = super::connect(&args.cluster).await?.drain(args.worker).await?;
    if output.style() == Style::Json {
        return workers.iter().try_for_each(|worker| output.json(worker));
    }
    for worker in workers {
        let (id, name, hand) = (worker.worker, worker.name, worker.tasks_in_hand);
        let then = if hand == 0 { "goes".to_owned() } else { format!("goes after {hand} more") };
        output.data(format_args!("worker {id}, {name}, {then}"))?;
    }
    Ok(())
}
