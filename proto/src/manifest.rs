//! What a model consists of: names, sizes and hashes of its files in; a list that was checked, and the model's hash, out.
//!
//! **Invariant: a name in a manifest stays inside the folder that it is laid out in, on every system**, and is a plain
//! file's there: no parent, no root, no separator of another system, no hidden file, no name beneath another file's.
//! Manifests come from people and over the network; later code takes only this type, and never a bare name.

mod name;

use std::{collections::HashSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use name::{Fault, check_model_name};

/// The folders that make a model; what else lies beside them is none of it.
pub const PARTS: [&str; 7] =
    ["scheduler", "text_encoder", "tokenizer", "unet", "upscalers", "vae_decoder", "vae_encoder"];

/// The file that makes a folder a model.
pub const INDEX: &str = "model_index.json";

/// Most files of a model.
pub const MAX_FILES: usize = 512;

/// Largest file of a model, bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 30;

/// Largest model, bytes.
pub const MAX_BYTES: u64 = 32 << 30;

/// The BLAKE3 hash of a file, or of a model; written as 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

/// A text that is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no content hash, which has 64 hexadecimal digits")]
pub struct InvalidHash {
    text: String,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its path in the model's folder, with `/` between the parts.
    pub name: String,
    /// Its length, bytes.
    pub size: u64,
    /// Hash of its content.
    pub hash: ContentHash,
}

/// The files of a model, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Manifest {
    /// What the model is called.
    name: String,
    files: Vec<ModelFile>,
    #[serde(skip)]
    hash: ContentHash,
}

/// A model that a cluster keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisteredModel {
    /// What it is called.
    pub name: String,
    /// Its content hash.
    pub hash: ContentHash,
    /// Bytes of all files together.
    pub size: u64,
    /// How many files it has.
    pub files: u32,
}

/// A manifest that was not checked.
#[derive(Deserialize)]
struct Draft {
    name: String,
    files: Vec<ModelFile>,
}

/// Why a list of files is no model that we send or take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that no model may have.
    #[error("a model cannot be called {name:?}: {fault}")]
    ModelName {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A name that no file may have.
    #[error("the model's file {name:?} is refused: {fault}")]
    FileName {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Two files of one name, or a file that would have to be a folder too.
    #[error("the model's files {first:?} and {second:?} cannot lie beside each other")]
    Clash {
        /// A file.
        first: String,
        /// Another one.
        second: String,
    },
    /// Too many files.
    #[error("the model has {count} files, at most {MAX_FILES} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A file is too large.
    #[error("the model's file {name:?} has {size} bytes, at most {MAX_FILE_BYTES} are allowed")]
    FileSize {
        /// The file.
        name: String,
        /// Its size.
        size: u64,
    },
    /// All files together are too large.
    #[error("the model's files have {size} bytes together, at most {MAX_BYTES} are allowed")]
    Size {
        /// Their size.
        size: u64,
    },
    /// The file that makes it a model is missing.
    #[error("the model has no {INDEX}")]
    NoIndex,
}

// === impl ContentHash ===

impl ContentHash {
    /// The hash with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ContentHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        match blake3::Hash::from_hex(text) {
            // blake3 reads capital digits too; a hash is a file's name, and has one spelling.
            Ok(hash) if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => Ok(Self(*hash.as_bytes())),
            _ => Err(InvalidHash { text: text.chars().take(70).collect() }),
        }
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

// === impl Manifest ===

impl Manifest {
    /// The files of a model that is called `name`.
    ///
    /// # Errors
    /// A name is none, or leads out of the folder; there are too many files, or they are too large.
    pub fn new(name: impl Into<String>, mut files: Vec<ModelFile>) -> Result<Self, Error> {
        let name = name.into();
        check_model_name(&name).map_err(|fault| Error::ModelName { name: short(&name), fault })?;
        if MAX_FILES < files.len() {
            return Err(Error::TooMany { count: files.len() });
        }
        let mut total = 0_u64;
        for ModelFile { name, size, .. } in &files {
            name::check_file_name(name).map_err(|fault| Error::FileName { name: short(name), fault })?;
            if MAX_FILE_BYTES < *size {
                return Err(Error::FileSize { name: short(name), size: *size });
            }
            total = total.saturating_add(*size);
        }
        if MAX_BYTES < total {
            return Err(Error::Size { size: total });
        }
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        check_clashes(&files)?;
        if !files.iter().any(|file| file.name == INDEX) {
            return Err(Error::NoIndex);
        }
        let hash = model_hash(files.iter().map(|file| (file.name.as_str(), file.hash.bytes())));
        Ok(Self { name, files, hash: ContentHash::new(hash) })
    }

    /// What the model is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files, in the order of their names.
    #[must_use]
    pub fn files(&self) -> &[ModelFile] {
        &self.files
    }

    /// The model's content hash, which follows from the names and hashes of its files.
    #[must_use]
    pub const fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

impl TryFrom<Draft> for Manifest {
    type Error = Error;

    fn try_from(Draft { name, files }: Draft) -> Result<Self, Error> {
        Self::new(name, files)
    }
}

/// A model's content hash: BLAKE3 over, for each file in the order of their names, the name, a zero byte and the BLAKE3
/// hash of the contents.
#[must_use]
pub fn model_hash<'a>(files: impl Iterator<Item = (&'a str, &'a [u8; 32])>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for (name, hash) in files {
        hasher.update(name.as_bytes()).update(&[0]).update(hash);
    }
    *hasher.finalize().as_bytes()
}

