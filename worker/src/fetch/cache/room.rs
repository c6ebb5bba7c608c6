//! Room in the cache: a model to come in; those that were not used for the longest time, and are not used now, gone.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use tessera_proto::{ContentHash, Manifest};

use super::{Cache, Error, LIST, plain_size, read_list, remove};

/// A model in the cache.
#[derive(Debug)]
struct Known {
    manifest: Manifest,
    used: SystemTime,
}

impl Cache {
    /// Removes what is needed least until a model fits beside the rest: first blobs of no model, then whole models.
    ///
    /// # Errors
    /// It does not fit beside what is in use.
    pub(super) fn make_room(&self, manifest: &Manifest) -> Result<(), Error> {
        let sizes: BTreeMap<_, _> = manifest.files().iter().map(|file| (file.hash, file.size)).collect();
        let needed: u64 = sizes.values().sum();
        let mut others = self.known()?;
        others.retain(|known| known.manifest.hash() != manifest.hash());
        others.sort_by_key(|known| known.used);
        let mut beside = self.held()?;
        beside.retain(|hash, _| !sizes.contains_key(hash));
        let used = |beside: &BTreeMap<ContentHash, u64>| beside.values().sum::<u64>();
        let fits = |beside: &_| used(beside).saturating_add(needed) <= self.limit;
        if fits(&beside) {
            return Ok(());
        }
        self.drop_unnamed(&mut beside, &others)?;
        let mut oldest = 0;
        while !fits(&beside) {
            let Some(other) = others.get(oldest) else {
                let (name, limit) = (manifest.name().to_owned(), self.limit);
                return Err(Error::Room { name, needed, limit, used: used(&beside) });
            };
            if self.drop_model(&other.manifest)? {
                tracing::info!(name = other.manifest.name(), "a model left the cache");
                others.remove(oldest);
                self.drop_unnamed(&mut beside, &others)?;
            } else {
                oldest += 1;
            }
        }
        Ok(())
    }

    /// The models that have a list.
    fn known(&self) -> io::Result<Vec<Known>> {
        let mut known = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let hash: Option<ContentHash> =
                name.to_str().and_then(|name| name.strip_suffix(LIST)).and_then(|hash| hash.parse().ok());
            let listed = hash.zip(read_list(&entry.path()));
            let Some((_, manifest)) = listed.filter(|(hash, manifest)| manifest.hash() == *hash) else {
                continue;
            };
            known.push(Known { manifest, used: entry.metadata()?.modified().unwrap_or(UNIX_EPOCH) });
        }
        Ok(known)
    }

    /// All blobs, and their sizes.
    fn held(&self) -> io::Result<BTreeMap<ContentHash, u64>> {
        let mut held = BTreeMap::new();
        for entry in fs::read_dir(self.blobs())? {
            let entry = entry?;
            let hash = entry.file_name().to_str().and_then(|name| name.parse().ok());
            held.extend(hash.zip(plain_size(&entry.path())?));
        }
        Ok(held)
    }

    /// Removes the blobs that none of these models has.
    fn drop_unnamed(&self, beside: &mut BTreeMap<ContentHash, u64>, models: &[Known]) -> io::Result<()> {
        let files = models.iter().flat_map(|known| known.manifest.files());
        let named: HashSet<ContentHash> = files.map(|file| file.hash).collect();
        let unnamed: Vec<_> = beside.keys().copied().filter(|hash| !named.contains(hash)).collect();
        for hash in unnamed {
            remove(&self.blob(hash))?;
            beside.remove(&hash);
        }
        Ok(())
    }

    /// Removes a model's folder and list, unless a worker uses it. Returns whether it did.
    fn drop_model(&self, manifest: &Manifest) -> io::Result<bool> {
        let list = self.list(manifest.hash());
        let file = File::open(&list)?;
        // What cannot be locked may be in use, for all we know.
        if file.try_lock().is_err() {
            return Ok(false);
        }
        remove(&self.folder(manifest.hash()))?;
        remove(&list)?;
        Ok(true)
    }
}
