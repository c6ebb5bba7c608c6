//! A finished job's files: its status and names in, files that are whole out.

use std::path::{Path, PathBuf};

use tessera_proto::{Artifact, JobId, JobStatus, job::Size};

use crate::{
    atomic::Draft,
    client::{self, Client},
    exit::Failure,
    options::Files,
};

/// A picture or latent that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The job that made it.
    pub(crate) job: JobId,
    /// Its file.
    pub(crate) path: PathBuf,
    /// Columns, px.
    pub(crate) width: u32,
    /// Rows, px.
    pub(crate) height: u32,
    /// Which of the two.
    pub(crate) artifact: Artifact,
}

/// Fetches what the job has made and what else was asked for; the files appear together, that one last, or not at all.
///
/// # Errors
/// An artifact is missing or ends early, or a file cannot be written.
pub(crate) async fn collect(
    client: &mut Client,
    status: &JobStatus,
    files: &Files,
) -> Result<Finished, Failure> {
    let job = status.job;
    let mut drafts = Vec::new();
    if let Some(path) = &files.dump {
        drafts.push(fetch(client, job, Artifact::Dump, path).await?);
    }
    if let Some(path) = &files.report {
        drafts.push(fetch(client, job, Artifact::Report, path).await?);
    }
    if let Some(path) = &files.trace {
        drafts.push(fetch(client, job, Artifact::Trace, path).await?);
    }
    drafts.push(fetch(client, job, files.artifact, &files.result).await?);
    // Syncing to the disk takes as long as the disk takes.
    tokio::task::block_in_place(|| Draft::publish(drafts)).map_err(Failure::failed)?;
    // A job that has files has been planned.
    let Size { width, height } = status.size.ok_or_else(|| {
        Failure::failed(anyhow::anyhow!("the coordinator did not say how large the picture is"))
    })?;
    Ok(Finished { job, path: files.result.clone(), width, height, artifact: files.artifact })
}

/// Fetches when each task of a finished job ran.
///
/// # Errors
/// The job was not traced, or the file cannot be written.
pub(crate) async fn trace(client: &mut Client, job: JobId, path: &Path) -> Result<(), Failure> {
    let draft = fetch(client, job, Artifact::Trace, path).await?;
    tokio::task::block_in_place(|| Draft::publish(vec![draft])).map_err(Failure::failed)
}

/// The report of a job, as JSON; `None` where it has none.
///
/// # Errors
/// It does not come.
pub(crate) async fn report(client: &mut Client, job: JobId) -> Result<Option<Vec<u8>>, Failure> {
    let mut pieces = match client.fetch(job, Artifact::Report).await {
        Err(client::Error::Refused { .. }) => return Ok(None),
        pieces => pieces?,
    };
    let mut report = Vec::new();
    while let Some(piece) = pieces.next().await? {
        report.extend_from_slice(piece.as_ref());
    }
    Ok(Some(report))
}

/// Writes an artifact beside its final name.
async fn fetch(client: &mut Client, job: JobId, artifact: Artifact, path: &Path) -> Result<Draft, Failure> {
    let mut draft = Draft::create(path).map_err(Failure::failed)?;
    let mut pieces = client.fetch(job, artifact).await?;
    while let Some(piece) = pieces.next().await? {
        tokio::task::block_in_place(|| draft.write(piece.as_ref())).map_err(Failure::failed)?;
    }
    Ok(draft)
}
