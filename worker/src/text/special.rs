//! The marks around a prompt: a tokenizer's settings files in, the texts of its special tokens out.

use std::path::Path;

use super::Error;
use crate::model::config_file::{self, ConfigFile};

/// CLIP's own marks, which its tokenizer assumes where no file names others.
const BEGIN: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// The texts of the special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Special {
    /// Opens every chunk.
    pub(super) begin: String,
    /// Closes every chunk.
    pub(super) end: String,
    /// Fills a chunk behind its end.
    pub(super) pad: String,
    /// Whether the marks are looked for in lower-cased text.
    pub(super) normalized: bool,
}

// === impl Special ===

impl Special {
    /// Reads `tokenizer_config.json`, then `special_tokens_map.json`; what neither names is CLIP's.
    ///
    /// # Errors
    /// One of the files is there and damaged, or names a token in a form that is unknown.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            match ConfigFile::read(&folder.join(name)) {
                Ok(file) => files.push(file),
                Err(config_file::Error::Absent { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let find = |role: &'static str, default: &str| -> Result<String, Error> {
            for file in &files {
                if let Some(text) = file.token(role)? {
                    return Ok(text);
                }
            }
            Ok(default.to_owned())
        };
        let (begin, end) = (find("bos_token", BEGIN)?, find("eos_token", END)?);
        let pad = find("pad_token", &end)?;
        // transformers' CLIPTokenizer looks for its marks in normalised text where its files do not say otherwise.
        let normalized = files.iter().find_map(|file| file.is_normalized(&end)).unwrap_or(true);
        Ok(Self { begin, end, pad, normalized })
    }
}
