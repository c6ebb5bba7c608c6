//! `tessera workers`: a coordinator's workers, as a table or as JSON.

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
        output.note("no workers: start one with tessera worker --coordinator URL --device cpu --model DIR");
        return Ok(());
    }
    let mut table =
        Table::new(["worker", "name", "device", "model", "hash", "in hand", "done", "heard of", "state"]);
    for worker in workers {
        table.row([
            worker.worker.to_string(),
            worker.name,
            worker.device,
            worker.model_name,
            worker.model_hash.chars().take(HASH_DIGITS).collect(),
            worker.tasks_in_hand.to_string(),
            worker.tasks_done.to_string(),
            format!("{} ago", seconds(worker.last_seen_ms)),
            match worker.quarantine {
                Some(why) => format!("quarantined: {why}"),
                None if worker.draining => "draining".to_owned(),
                None => "serving".to_owned(),
            },
        ]);
    }
    output.data(table)
}
