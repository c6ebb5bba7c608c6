//! `tessera submit`: jobs in, their ids out.

mod several;

use tessera_proto::{RegisteredModel, WorkerStatus, job::ModelRef};

use crate::{
    args::SubmitArgs,
    client::Client,
    event::Event,
    exit::Failure,
    options::{self, Items},
    output::{Output, Style},
};

/// Hands jobs to a cluster, and follows them where that is asked for.
pub(super) async fn run(args: SubmitArgs, output: &Output) -> Result<(), Failure> {
    let watch = args.watch;
    // Reading an image or standard input takes as long as it takes.
    let items = tokio::task::block_in_place(|| options::items(args)).map_err(Failure::usage)?;
    match items {
        Items::One(args) => one(&args, watch, output).await,
        Items::Several(items) => several::run(&items, watch, output).await,
    }
}

async fn one(args: &SubmitArgs, watch: bool, output: &Output) -> Result<(), Failure> {
    let options::Submit { spec, seed_drawn, target } =
        tokio::task::block_in_place(|| options::submit(args)).map_err(Failure::usage)?;
    let seed = spec.seed;
    let mut client = Client::reach(&target).await?;
    let wanted = spec.model.clone();
    let job = client.submit(spec).await?;
    if output.style() == Style::Json {
        output.json(&Event::Submitted { job: job.to_string(), seed: Some(seed), source: None })?;
    } else {
        output.data(job)?;
        if seed_drawn {
            output.note(format_args!("seed {seed} (drawn; --seed {seed} repeats it)"));
        }
    }
    say_waits(&mut client, &[wanted], output).await?;
    if watch {
        super::watch::follow(&mut client, job, output).await?;
    }
    Ok(())
}

/// Says which of these models no worker serves, so that their jobs do not begin.
async fn say_waits(client: &mut Client, wanted: &[ModelRef], output: &Output) -> Result<(), Failure> {
    let workers = client.workers().await?;
    // A job that names none gets the only one there is.
    let kept = if workers.iter().any(|worker| worker.fetches) { client.models().await? } else { Vec::new() };
    let serves = |worker: &WorkerStatus, model: &ModelRef| {
        let hash = named(model, &kept).map(|kept| kept.hash.to_string());
        hash.map_or_else(
            || worker.model.as_ref().is_some_and(|facts| model.is(facts)),
            |hash| hash == worker.model_hash,
        )
    };
    let waiting = wanted.iter().filter(|model| !workers.iter().any(|worker| serves(worker, model)));
    waiting.for_each(|model| match named(model, &kept) {
        Some(kept) => {
            output.note(format_args!("a worker fetches model {:?} first: the job waits for it", kept.name))
        }
        None => output.note(waits(model, &workers)),
    });
    Ok(())
}

/// The model that the cluster keeps under a job's name for it, or the only one.
fn named<'a>(model: &ModelRef, kept: &'a [RegisteredModel]) -> Option<&'a RegisteredModel> {
    match (model, kept) {
        (ModelRef::Any, [only]) => Some(only),
        (ModelRef::Any, _) => None,
        (ModelRef::Name(name), kept) => kept.iter().find(|kept| kept.name == *name),
        (ModelRef::Hash(hash), kept) => kept.iter().find(|kept| kept.hash.bytes() == hash),
    }
}

/// Why a job with this model does not begin.
fn waits(model: &ModelRef, workers: &[WorkerStatus]) -> String {
    let serving = workers.iter().filter(|worker| worker.model.is_some());
    let mut models: Vec<&str> = serving.map(|worker| worker.model_name.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let there = match (models.as_slice(), model) {
        ([], ModelRef::Any) => "no worker is connected".to_owned(),
        ([], model) => format!("no worker is connected that serves {}", options::called(model)),
        (models, model) => {
            format!("no worker serves {} (they serve {})", options::called(model), models.join(", "))
        }
    };
    format!(
        "{there}: the job waits for one, and fails if none comes in the coordinator's --worker-wait (60 s unless it says \
         otherwise); start `tessera worker` with it, or `tessera model push` it"
    )
}
