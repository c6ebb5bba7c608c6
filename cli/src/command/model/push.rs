//! `tessera model push`: a model folder in; its files at a coordinator, under a name, out.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tessera_proto::{Manifest, ModelFile, RegisteredModel, limits};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::kept::mebibytes;
use crate::{
    args::PushArgs,
    client::{Client, pieces},
    command::connect,
    exit::Failure,
    interrupt::Interrupt,
    output::{Output, Style},
};

/// What was done, for scripts.
#[derive(Debug, Serialize)]
struct Pushed {
    #[serde(flatten)]
    model: RegisteredModel,
    /// Bytes that the coordinator did not have.
    sent: u64,
}

/// Checks a folder, sends what the coordinator lacks of it, and gives it a name there.
pub(in crate::command) async fn push(args: PushArgs, output: &Output) -> Result<(), Failure> {
    let PushArgs { folder, name, cluster, .. } = args;
    // Hashing a model takes seconds.
    let checked = spawn_blocking(move || tessera_worker::parcel(&folder, name.as_deref())).await;
    let (model, manifest) = checked.map_err(Failure::failed)?.map_err(Failure::usage)?;
    let mut client = connect(&cluster).await?;
    let mut interrupt = Interrupt::install().map_err(Failure::failed)?;
    let sent = tokio::select! {
        sent = send(&mut client, model.root(), &manifest, output) => sent?,
        () = interrupt.next() => {
            return Err(Failure::interrupted("interrupted: the model has no name there yet; what has come is not sent again"));
        }
    };
    let model = RegisteredModel {
        name: manifest.name().to_owned(),
        hash: manifest.hash(),
        size: manifest.size(),
        files: u32::try_from(manifest.files().len()).unwrap_or(u32::MAX),
    };
    if output.style() == Style::Json {
        return output.json(&Pushed { model, sent });
    }
    output.data(format_args!("{} {}", model.name, model.hash))?;
    output.note(format_args!("{} of {} were sent", mebibytes(sent), mebibytes(model.size)));
    Ok(())
}

/// Sends what is lacking, then the name. Returns how many bytes were sent.
async fn send(
    client: &mut Client,
    root: &Path,
    manifest: &Manifest,
    output: &Output,
) -> Result<u64, Failure> {
    let lacking = client.lacking(manifest).await?;
    let mut files: Vec<&ModelFile> =
        manifest.files().iter().filter(|file| lacking.contains(&file.hash)).collect();
    files.sort_by_key(|file| file.hash);
    files.dedup_by_key(|file| file.hash);
    let total = files.iter().map(|file| file.size).sum();
    let bar = bar(total, output);
    for file in files {
        bar.set_message(file.name.clone());
        put(client, root, file, &bar).await?;
    }
    bar.finish_and_clear();
    client.register(manifest).await?;
    Ok(total)
}

async fn put(client: &mut Client, root: &Path, file: &ModelFile, bar: &ProgressBar) -> Result<(), Failure> {
    let (sender, receiver) = pieces();
    let (path, bar) = (root.join(file.name.split('/').collect::<PathBuf>()), bar.clone());
    let reading = spawn_blocking(move || {
        read(&path, &sender, &bar).with_context(|| format!("cannot read {}", path.display()))
    });
    let put = client.put(file, receiver).await;
    // A file that cannot be read came short, which is not what there is to say of it.
    reading.await.map_err(Failure::failed)?.map_err(Failure::usage)?;
    Ok(put?)
}

/// Reads a file into pieces until it ends or nobody wants more.
fn read(path: &Path, pieces: &mpsc::Sender<Bytes>, bar: &ProgressBar) -> io::Result<()> {
    let mut file = File::open(path)?;
    loop {
        let mut piece = Vec::with_capacity(limits::FETCH_CHUNK);
        let length = file.by_ref().take(limits::FETCH_CHUNK as u64).read_to_end(&mut piece)?;
        if length == 0 || pieces.blocking_send(Bytes::from(piece)).is_err() {
            return Ok(());
        }
        bar.inc(length as u64);
    }
}

fn bar(total: u64, output: &Output) -> ProgressBar {
    let bar = output.bars().add(ProgressBar::new(total.max(1)));
    // The template is a constant; were it wrong, indicatif's own bar would do.
    if let Ok(style) =
        ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg}")
    {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}
