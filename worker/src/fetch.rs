//! Models from the coordinator: a content hash in; a model folder in the cache, in which every byte was checked, out.
//!
//! The coordinator is taken for a stranger here: what it sends is worth what its hash says, and the folder is looked
//! through like any other before anything in it is loaded.

mod cache;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tessera_proto::{ContentHash, FetchFailure, ModelFile};
use tokio::time::Instant;

use crate::{
    link::{Library, LibraryError},
    model::{self, ModelFolder},
};
use cache::Cache;
pub(crate) use cache::InUse;

/// How long it is told that a model could not be got.
const LATELY: Duration = Duration::from_secs(60);

/// What a worker that fetches models is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Folder for the files of models.
    pub cache: PathBuf,
    /// Most bytes in it.
    pub limit: u64,
}

/// Gets models.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    cache: Arc<Cache>,
}

/// A model in the cache, which stays there as long as this does.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The folder.
    pub(crate) folder: ModelFolder,
    /// What keeps it there.
    pub(crate) in_use: InUse,
}

/// What could not be got, and when that was.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(FetchFailure, Instant)>);

/// Why a model could not be got.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The coordinator did not give it.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// It gave another one.
    #[error("the coordinator sent the files of model {found} instead")]
    Other {
        /// What came.
        found: ContentHash,
    },
    /// A file is longer or shorter than it was said to be.
    #[error("the coordinator sent {received} bytes of {name:?}, which has {size}")]
    Size {
        /// The file.
        name: String,
        /// What was announced.
        size: u64,
        /// What came.
        received: u64,
    },
    /// A file's content is not what its hash says.
    #[error("the coordinator sent another content of {name:?} than was announced")]
    Content {
        /// The file.
        name: String,
    },
    /// The cache has no room, or cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// What came is no model that we run.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// A thread of ours panicked.
    #[error("fetching ended unexpectedly")]
    Background,
}

// === impl Fetcher ===

impl Fetcher {
    pub(crate) fn new(Fetch { cache, limit }: &Fetch) -> Self {
        Self { cache: Arc::new(Cache::new(cache.clone(), *limit)) }
    }

    /// Gets a model, as far as it is not here, and opens its folder.
    ///
    /// # Errors
    /// The coordinator does not give it, it is not what it should be, or there is no room for it.
    pub(crate) async fn get(&self, mut library: Library, model: ContentHash) -> Result<Fetched, Error> {
        let manifest = library.manifest(model).await?;
        if manifest.hash() != model {
            return Err(Error::Other { found: manifest.hash() });
        }
        // Workers of one machine share a cache: one fetches, and the others find what has come.
        let turn = self.cache.turn().await?;
        let (cache, listed) = (Arc::clone(&self.cache), manifest.clone());
        let missing = apart(move || cache.prepare(&listed)).await??;
        let bytes: u64 = missing.iter().map(|file| file.size).sum();
        tracing::info!(name = manifest.name(), %model, files = missing.len(), bytes, "fetching a model");
        for file in missing {
            self.download(&mut library, file).await?;
        }
        let (cache, listed) = (Arc::clone(&self.cache), manifest.clone());
        let (folder, in_use) = apart(move || cache.lay_out(&listed)).await??;
        drop(turn);
        let name = manifest.name().to_owned();
        let folder = apart(move || crate::open_model(&folder, &[])?.called(&name)).await??;
        if folder.facts().hash != *model.bytes() {
            return Err(Error::Other { found: ContentHash::new(folder.facts().hash) });
        }
        Ok(Fetched { folder, in_use })
    }

    async fn download(&self, library: &mut Library, file: ModelFile) -> Result<(), Error> {
        let ModelFile { name, size, hash } = file;
        let mut pieces = library.blob(hash).await?;
        let cache = Arc::clone(&self.cache);
        let mut blob = apart(move || cache.begin(hash)).await??;
        while let Some(data) = pieces.next().await? {
            let received = blob.received() + data.len() as u64;
            if size < received {
                return Err(Error::Size { name, size, received });
            }
            blob = apart(move || blob.with(&data)).await??;
        }
        if blob.received() != size {
            return Err(Error::Size { name, size, received: blob.received() });
        }
        let cache = Arc::clone(&self.cache);
        if apart(move || cache.keep(blob, hash)).await?? { Ok(()) } else { Err(Error::Content { name }) }
    }
}

// === impl Failures ===

impl Failures {
    /// A model could not be got.
    pub(crate) fn note(&mut self, model: ContentHash, message: String, now: Instant) {
        self.forget(model);
        self.0.push((FetchFailure { model, message }, now));
    }

    /// It could.
    pub(crate) fn forget(&mut self, model: ContentHash) {
        self.0.retain(|(failure, _)| failure.model != model);
    }

    /// What could not be got a short while ago, the last one first.
    pub(crate) fn recent(&self, now: Instant) -> Vec<FetchFailure> {
        let recent = self.0.iter().rev();
        let recent = recent.filter(|(_, when)| now.saturating_duration_since(*when) < LATELY);
        recent.map(|(failure, _)| failure.clone()).collect()
    }
}

/// Runs what waits for the disk.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Background)
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Cache(cache::Error::Io(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_for_a_minute() {
        let (now, model) = (Instant::now(), ContentHash::new([1; 32]));
        let mut failures = Failures::default();
        failures.note(model, "no room".to_owned(), now);
        failures.note(model, "still none".to_owned(), now);
        let told = failures.recent(now + Duration::from_secs(59));
        assert_eq!(told, [FetchFailure { model, message: "still none".to_owned() }]);
        assert!(failures.recent(now + LATELY).is_empty());
        failures.forget(model);
        assert!(failures.recent(now).is_empty());
    }
}
