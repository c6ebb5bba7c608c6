//! Files of models on this machine: lists of files in; what is missing, and whole model folders, out.
//!
//! ```text
//! blobs/HASH        each file's content once
//! folders/HASH/     a model folder: hard links to blobs, or copies where there are none; never symbolic links
//! HASH.json         the list of its files; its time of change says when it was last used, a lock on it that it is
//! lock              held by the worker that fetches
//! ```
//!
//! **Invariants: nothing outside the cache is written**, since only checked names become paths; **a blob is what its hash
//! says** whenever a folder is made of it; **a model that a worker uses is not removed**, also by another worker.

mod room;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;
use tessera_proto::{ContentHash, Manifest, ModelFile};

/// Ending of a list of files.
const LIST: &str = ".json";

/// What a file or folder in the making is called, at first.
const DRAFT: &str = ".draft-";

/// Longest list that is read, bytes.
const MAX_LIST: u64 = 2 << 20;

/// How often it is looked whether another worker has ended fetching.
const LOOK: Duration = Duration::from_millis(200);

/// A folder of models with a limit.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    /// Most bytes of all blobs together.
    limit: u64,
}

/// A blob under way; dropping it removes it.
#[derive(Debug)]
pub(super) struct Blob {
    file: NamedTempFile,
    hasher: blake3::Hasher,
    received: u64,
}

/// The right to change the cache.
#[derive(Debug)]
pub(super) struct Turn {
    _file: File,
}

/// Keeps a model in the cache as long as it is there.
#[derive(Debug)]
pub(crate) struct InUse {
    _file: File,
}

/// Why the cache cannot take a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk is full, say.
    #[error("the cache of models cannot be used: {0}")]
    Io(#[from] io::Error),
    /// It would be larger than it may.
    #[error(
        "model {name:?} has {needed} bytes, and the cache of at most {limit} holds {used} that are in use: raise --model-cache"
    )]
    Room {
        /// The model.
        name: String,
        /// Its size.
        needed: u64,
        /// The cache's limit.
        limit: u64,
        /// What cannot be removed.
        used: u64,
    },
}

// === impl Cache ===

impl Cache {
    pub(super) const fn new(root: PathBuf, limit: u64) -> Self {
        Self { root, limit }
    }

