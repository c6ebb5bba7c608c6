//! Where files go that outlive us: a folder or a bucket behind them; names and bytes in, and out again.
//!
//! Its calls wait for the disk or the network, and belong on a thread that may.
//!
//! **Invariant: a file appears under its name only when whole, and is safe once the call has returned.** In a folder it is
//! written beside its name, synced and renamed; in a bucket an object appears with its last byte.

mod bucket;

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use fail::fail_point;
use tempfile::{NamedTempFile, TempDir};

use super::whole;
use crate::Place;
pub(super) use bucket::Bucket;

/// A folder, or a bucket with a prefix, of files with plain names.
#[derive(Debug, Clone)]
pub(super) enum Depot {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(Bucket),
}

/// A file that lies in a depot.
#[derive(Debug)]
pub(crate) struct Stored {
    content: Content,
    /// Bytes of it.
    total: u64,
}

#[derive(Debug)]
enum Content {
    File(File),
    Object { bucket: Bucket, name: String },
}

// === impl Depot ===

impl Depot {
    /// The files of a place; a folder is made if it is absent.
    ///
    /// # Errors
    /// The folder cannot be made, or the URL names no bucket.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        match place {
            Place::Folder(folder) => {
                fs::create_dir_all(folder)?;
                Ok(Self::Folder(folder.clone()))
            }
            Place::Bucket(url) => Bucket::open(url).map(Self::Bucket),
        }
    }

    /// The files of a place beneath this one, `name` being one part of a path. A folder is there only once it was
    /// [made](Self::make).
    pub(super) fn below(&self, name: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(name)),
            Self::Bucket(bucket) => Self::Bucket(bucket.below(name)),
        }
    }

    /// Makes the folder, if it is one and absent.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make(&self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => fs::create_dir_all(folder),
            Self::Bucket(_) => Ok(()),
        }
    }

    /// Whether a file in the making lies where it will be: what is left of one is to be swept there.
    pub(super) const fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Begins a file; dropping it removes it. `name` is for people who look there meanwhile.
    ///
    /// # Errors
    /// The folder takes no files.
    pub(super) fn begin(&self, name: &str, drafts: &TempDir) -> io::Result<NamedTempFile> {
        match self {
            Self::Folder(folder) => whole::begin(folder, name),
            Self::Bucket(_) => whole::begin(drafts.path(), name),
        }
    }

    /// Gives a file that was [begun](Self::begin) and synced its name.
    ///
    /// # Errors
    /// The folder or the bucket is gone, say; what lay under the name still does.
    pub(super) fn publish(&self, file: NamedTempFile, name: &str) -> io::Result<()> {
        match self {
            Self::Folder(folder) => whole::publish(file, &folder.join(name)),
            Self::Bucket(bucket) => bucket.upload(file.reopen()?, name),
        }
    }

    /// Writes a file.
    ///
    /// # Errors
    /// The disk is full, say; what lay under the name still does.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        fail_point!("put-begin", |_| std::process::abort());
        match self {
            Self::Folder(folder) => {
                let mut file = whole::begin(folder, name)?;
                file.write_all(&bytes)?;
                fail_point!("put-written", |_| std::process::abort());
                file.as_file().sync_all()?;
                whole::publish(file, &folder.join(name))?;
            }
            Self::Bucket(bucket) => bucket.put(name, bytes)?,
        }
        fail_point!("put-named", |_| std::process::abort());
        Ok(())
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// The disk or the network fails.
    pub(super) fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let read = match self {
            Self::Folder(folder) => fs::read(folder.join(name)),
            Self::Bucket(bucket) => bucket.get(name),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// The disk or the network fails.
    pub(super) fn size(&self, name: &str) -> io::Result<Option<u64>> {
        let size = match self {
            Self::Folder(folder) => fs::metadata(folder.join(name)).map(|metadata| metadata.len()),
            Self::Bucket(bucket) => bucket.size(name),
        };
        match size {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            size => size.map(Some),
        }
    }

    /// Opens a file to be read piece by piece.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(super) fn stored(&self, name: &str) -> io::Result<Stored> {
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(name))?;
                let total = file.metadata()?.len();
                Ok(Stored { content: Content::File(file), total })
            }
            Self::Bucket(bucket) => {
                let total = bucket.size(name)?;
                let content = Content::Object { bucket: bucket.clone(), name: name.to_owned() };
                Ok(Stored { content, total })
            }
        }
    }

    /// Removes a file, if there is one.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = match self {
            Self::Folder(folder) => fs::remove_file(folder.join(name)),
            Self::Bucket(bucket) => bucket.remove(name),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The names of all files.
    ///
    /// # Errors
    /// The disk or the network fails.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        match self {
            Self::Folder(folder) => names(folder),
            Self::Bucket(bucket) => bucket.names(),
        }
    }

    /// Removes what was begun and never finished: by a coordinator that was killed.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be removed.
    pub(super) fn sweep(&self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => whole::sweep(folder),
            Self::Bucket(_) => Ok(()),
        }
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

// === impl Stored ===

impl Stored {
    /// Bytes of it.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// At most `count` bytes from `offset` on; none at its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(&mut self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let count = count.min(usize::try_from(self.total.saturating_sub(offset)).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(Vec::new());
        }
        match &mut self.content {
            Content::File(file) => {
                let mut bytes = vec![0; count];
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Content::Object { bucket, name } => bucket.read(name, offset..offset + count as u64),
        }
    }
}