/// No two files have one name, where small and capital letters count as the same too, and none lies beneath another.
fn check_clashes(files: &[ModelFile]) -> Result<(), Error> {
    let lower = |name: &str| name.to_lowercase();
    let mut names = HashSet::new();
    for file in files {
        if !names.insert(lower(&file.name)) {
            return Err(Error::Clash { first: file.name.clone(), second: file.name.clone() });
        }
    }
    for file in files {
        let folders = file.name.match_indices('/').map(|(at, _)| &file.name[..at]);
        if let Some(first) = folders.into_iter().find(|folder| names.contains(&lower(folder))) {
            return Err(Error::Clash { first: first.to_owned(), second: file.name.clone() });
        }
    }
    Ok(())
}

/// As much of somebody's name as a message shows.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> ModelFile {
        ModelFile { name: name.to_owned(), size, hash: ContentHash::new([7; 32]) }
    }

    fn with(more: &[ModelFile]) -> Result<Manifest, Error> {
        Manifest::new("m", [&[file(INDEX, 2)], more].concat())
    }

    #[test]
    fn a_model_is_its_files_whatever_their_order() {
        let [a, b] = [file("unet/model.onnx", 9), file("tokenizer/vocab.json", 3)];
        let one = with(&[a.clone(), b.clone()]).unwrap();
        let other = with(&[b, a.clone()]).unwrap();
        assert_eq!((one.hash(), one.size()), (other.hash(), 14));
        let changed = ModelFile { hash: ContentHash::new([8; 32]), ..a };
        assert_ne!(with(&[changed]).unwrap().hash(), with(&[file("unet/model.onnx", 9)]).unwrap().hash());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let long = format!("unet/{}", "a".repeat(256));
        for name in [
            "",
            ".",
            "..",
            "../x",
            "unet/../x",
            "unet/../../x",
            "/etc/passwd",
            "unet//x",
            "unet/",
            "/unet/x",
            "unet\\x",
            "unet/a\\..\\x",
            "C:/x",
            "unet/C:x",
            "unet/.hidden",
            "unet/x.",
            "unet/x ",
            "unet/ x",
            "unet/a\0b",
            "unet/a\nb",
            "unet/NUL",
            "unet/com1.onnx",
            "unet/a/b/c/d/e/f/g",
            "README.md",
            "unet",
            "other/x",
            &long,
        ] {
            let refused = with(&[file(name, 1)]);
            assert!(matches!(refused, Err(Error::FileName { .. })), "{name:?}: {refused:?}");
        }
        for name in
            ["unet/model.onnx", "unet/model.onnx_data", "tokenizer/a b.txt", "upscalers/größe 4x.onnx"]
        {
            with(&[file(name, 1)]).unwrap();
        }
    }

    #[test]
    fn files_that_cannot_lie_beside_each_other_are_refused() {
        for names in [["unet/a", "unet/a"], ["unet/a", "unet/A"], ["unet/a", "unet/a/b"]] {
            let refused = with(&names.map(|name| file(name, 1)));
            assert!(matches!(refused, Err(Error::Clash { .. })), "{names:?}: {refused:?}");
        }
    }

    #[test]
    fn sizes_and_counts_have_limits() {
        let many: Vec<_> = (0..MAX_FILES).map(|n| file(&format!("unet/{n}"), 1)).collect();
        assert_eq!(with(&many), Err(Error::TooMany { count: MAX_FILES + 1 }));
        with(&many[1..]).unwrap();
        let large = |size| file("unet/a", size);
        assert!(matches!(with(&[large(MAX_FILE_BYTES + 1)]), Err(Error::FileSize { .. })));
        let two = [large(MAX_FILE_BYTES), file("unet/b", MAX_FILE_BYTES)];
        assert!(matches!(with(&two), Err(Error::Size { .. })), "the index is beyond the limit");
        assert_eq!(Manifest::new("m", vec![large(1)]), Err(Error::NoIndex));
        let endless = [large(u64::MAX), file("unet/b", u64::MAX)];
        assert!(with(&endless).is_err(), "sums do not wrap");
    }

    #[test]
    fn a_models_name_cannot_be_taken_for_a_hash_or_a_path() {
        for name in ["", "a/b", "a\\b", "..", ".a", "-m", "a\nb", " a", &"0".repeat(64), &"a".repeat(256)] {
            let refused = Manifest::new(name, vec![file(INDEX, 2)]);
            assert!(matches!(refused, Err(Error::ModelName { .. })), "{name:?}: {refused:?}");
        }
        Manifest::new("Deliberate v2 (fp16)", vec![file(INDEX, 2)]).unwrap();
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = ContentHash::new([0xab; 32]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(hash.to_string().to_uppercase().parse::<ContentHash>().is_err());
        for text in ["", "ab", "../../etc/passwd"] {
            assert!(text.parse::<ContentHash>().is_err(), "{text:?}");
        }
    }
}