    /// Waits until no other worker fetches.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        fs::create_dir_all(&self.root)?;
        let file = File::create(self.root.join("lock"))?;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            tokio::time::sleep(LOOK).await;
        }
        // A file system without locks has one worker on it, or several that fetch twice.
        Ok(Turn { _file: file })
    }

    /// Makes room for a model, and says which of its blobs are not here: absent, or damaged.
    pub(super) fn prepare(&self, manifest: &Manifest) -> Result<Vec<ModelFile>, Error> {
        for folder in [self.blobs(), self.folders()] {
            fs::create_dir_all(&folder)?;
            // Left by a worker that was killed: we alone fetch now.
            remove_drafts(&folder)?;
        }
        self.make_room(manifest)?;
        let mut missing: Vec<ModelFile> = Vec::new();
        for file in manifest.files() {
            let known = missing.iter().any(|other| other.hash == file.hash);
            if !known && !self.is_whole(file)? {
                remove(&self.blob(file.hash))?;
                missing.push(file.clone());
            }
        }
        Ok(missing)
    }

    /// Begins a blob.
    pub(super) fn begin(&self, hash: ContentHash) -> Result<Blob, Error> {
        let prefix = format!("{DRAFT}{hash}-");
        let file = tempfile::Builder::new().prefix(&prefix).tempfile_in(self.blobs())?;
        Ok(Blob { file, hasher: blake3::Hasher::new(), received: 0 })
    }

    /// Keeps a blob, if its content is what its hash says.
    pub(super) fn keep(&self, blob: Blob, hash: ContentHash) -> Result<bool, Error> {
        let Blob { file, hasher, .. } = blob;
        if hasher.finalize().as_bytes() != hash.bytes() {
            return Ok(false);
        }
        file.as_file().sync_all()?;
        file.persist(self.blob(hash)).map_err(|error| error.error)?;
        Ok(true)
    }

    /// The folder of a model whose blobs are all here.
    pub(super) fn lay_out(&self, manifest: &Manifest) -> Result<(PathBuf, InUse), Error> {
        let folder = self.folder(manifest.hash());
        // One that is whole may be another worker's, which reads from it.
        if !self.is_laid_out(manifest)? {
            let draft = tempfile::Builder::new().prefix(DRAFT).tempdir_in(self.folders())?;
            for file in manifest.files() {
                let path = inside(draft.path(), file);
                fs::create_dir_all(path.parent().unwrap_or(draft.path()))?;
                let blob = self.blob(file.hash);
                fs::hard_link(&blob, &path).or_else(|_| fs::copy(&blob, &path).map(drop))?;
            }
            remove(&folder)?;
            fs::rename(draft.keep(), &folder)?;
        }
        Ok((folder, self.use_now(manifest)?))
    }

    /// Notes that a model is used, from now on and as long as what is returned is there.
    fn use_now(&self, manifest: &Manifest) -> Result<InUse, Error> {
        let path = self.list(manifest.hash());
        // The list of a model that another worker uses bears that one's lock, and is not replaced.
        if read_list(&path).as_ref() != Some(manifest) {
            let mut draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(&self.root)?;
            draft.write_all(&serde_json::to_vec(manifest).map_err(io::Error::from)?)?;
            draft.persist(&path).map_err(|error| error.error)?;
        }
        let file = File::options().read(true).append(true).open(&path)?;
        file.set_modified(SystemTime::now())?;
        if let Err(error) = file.try_lock_shared() {
            tracing::warn!(%error, "a model in the cache cannot be locked");
        }
        Ok(InUse { _file: file })
    }

    /// Whether a blob is here, a plain file, and what its hash says.
    fn is_whole(&self, file: &ModelFile) -> Result<bool, Error> {
        let path = self.blob(file.hash);
        if plain_size(&path)? != Some(file.size) {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(&path)?;
        Ok(hasher.finalize().as_bytes() == file.hash.bytes())
    }

    /// Whether a model's folder is there, with these files and no other.
    fn is_laid_out(&self, manifest: &Manifest) -> Result<bool, Error> {
        let folder = self.folder(manifest.hash());
        for file in manifest.files() {
            let path = inside(&folder, file);
            if plain_size(&path)? != Some(file.size) || !is_same(&path, &self.blob(file.hash), file)? {
                return Ok(false);
            }
        }
        Ok(count(&folder)? == manifest.files().len())
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    fn folders(&self) -> PathBuf {
        self.root.join("folders")
    }

    fn blob(&self, hash: ContentHash) -> PathBuf {
        self.blobs().join(hash.to_string())
    }

    fn folder(&self, model: ContentHash) -> PathBuf {
        self.folders().join(model.to_string())
    }

    fn list(&self, model: ContentHash) -> PathBuf {
        self.root.join(format!("{model}{LIST}"))
    }
}

// === impl Blob ===

impl Blob {
    /// Bytes so far.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    /// The next bytes.
    pub(super) fn with(mut self, data: &[u8]) -> Result<Self, Error> {
        self.file.write_all(data)?;
        self.hasher.update(data);
        self.received += data.len() as u64;
        Ok(self)
    }
}

/// The path of a model's file. Its name was checked: each part of it is a plain one.
fn inside(folder: &Path, file: &ModelFile) -> PathBuf {
    folder.join(file.name.split('/').collect::<PathBuf>())
}

/// The length of a plain file; `None` if there is none, also where there is something else.
fn plain_size(path: &Path) -> io::Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata).filter(fs::Metadata::is_file).map(|metadata| metadata.len())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether a file in a folder is its blob, or has its content.
fn is_same(path: &Path, blob: &Path, file: &ModelFile) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let [ours, theirs] = [fs::symlink_metadata(path)?, fs::symlink_metadata(blob)?];
        if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
            return Ok(true);
        }
    }
    let _ = blob;
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap_rayon(path)?;
    Ok(hasher.finalize().as_bytes() == file.hash.bytes())
}

/// All that lies below a folder and is no folder.
fn count(folder: &Path) -> io::Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        found += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(found)
}

/// Removes whatever lies at a path, if anything does; links are not followed.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_drafts(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A list that is one.
fn read_list(path: &Path) -> Option<Manifest> {
    plain_size(path).ok().flatten()?;
    let mut text = Vec::new();
    File::open(path).ok()?.take(MAX_LIST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests;
