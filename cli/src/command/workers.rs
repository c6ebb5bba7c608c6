//! `tessera workers`: a coordinator's workers, as a table or as JSON.

use tessera_proto::{ContentHash, WorkerStatus};

use super::table::Table;
use crate::{
    args::ListArgs,
    exit::Failure,
    output::{Output, Style},
    progress::seconds,
};

/// Digits of a model's hash that tell models apart, as A1111 shows them.
const HASH_DIGITS: usize = 10;

/// Lists all workers that are connected.
pub(super) async fn run(args: ListArgs, output: &Output) -> Result<(), Failure> {
    let workers = super::connect(&args.cluster).await?.workers().await?;
    if output.style() == Style::Json {
        return workers.iter().try_for_each(|worker| output.json(worker));
    }
    if workers.is_empty() {
        output.note("no workers: start one with tessera worker --coordinator URL --device cpu --model DIR (or --fetch-models)");
        return Ok(());
    }
    let mut table =
        Table::new(["worker", "name", "device", "model", "hash", "in hand", "done", "heard of", "state"]);
    for worker in workers {
        table.row([
            worker.worker.to_string(),
            worker.name.clone(),
            worker.device.clone(),
            worker.model_name.clone(),
            worker.model_hash.chars().take(HASH_DIGITS).collect(),
            worker.tasks_in_hand.to_string(),
            worker.tasks_done.to_string(),
            format!("{} ago", seconds(worker.last_seen_ms)),
            state(&worker),
        ]);
    }
    output.data(table)
}

/// What a worker is doing, and what keeps it from more.
fn state(worker: &WorkerStatus) -> String {
    let short = |hash: &ContentHash| hash.to_string().chars().take(HASH_DIGITS).collect::<String>();
    let doing = match (&worker.quarantine, &worker.fetching) {
        (Some(why), _) => format!("quarantined: {why}"),
        (None, _) if worker.draining => "draining".to_owned(),
        (None, Some(model)) => format!("fetching model {}", short(model)),
        (None, None) if worker.model.is_none() => "waiting for a model".to_owned(),
        (None, None) => "serving".to_owned(),
    };
    match &worker.failure {
        Some(failure) => format!("{doing}; could not get a model: {failure}"),
        None => doing,
    }
}
