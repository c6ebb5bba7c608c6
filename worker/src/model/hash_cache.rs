//! Hashes of large files: a path in, the BLAKE3 hash of its contents out, read only once while the file stays as it is.
//!
//! A file counts as unchanged while its path, size and time of change do. The memory is a JSON file that may be lost at
//! any time: then files are hashed again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Name of the memory in its folder.
const NAME: &str = "model-hashes.json";

/// Smaller files are hashed each time: that takes less than a millisecond.
const WORTH_IT: u64 = 1 << 20;

/// A file that was changed less than this before it was hashed is not remembered: a second change might leave its size
/// and time as they are, on file systems that count in seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// Most files remembered; the memory starts afresh beyond.
const MAX_ENTRIES: usize = 4096;

/// Largest memory that is read, bytes.
const MAX_FILE: u64 = 4 << 20;

/// A memory of file hashes, kept in a folder or not at all.
#[derive(Debug, Default)]
pub struct HashCache {
    file: Option<PathBuf>,
    entries: RefCell<BTreeMap<String, Entry>>,
    is_changed: RefCell<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    size: u64,
    /// Time of change in nanoseconds since 1970, as text: JSON numbers end at 2^53 for many readers.
    changed: String,
    /// 64 hex digits.
    hash: String,
}

// === impl HashCache ===

impl HashCache {
    /// A memory in `folder`, which need not exist; what cannot be read there is forgotten.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let file = folder.join(NAME);
        let entries = read(&file).unwrap_or_default();
        Self { file: Some(file), entries: RefCell::new(entries), is_changed: RefCell::new(false) }
    }

    /// A memory that ends with this value.
    #[must_use]
    pub fn unsaved() -> Self {
        Self::default()
    }

    /// The hash of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn of_file(&self, path: &Path) -> std::io::Result<[u8; 32]> {
        let metadata = path.metadata()?;
        let (size, changed) = (metadata.len(), metadata.modified()?);
        let key = path.to_string_lossy().into_owned();
        let stamp = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
        if let Some(entry) = self.entries.borrow().get(&key) {
            let known =
                (entry.size == size && entry.changed == stamp).then(|| blake3::Hash::from_hex(&entry.hash));
            if let Some(Ok(hash)) = known {
                return Ok(*hash.as_bytes());
            }
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(path)?;
        let hash = hasher.finalize();
        let is_settled = SystemTime::now().duration_since(changed).is_ok_and(|age| SETTLED <= age);
        if WORTH_IT <= size && is_settled {
            let entry = Entry { size, changed: stamp, hash: hash.to_hex().to_string() };
            self.entries.borrow_mut().insert(key, entry);
            *self.is_changed.borrow_mut() = true;
        }
        Ok(*hash.as_bytes())
    }

    /// Writes the memory, if something in it is new. A failure costs time at the next start, nothing else.
    pub(super) fn save(&self) {
        let Some(file) = self.file.as_deref().filter(|_| self.is_changed.replace(false)) else {
            return;
        };
        if MAX_ENTRIES < self.entries.borrow().len() {
            self.entries.borrow_mut().clear();
        }
        if let Err(error) = write(file, &self.entries.borrow()) {
            tracing::debug!(file = %file.display(), %error, "hashes of model files are not remembered");
        }
    }
}

fn read(file: &Path) -> Option<BTreeMap<String, Entry>> {
    let mut text = Vec::new();
    std::fs::File::open(file).ok()?.take(MAX_FILE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes beside the file and renames, so that another process never reads half of it.
fn write(file: &Path, entries: &BTreeMap<String, Entry>) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut beside, entries)?;
    beside.flush()?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}
