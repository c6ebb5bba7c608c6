//! What the cache keeps, what it gives up, and what it does not believe.

use tempfile::TempDir;
use tessera_proto::manifest::INDEX;

use super::*;

const KIB: u64 = 1 << 10;

/// A cache of so many KiB in a folder of its own, with a file beside it.
struct Rig {
    outside: TempDir,
    cache: Cache,
}

fn content(seed: u8) -> Vec<u8> {
    vec![seed; 1024]
}

fn hash(content: &[u8]) -> ContentHash {
    ContentHash::new(*blake3::hash(content).as_bytes())
}

/// A model of files of one KiB each, of which the first is the index.
fn model(name: &str, seeds: &[u8]) -> Manifest {
    let file = |(index, seed): (usize, &u8)| {
        let name = if index == 0 { INDEX.to_owned() } else { format!("unet/part {index}/model.onnx") };
        ModelFile { name, size: KIB, hash: hash(&content(*seed)) }
    };
    Manifest::new(name, seeds.iter().enumerate().map(file).collect()).unwrap()
}

// === impl Rig ===

impl Rig {
    fn new(kib: u64) -> Self {
        let outside = tempfile::tempdir().unwrap();
        let cache = Cache::new(outside.path().join("home/cache/models"), kib * KIB);
        fs::write(outside.path().join("x"), "mine").unwrap();
        Self { outside, cache }
    }

    fn put(&self, seed: u8) -> bool {
        let hash = hash(&content(seed));
        let blob = self.cache.begin(hash).unwrap();
        self.cache.keep(blob.with(&content(seed)).unwrap(), hash).unwrap()
    }

    /// Fetches a model; returns how many files had to be.
    fn get(&self, manifest: &Manifest) -> Result<(usize, PathBuf, InUse), Error> {
        let missing = self.cache.prepare(manifest)?;
        for file in &missing {
            let seed = (0..=u8::MAX).find(|&seed| hash(&content(seed)) == file.hash).unwrap();
            assert!(self.put(seed));
        }
        let (folder, in_use) = self.cache.lay_out(manifest)?;
        Ok((missing.len(), folder, in_use))
    }

    fn age(&self, manifest: &Manifest, seconds: u64) {
        let file = File::options().append(true).open(self.cache.list(manifest.hash())).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    fn has(&self, manifest: &Manifest) -> bool {
        self.cache.folder(manifest.hash()).exists()
    }

    fn blobs(&self) -> usize {
        fs::read_dir(self.cache.blobs()).unwrap().count()
    }
}

impl Rig {
    fn prepare_folders(&self) {
        fs::create_dir_all(&self.cache.root).unwrap();
    }
}

#[test]
fn a_model_is_laid_out_once_and_what_it_shares_is_there_already() {
    let rig = Rig::new(100);
    rig.prepare_folders();
    let (one, two) = (model("one", &[1, 2, 3]), model("two", &[1, 2, 4]));
    let (fetched, folder, _used) = rig.get(&one).unwrap();
    assert_eq!((fetched, count(&folder).unwrap()), (3, 3));
    assert_eq!(fs::read(folder.join("unet/part 2/model.onnx")).unwrap(), content(3));
    assert!(!fs::symlink_metadata(folder.join(INDEX)).unwrap().is_symlink());
    assert_eq!(rig.get(&two).unwrap().0, 1);
    assert_eq!(rig.get(&one).unwrap().0, 0);
    assert_eq!(rig.blobs(), 4);
}

#[test]
fn a_blob_that_was_damaged_is_fetched_again() {
    let rig = Rig::new(100);
    rig.prepare_folders();
    let one = model("one", &[1, 2, 3]);
    drop(rig.get(&one).unwrap());
    // Of the same length; and one that is a link to something of the right content.
    fs::write(rig.cache.blob(hash(&content(2))), vec![9; 1024]).unwrap();
    let elsewhere = rig.outside.path().join("elsewhere");
    fs::write(&elsewhere, content(3)).unwrap();
    #[cfg(unix)]
    {
        let blob = rig.cache.blob(hash(&content(3)));
        fs::remove_file(&blob).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &blob).unwrap();
    }
    let (fetched, folder, _used) = rig.get(&one).unwrap();
    assert_eq!(fetched, if cfg!(unix) { 2 } else { 1 });
    assert_eq!(fs::read(folder.join("unet/part 1/model.onnx")).unwrap(), content(2));
    assert_eq!(fs::read(elsewhere).unwrap(), content(3), "links are not followed");
}

#[test]
fn what_has_another_content_is_not_kept() {
    let rig = Rig::new(100);
    fs::create_dir_all(rig.cache.blobs()).unwrap();
    let blob = rig.cache.begin(hash(&content(1))).unwrap().with(&content(2)).unwrap();
    assert_eq!(blob.received(), KIB);
    assert!(!rig.cache.keep(blob, hash(&content(1))).unwrap());
    assert_eq!(rig.blobs(), 0);
}

