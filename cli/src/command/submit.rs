//! `tessera submit`: a job in, its id out.

use tessera_proto::WorkerStatus;

use crate::{
    args::SubmitArgs,
    client::Client,
    event::Event,
    exit::Failure,
    options,
    output::{Output, Style},
};

/// Hands a job to a cluster, and follows it where that is asked for.
pub(super) async fn run(args: SubmitArgs, output: &Output) -> Result<(), Failure> {
    let watch = args.watch;
    // Reading an image or standard input takes as long as it takes.
    let options = tokio::task::block_in_place(|| options::submit(args)).map_err(Failure::usage)?;
    let options::Submit { spec, seed_drawn, target } = options;
    let seed = spec.seed;
    let mut client = Client::reach(&target).await?;
    let wanted = spec.model.clone();
    let job = client.submit(spec).await?;
    if output.style() == Style::Json {
        output.json(&Event::Submitted { job: job.to_string(), seed: Some(seed) })?;
    } else {
        output.data(job)?;
        if seed_drawn {
            output.note(format_args!("seed {seed} (drawn; --seed {seed} repeats it)"));
        }
    }
    let workers = client.workers().await?;
    if !workers.iter().any(|worker| wanted.is(&worker.model)) {
        output.note(waits(&workers));
    }
    if watch {
        super::watch::follow(&mut client, job, output).await?;
    }
    Ok(())
}

/// Why the job does not begin.
fn waits(workers: &[WorkerStatus]) -> String {
    let mut models: Vec<&str> = workers.iter().map(|worker| worker.model_name.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let there = match models.as_slice() {
        [] => "no worker is connected".to_owned(),
        models => format!("no worker serves its model (they serve {})", models.join(", ")),
    };
    format!("{there}: the job waits for one; start `tessera worker`")
}
