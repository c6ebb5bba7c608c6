//! A finished job's files: an id and names in, files that are whole out.

use std::path::{Path, PathBuf};

use tessera_proto::{Artifact, JobId};

use crate::{atomic::Draft, client::Client, exit::Failure, options::Files};

/// First bytes of a PNG up to the end of its size: signature, length and type of the first chunk, width, height.
const HEAD: usize = 24;

/// A picture that was written.
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
}

/// Fetches the picture and what else was asked for; the files appear together, the picture last, or not at all.
///
/// # Errors
/// An artifact is missing or ends early, the picture is no PNG, or a file cannot be written.
pub(crate) async fn collect(client: &mut Client, job: JobId, files: &Files) -> Result<Finished, Failure> {
    let mut drafts = Vec::new();
    if let Some(path) = &files.dump {
        drafts.push(fetch(client, job, Artifact::Dump, path).await?.0);
    }
    if let Some(path) = &files.report {
        drafts.push(fetch(client, job, Artifact::Report, path).await?.0);
    }
    let (picture, head) = fetch(client, job, Artifact::Picture, &files.picture).await?;
    let (width, height) = png_size(&head)
        .ok_or_else(|| Failure::failed(anyhow::anyhow!("the coordinator sent a picture that is no PNG")))?;
    drafts.push(picture);
    // Syncing to the disk takes as long as the disk takes.
    tokio::task::block_in_place(|| Draft::publish(drafts)).map_err(Failure::failed)?;
    Ok(Finished { job, path: files.picture.clone(), width, height })
}

/// Writes an artifact beside its final name; also returns its first bytes.
async fn fetch(
    client: &mut Client,
    job: JobId,
    artifact: Artifact,
    path: &Path,
) -> Result<(Draft, Vec<u8>), Failure> {
    let mut draft = Draft::create(path).map_err(Failure::failed)?;
    let mut head = Vec::new();
    let mut pieces = client.fetch(job, artifact).await?;
    while let Some(piece) = pieces.next().await? {
        let bytes = piece.as_ref();
        head.extend(bytes.iter().take(HEAD.saturating_sub(head.len())));
        tokio::task::block_in_place(|| draft.write(bytes)).map_err(Failure::failed)?;
    }
    Ok((draft, head))
}

/// Width and height, px, that a PNG's first chunk gives (PNG specification, 11.2.1).
fn png_size(head: &[u8]) -> Option<(u32, u32)> {
    let rest = head.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")?;
    let (width, rest) = rest.split_first_chunk()?;
    let (height, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_the_first_chunk() {
        let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x04\0\0\0\x03\0";
        assert_eq!(head.len(), HEAD);
        assert_eq!(png_size(head), Some((1024, 768)));
        assert_eq!(png_size(&head[..HEAD - 1]), None);
        assert_eq!(png_size(b"\xff\xd8\xff\xe0 a JPEG, not a PNG"), None);
    }
}