#[test]
fn a_folder_that_was_changed_is_laid_out_anew() {
    let rig = Rig::new(100);
    rig.prepare_folders();
    let one = model("one", &[1, 2]);
    let (_, folder, _used) = rig.get(&one).unwrap();
    fs::write(folder.join("unet/more.onnx"), "evil").unwrap();
    let (fetched, folder, _again) = rig.get(&one).unwrap();
    assert_eq!((fetched, count(&folder).unwrap()), (0, 2));
    #[cfg(unix)]
    {
        let file = folder.join("unet/part 1/model.onnx");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(rig.outside.path().join("x"), &file).unwrap();
        let (_, folder, _used) = rig.get(&one).unwrap();
        assert_eq!(fs::read(folder.join("unet/part 1/model.onnx")).unwrap(), content(2));
    }
}

#[test]
fn the_model_that_was_not_used_for_longest_leaves_first() {
    let rig = Rig::new(6);
    rig.prepare_folders();
    let [one, two, three] = [model("one", &[1, 2]), model("two", &[3, 4]), model("three", &[5, 6])];
    for (manifest, age) in [(&one, 10), (&two, 30), (&three, 20)] {
        drop(rig.get(manifest).unwrap());
        rig.age(manifest, age);
    }
    drop(rig.get(&model("four", &[7, 8, 9])).unwrap());
    assert_eq!([&one, &two, &three].map(|model| rig.has(model)), [true, false, false]);
    assert_eq!(rig.blobs(), 5);
    // What is used is younger than what is not.
    drop(rig.get(&one).unwrap());
    rig.age(&model("four", &[7, 8, 9]), 5);
    drop(rig.get(&model("five", &[10])).unwrap());
    assert!(rig.has(&one), "there was room for one more");
}

#[test]
fn a_model_in_use_stays_and_one_that_does_not_fit_is_refused() {
    let rig = Rig::new(4);
    rig.prepare_folders();
    let (one, two) = (model("one", &[1, 2]), model("two", &[3, 4, 5]));
    let (.., in_use) = rig.get(&one).unwrap();
    let error = rig.get(&two).unwrap_err().to_string();
    let expected = "model \"two\" has 3072 bytes, and the cache of at most 4096 holds 2048 that are in use";
    assert!(error.starts_with(expected), "{error}");
    assert!(rig.has(&one));
    drop(in_use);
    drop(rig.get(&two).unwrap());
    assert!(!rig.has(&one));
    assert!(rig.get(&model("large", &[1, 2, 3, 4, 5])).is_err());
}

#[test]
fn what_a_fetch_has_left_goes_when_room_is_needed() {
    let rig = Rig::new(3);
    rig.prepare_folders();
    let one = model("one", &[1, 2]);
    rig.cache.prepare(&one).unwrap();
    assert!(rig.put(1));
    fs::write(rig.cache.blobs().join(format!("{DRAFT}x")), "half").unwrap();
    assert_eq!(rig.cache.prepare(&one).unwrap().len(), 1, "the first is there already");
    assert_eq!(rig.blobs(), 1, "drafts of the dead are swept");
    drop(rig.get(&model("two", &[3, 4, 5])).unwrap());
    assert_eq!(rig.blobs(), 3);
}

#[test]
fn nothing_outside_is_written() {
    let rig = Rig::new(100);
    // A name that leads out never becomes a manifest, however it comes.
    for name in ["../x", "unet/../../../../x", "/x", "unet/..\\x"] {
        let file = ModelFile { name: name.to_owned(), size: KIB, hash: hash(&content(1)) };
        let index = ModelFile { name: INDEX.to_owned(), ..file.clone() };
        let text = format!(
            r#"{{"name":"m","files":[{},{}]}}"#,
            serde_json::to_string(&index).unwrap(),
            serde_json::to_string(&file).unwrap()
        );
        assert!(serde_json::from_str::<Manifest>(&text).is_err(), "{name}");
        assert!(Manifest::new("m", vec![index, file]).is_err(), "{name}");
    }
    rig.prepare_folders();
    drop(rig.get(&model("one", &[1, 2])).unwrap());
    assert_eq!(fs::read(rig.outside.path().join("x")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(rig.outside.path()).unwrap().count(), 2, "the home and our file");
}

#[tokio::test]
async fn one_worker_fetches_at_a_time() {
    let rig = Rig::new(100);
    let turn = rig.cache.turn().await.unwrap();
    let second = tokio::time::timeout(Duration::from_millis(300), rig.cache.turn()).await;
    assert!(second.is_err());
    drop(turn);
    rig.cache.turn().await.unwrap();
}
