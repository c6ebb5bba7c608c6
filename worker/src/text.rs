//! Prompts as the text encoder takes them: weighted segments in, chunks of 77 token ids and their weights out; and the
//! emphasis that those weights put on the encoder's result.
//!
//! - [`Tokenizer`]: CLIP's byte-pair encoding, from the files of a model folder;
//! - [`Chunk`]: 75 tokens between the marks of begin and end, cut as A1111 cuts them;
//! - [`emphasize`]: A1111's "Original" emphasis.

mod chunk;
mod emphasis;
mod special;
mod tokenizer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::model::config_file;

pub use chunk::{CHUNK, Chunk, MAX_CHUNKS};
pub use emphasis::emphasize;
pub use tokenizer::Tokenizer;

/// Why a folder holds no tokenizer, or a prompt cannot be cut into tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither form of the tokenizer is there.
    #[error("{} holds no tokenizer: it needs tokenizer.json, or vocab.json and merges.txt", folder.display())]
    Missing {
        /// The tokenizer's folder.
        folder: PathBuf,
    },
    /// A settings file beside the tokenizer is damaged.
    #[error(transparent)]
    Config(#[from] config_file::Error),
    /// A file of the tokenizer is damaged.
    #[error("{} is no tokenizer that can be read: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What the reader says.
        reason: String,
    },
    /// A file of the tokenizer is far larger than any tokenizer.
    #[error("{} has {bytes} bytes, a tokenizer file may have {limit}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// A mark that every chunk needs is no token.
    #[error("{} has no token {token:?}, which its settings name as {role}", folder.display())]
    Special {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// The token's text.
        token: String,
        /// The setting that names it.
        role: &'static str,
    },
    /// The tokenizer belongs to another text encoder.
    #[error(
        "{} holds tokens up to id {largest}, but text_encoder/config.json says vocab_size {vocab_size}: they belong to \
         different models",
        folder.display()
    )]
    Vocabulary {
        /// The tokenizer's folder.
        folder: PathBuf,
        /// Largest id that the tokenizer gives.
        largest: u32,
        /// How many ids the text encoder knows.
        vocab_size: u32,
    },
    /// The tokenizer fails on a text.
    #[error("the tokenizer cannot read this prompt: {reason}")]
    Encode {
        /// What it says.
        reason: String,
    },
    /// The prompt is too long to be worth embedding.
    #[error("prompt needs more than {MAX_CHUNKS} chunks of 75 tokens: shorten it, or remove some BREAK")]
    Chunks,
}
