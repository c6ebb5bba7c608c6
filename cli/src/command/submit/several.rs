//! A batch or a folder of pictures: jobs in, their ids in the same order out.

use tessera_proto::{JobId, job::ModelRef};

use crate::{
    access::Target,
    client::Client,
    event::Event,
    exit::Failure,
    follow,
    options::{self, Item},
    output::{Output, Style},
};

/// Hands all of them in, where all can be, and follows them where that is asked for.
pub(super) async fn run(items: &[Item], watch: bool, output: &Output) -> Result<(), Failure> {
    let target = tokio::task::block_in_place(|| check(items))?;
    let mut client = Client::reach(&target).await?;
    let (mut jobs, mut models) = (Vec::new(), Vec::new());
    for item in items {
        let (job, model) = hand_in(&mut client, item, output).await.map_err(|failure| {
            let (source, before) = (&item.source, jobs.len());
            let were =
                if before == 1 { "1 job before it was" } else { &format!("{before} jobs before it were") };
            let what = format!("{source} was not handed in, {were}");
            Failure { error: failure.error.context(what), ..failure }
        })?;
        jobs.push(job);
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let were = if jobs.len() == 1 { "job was" } else { "jobs were" };
    output.note(format_args!("{} {were} handed in", jobs.len()));
    super::say_waits(&mut client, &models, output).await?;
    if watch { follow::all(&client, &jobs, output).await } else { Ok(()) }
}

/// Looks at each of them before the first is handed in; all go to one coordinator.
fn check(items: &[Item]) -> Result<Target, Failure> {
    let mut target = None;
    for item in items {
        target = Some(item.submit().map_err(Failure::usage)?.target);
    }
    target.ok_or_else(|| Failure::usage(anyhow::anyhow!("no job is to be handed in")))
}

async fn hand_in(client: &mut Client, item: &Item, output: &Output) -> Result<(JobId, ModelRef), Failure> {
    let options::Submit { spec, seed_drawn, .. } =
        tokio::task::block_in_place(|| item.submit()).map_err(Failure::usage)?;
    let (seed, model) = (spec.seed, spec.model.clone());
    let job = client.submit(spec).await?;
    if output.style() == Style::Json {
        let source = Some(item.source.to_string());
        output.json(&Event::Submitted { job: job.to_string(), seed: Some(seed), source })?;
        return Ok((job, model));
    }
    output.data(job)?;
    let seed = if seed_drawn { format!(", seed {seed} (drawn)") } else { String::new() };
    output.note(format_args!("{job}: {}{seed}", item.source));
    Ok((job, model))
}
