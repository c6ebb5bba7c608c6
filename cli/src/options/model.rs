//! Which model: `-m` as given in, a reference for the job and, where its folder is here, its facts out.

use std::path::{Path, PathBuf};

use tessera_proto::{ModelFacts, job::ModelRef};

use super::Error;

/// Bytes of a model's hash that tell models apart: ten digits, as A1111 shows them.
const HASH_BYTES: usize = 5;

/// A job's model.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// How the job names it.
    pub(crate) reference: ModelRef,
    /// Its folder, for local workers; `None` for the simulated one and for a cluster's.
    pub(crate) folder: Option<PathBuf>,
    /// An upscaler's file that local workers load besides the folder's own.
    pub(crate) upscaler: Option<PathBuf>,
    /// Its facts, where we know them.
    pub(crate) facts: Option<ModelFacts>,
}

/// The model in a folder of this machine, with an upscaler from elsewhere.
///
/// # Errors
/// The folder is absent, or is no model folder that we can run; the file is no upscaler.
pub(super) fn in_folder(folder: &Path, upscaler: Option<&Path>) -> Result<Model, Error> {
    let files: Vec<PathBuf> = upscaler.map(Path::to_owned).into_iter().collect();
    let facts = tessera_worker::open_model(folder, &files)?.facts().clone();
    Ok(Model {
        reference: ModelRef::Hash(facts.hash),
        folder: Some(folder.to_owned()),
        upscaler: upscaler.map(Path::to_owned),
        facts: Some(facts),
    })
}

/// The model of simulated devices.
pub(super) fn simulated() -> Model {
    let facts = ModelFacts::simulated();
    Model { reference: ModelRef::Hash(facts.hash), folder: None, upscaler: None, facts: Some(facts) }
}

/// A model that a cluster serves: a folder here (the same one is there), a content hash, a name, or the only one.
///
/// # Errors
/// `given` is a folder, but no model folder.
pub(super) fn on_cluster(given: Option<String>) -> Result<Model, Error> {
    let Some(text) = given else {
        return Ok(named(ModelRef::Any));
    };
    // What is written like a path is meant as one, and a folder that is absent must not become a name.
    if Path::new(&text).is_dir() || text.contains(std::path::MAIN_SEPARATOR) {
        return Ok(Model { folder: None, ..in_folder(Path::new(&text), None)? });
    }
    Ok(named(hash(&text).map_or(ModelRef::Name(text), ModelRef::Hash)))
}

/// What people call it.
pub(crate) fn called(model: &ModelRef) -> String {
    match model {
        ModelRef::Any => "any model".to_owned(),
        ModelRef::Name(name) => format!("model {name:?}"),
        ModelRef::Hash(hash) => {
            let digits: String = hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
            format!("model {digits}")
        }
    }
}

fn named(reference: ModelRef) -> Model {
    Model { reference, folder: None, upscaler: None, facts: None }
}

/// 64 hexadecimal digits.
fn hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}
