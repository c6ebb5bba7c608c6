//! Models that workers fetch: lists of files and blobs in; the models that have a name, and their blobs, out.
//!
//! They lie beside the finished files, in the same folder or bucket: `models/blobs/HASH` holds each file's content once,
//! `models/HASH.json` the list of a model's files, and `models/names/` a file for each name, which says of which model
//! it is. All are called by hashes, so that no name can lead elsewhere.
//!
//! **Invariant: a model that has a name has all its blobs.** Its list is written before its blobs are looked for, and its
//! name after that; who removes blobs looks at all lists first.
//!
//! Its calls wait for the disk or the network, and belong on a thread that may.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tessera_proto::{ContentHash, Manifest, ModelFile, RegisteredModel};

use super::{
    artifacts::Artifacts,
    depot::{Depot, Stored},
};

/// Ending of lists and names.
const JSON: &str = ".json";

/// Models beside the files of finished jobs.
#[derive(Debug, Clone)]
pub(crate) struct Models {
    artifacts: Arc<Artifacts>,
    /// One change of names at a time.
    turn: Arc<Mutex<()>>,
}

/// Why a model is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk or the network fails.
    #[error("the place for models cannot be used: {0}")]
    Io(#[from] io::Error),
    /// It is not all there.
    #[error("{count} files of model {name:?} are not here: push it again")]
    Lacking {
        /// The model.
        name: String,
        /// How many.
        count: usize,
    },
    /// No such name.
    #[error("no model {name:?} is kept here: see `tessera model list`")]
    Unknown {
        /// The name, or the hash.
        name: String,
    },
    /// A list that is not what it was.
    #[error("the list of the files of model {model} is damaged: push the model again")]
    Damaged {
        /// The model.
        model: ContentHash,
    },
}

/// A name, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Name {
    name: String,
    hash: ContentHash,
}

// === impl Models ===

impl Models {
    /// The models beside these files.
    pub(crate) fn new(artifacts: Arc<Artifacts>) -> Self {
        Self { artifacts, turn: Arc::default() }
    }

    /// The blobs of a model that are not here.
    pub(crate) fn lacking(&self, manifest: &Manifest) -> Result<Vec<ContentHash>, Error> {
        let blobs = self.blobs();
        let mut lacking = Vec::new();
        for ModelFile { size, hash, .. } in manifest.files() {
            if !lacking.contains(hash) && blobs.size(&hash.to_string())? != Some(*size) {
                lacking.push(*hash);
            }
        }
        Ok(lacking)
    }

    /// Begins a blob; dropping it removes it.
    pub(crate) fn begin(&self, hash: ContentHash) -> Result<NamedTempFile, Error> {
        let blobs = self.blobs();
        blobs.make()?;
        Ok(blobs.begin(&hash.to_string(), self.artifacts.places().1)?)
    }

    /// Keeps a blob whose content was found to be what its hash says.
    pub(crate) fn keep(&self, file: NamedTempFile, hash: ContentHash) -> Result<(), Error> {
        file.as_file().sync_all()?;
        Ok(self.blobs().publish(file, &hash.to_string())?)
    }

    /// Opens a blob.
    pub(crate) fn blob(&self, hash: ContentHash) -> Result<Stored, Error> {
        let stored = self.blobs().stored(&hash.to_string());
        stored.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Unknown { name: hash.to_string() },
            _ => error.into(),
        })
    }

    /// Gives a model its name. What had the name before goes, unless it has another one.
    pub(crate) fn register(&self, manifest: &Manifest) -> Result<(), Error> {
        let _turn = self.turn();
        let (lists, names) = (self.lists(), self.names());
        lists.make()?;
        names.make()?;
        let (name, hash) = (manifest.name(), manifest.hash());
        lists.put(&list_of(hash), json(manifest)?)?;
        let lacking = self.lacking(manifest)?.len();
        if 0 < lacking {
            // What has come of it stays for the next attempt.
            if !self.all_names()?.iter().any(|name| name.hash == hash) {
                lists.remove(&list_of(hash))?;
            }
            return Err(Error::Lacking { name: name.to_owned(), count: lacking });
        }
        let before = self.named(name)?;
        names.put(&file_of(name), json(&Name { name: name.to_owned(), hash })?)?;
        if let Some(before) = before.filter(|before| *before != hash) {
            self.drop_unnamed(before)?;
        }
        Ok(())
    }

    /// Takes a name away; its model goes, unless it has another one. Returns how many bytes that has freed.
    pub(crate) fn remove(&self, name: &str) -> Result<u64, Error> {
        let _turn = self.turn();
        let hash = self.named(name)?.ok_or_else(|| Error::Unknown { name: name.to_owned() })?;
        self.names().remove(&file_of(name))?;
        self.drop_unnamed(hash)
    }

    /// All models that have a name, in the order of the names. One whose list is damaged is left out.
    pub(crate) fn list(&self) -> Result<Vec<RegisteredModel>, Error> {
        let mut listed = Vec::new();
        for Name { name, hash } in self.all_names()? {
            match self.manifest(hash) {
                Ok(manifest) => listed.push(RegisteredModel {
                    name,
                    hash,
                    size: manifest.size(),
                    files: u32::try_from(manifest.files().len()).unwrap_or(u32::MAX),
                }),
                Err(error @ Error::Io(_)) => return Err(error),
                Err(error) => tracing::warn!(name, %error, "a model cannot be served"),
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// The files of a model.
    pub(crate) fn manifest(&self, model: ContentHash) -> Result<Manifest, Error> {
        let bytes = self.lists().get(&list_of(model))?;
        let bytes = bytes.ok_or_else(|| Error::Unknown { name: model.to_string() })?;
        let manifest: Result<Manifest, _> = serde_json::from_slice(&bytes);
        manifest.ok().filter(|manifest| manifest.hash() == model).ok_or(Error::Damaged { model })
    }

    /// The model of a name.
    pub(crate) fn named(&self, name: &str) -> Result<Option<ContentHash>, Error> {
        let Some(bytes) = self.names().get(&file_of(name))? else { return Ok(None) };
        let stored: Option<Name> = serde_json::from_slice(&bytes).ok();
        Ok(stored.filter(|stored| stored.name == name).map(|stored| stored.hash))
    }

    /// Removes blobs that were begun and never finished: by a coordinator that was killed.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        absent(self.blobs().sweep())?;
        Ok(())
    }

    /// A model without a name goes, with the blobs that no other one needs.
    fn drop_unnamed(&self, hash: ContentHash) -> Result<u64, Error> {
        if self.all_names()?.iter().any(|name| name.hash == hash) {
            return Ok(0);
        }
        let manifest = self.manifest(hash);
        self.lists().remove(&list_of(hash))?;
        let Ok(manifest) = manifest else { return Ok(0) };
        let mut needed = HashSet::new();
        for list in absent(self.lists().names())?.unwrap_or_default() {
            let Some(other) = list.strip_suffix(JSON).and_then(|hash| hash.parse().ok()) else { continue };
            // A damaged list needs nothing that could be served; a disk that fails is no reason to remove anything.
            match self.manifest(other) {
                Ok(other) => needed.extend(other.files().iter().map(|file| file.hash)),
                Err(error @ Error::Io(_)) => return Err(error),
                Err(_) => {}
            }
        }
        let mut freed = 0;
        for ModelFile { size, hash, .. } in manifest.files() {
            if needed.insert(*hash) && self.blobs().size(&hash.to_string())?.is_some() {
                self.blobs().remove(&hash.to_string())?;
                freed += size;
            }
        }
        Ok(freed)
    }

    fn all_names(&self) -> Result<Vec<Name>, Error> {
        let mut all = Vec::new();
        for file in absent(self.names().names())?.unwrap_or_default() {
            let bytes = self.names().get(&file)?.unwrap_or_default();
            // What somebody else has put there is nobody's name.
            let stored: Option<Name> = serde_json::from_slice(&bytes).ok();
            all.extend(stored.filter(|stored| file_of(&stored.name) == file));
        }
        Ok(all)
    }

    fn lists(&self) -> Depot {
        self.artifacts.places().0.below("models")
    }

    fn blobs(&self) -> Depot {
        self.lists().below("blobs")
    }

    fn names(&self) -> Depot {
        self.lists().below("names")
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list_of(model: ContentHash) -> String {
    format!("{model}{JSON}")
}

/// A name may hold what a file's name may not somewhere: its hash is called instead.
fn file_of(name: &str) -> String {
    format!("{}{JSON}", blake3::hash(name.as_bytes()).to_hex())
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

/// What is read of a folder that was not made yet.
fn absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tessera_proto::manifest::INDEX;

    use super::*;

    fn models() -> Models {
        Models::new(Arc::new(Artifacts::open(None).unwrap()))
    }

    fn hash(content: &str) -> ContentHash {
        ContentHash::new(*blake3::hash(content.as_bytes()).as_bytes())
    }

    /// A model of an index and a network.
    fn manifest(name: &str, network: &str) -> Manifest {
        let file = |name: &str, content: &str| ModelFile {
            name: name.to_owned(),
            size: content.len() as u64,
            hash: hash(content),
        };
        Manifest::new(name, vec![file(INDEX, "{}"), file("unet/model.onnx", network)]).unwrap()
    }

    fn put(models: &Models, content: &str) {
        let mut file = models.begin(hash(content)).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        models.keep(file, hash(content)).unwrap();
    }

    fn names(models: &Models) -> Vec<String> {
        models.list().unwrap().into_iter().map(|model| model.name).collect()
    }

    #[test]
    fn a_model_has_a_name_once_all_of_it_is_there() {
        let models = models();
        assert!(models.list().unwrap().is_empty());
        models.sweep().unwrap();
        let one = manifest("one", "network");
        assert_eq!(models.lacking(&one).unwrap(), [hash("{}"), hash("network")]);
        put(&models, "{}");
        let error = models.register(&one).unwrap_err().to_string();
        assert_eq!(error, "1 files of model \"one\" are not here: push it again");
        assert!(names(&models).is_empty() && models.manifest(one.hash()).is_err(), "it cannot be fetched");
        assert_eq!(models.lacking(&one).unwrap(), [hash("network")], "what has come is not sent again");
        put(&models, "network");
        models.register(&one).unwrap();
        assert_eq!(models.named("one").unwrap(), Some(one.hash()));
        assert_eq!(models.manifest(one.hash()).unwrap(), one);
        let listed = models.list().unwrap();
        assert_eq!((listed[0].size, listed[0].files, listed[0].hash), (9, 2, one.hash()));
        assert_eq!(models.blob(hash("network")).unwrap().total(), 7);
    }

    #[test]
    fn what_two_models_share_goes_with_the_last() {
        let models = models();
        let (one, two) = (manifest("one", "a network"), manifest("two", "another network"));
        ["{}", "a network", "another network"].iter().for_each(|content| put(&models, content));
        models.register(&one).unwrap();
        models.register(&two).unwrap();
        assert_eq!(models.remove("one").unwrap(), 9, "the index stays");
        assert!(models.lacking(&two).unwrap().is_empty());
        assert!(matches!(models.remove("one"), Err(Error::Unknown { .. })));
        // A second name keeps it, another model under its only name does not.
        put(&models, "a network");
        models.register(&manifest("uno", "a network")).unwrap();
        models.register(&one).unwrap();
        assert_eq!(models.remove("uno").unwrap(), 0);
        assert_eq!(names(&models), ["one", "two"]);
        models.register(&manifest("one", "another network")).unwrap();
        assert_eq!(models.lacking(&one).unwrap(), [hash("a network")]);
        assert_eq!(models.remove("two").unwrap(), 0);
        assert_eq!(models.remove("one").unwrap(), 17);
        assert!(names(&models).is_empty());
    }

    #[test]
    fn a_list_that_was_changed_is_not_believed() {
        let models = models();
        let one = manifest("one", "network");
        ["{}", "network"].iter().for_each(|content| put(&models, content));
        models.register(&one).unwrap();
        let other = json(&manifest("one", "changed")).unwrap();
        models.lists().put(&list_of(one.hash()), other).unwrap();
        assert!(matches!(models.manifest(one.hash()), Err(Error::Damaged { .. })));
        assert!(models.list().unwrap().is_empty());
    }
}
