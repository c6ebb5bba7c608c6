//! CLIP's tokenizer: the files of a model folder and a text in, token ids out.

use std::path::{Path, PathBuf};

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern};
use tokenizers::pre_tokenizers::{
    byte_level::ByteLevel,
    sequence::Sequence as PreTokenizers,
    split::{Split, SplitPattern},
};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::Error;
use super::special::Special;

/// What CLIP takes for one word: marks, English contractions, letters, one digit, or anything else between blanks.
const WORD: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// What CLIP's byte-pair encoding writes behind the last symbol of a word.
const END_OF_WORD: &str = "</w>";

/// Largest tokenizer file; CLIP's are below 4 MiB.
const MAX_FILE: u64 = 64 << 20;

/// A tokenizer with the ids of the marks that chunks need.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Id of the mark that opens a chunk.
    pub(super) begin: u32,
    /// Id of the mark that closes a chunk.
    pub(super) end: u32,
    /// Id that fills a chunk behind its end; Stable Diffusion 1.x fills with [`Tokenizer::end`].
    pub(super) pad: u32,
    /// Id of a comma that ends a word, if there is one.
    pub(super) comma: Option<u32>,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Opens the tokenizer in `folder`: `tokenizer.json`, or else `vocab.json` and `merges.txt`, which Optimum writes.
    ///
    /// `vocab_size` is how many ids the text encoder knows.
    ///
    /// # Errors
    /// A file is absent, damaged or oversized; a mark is no token; an id is not below `vocab_size`.
    pub fn open(folder: &Path, vocab_size: u32) -> Result<Self, Error> {
        let special = Special::read(folder)?;
        let whole = folder.join("tokenizer.json");
        let (vocabulary, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
        let inner = if whole.is_file() {
            from_json(&whole)?
        } else if vocabulary.is_file() && merges.is_file() {
            from_vocabulary(vocabulary, &merges, &special)?
        } else {
            return Err(Error::Missing { folder: folder.to_owned() });
        };
        let id = |token: &str, role| {
            let missing = || Error::Special { folder: folder.to_owned(), token: token.to_owned(), role };
            inner.token_to_id(token).ok_or_else(missing)
        };
        let (begin, end, pad) = (
            id(&special.begin, "bos_token")?,
            id(&special.end, "eos_token")?,
            id(&special.pad, "pad_token")?,
        );
        let comma = inner.token_to_id(&format!(",{END_OF_WORD}"));
        let largest = inner.get_vocab(true).into_values().max().unwrap_or_default();
        if vocab_size <= largest {
            return Err(Error::Vocabulary { folder: folder.to_owned(), largest, vocab_size });
        }
        Ok(Self { inner, begin, end, pad, comma })
    }

    /// The ids of a text, without marks and padding.
    ///
    /// # Errors
    /// The tokenizer fails, which a whole one does on no text.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode_fast(text, false);
        let encoding = encoding.map_err(|error| Error::Encode { reason: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }
}

fn from_json(file: &Path) -> Result<tokenizers::Tokenizer, Error> {
    check_size(file)?;
    let damaged =
        |error: tokenizers::Error| Error::Damaged { file: file.to_owned(), reason: error.to_string() };
    let mut tokenizer = tokenizers::Tokenizer::from_file(file).map_err(damaged)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(damaged)?;
    Ok(tokenizer)
}

fn from_vocabulary(
    vocabulary: PathBuf,
    merges: &Path,
    special: &Special,
) -> Result<tokenizers::Tokenizer, Error> {
    check_size(&vocabulary)?;
    check_size(merges)?;
    let damaged =
        |error: tokenizers::Error| Error::Damaged { file: vocabulary.clone(), reason: error.to_string() };
    let model = BPE::from_file(&vocabulary.to_string_lossy(), &merges.to_string_lossy())
        .unk_token(special.end.clone())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(END_OF_WORD.to_owned())
        .build()
        .map_err(damaged)?;
    let blanks = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(damaged)?;
    let words = SplitPattern::Regex(WORD.to_owned());
    let words = Split::new(words, SplitDelimiterBehavior::Removed, true).map_err(damaged)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), blanks.into(), Lowercase.into()])));
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    // A mark that the vocabulary lacks would be given a new id here, which the text encoder does not know.
    let known =
        [&special.begin, &special.end].into_iter().filter(|mark| tokenizer.token_to_id(mark).is_some());
    let mark = |text: &String| AddedToken::from(text.clone(), true).normalized(special.normalized);
    let marks: Vec<AddedToken> = known.map(mark).collect();
    tokenizer.add_special_tokens(&marks);
    Ok(tokenizer)
}

fn check_size(file: &Path) -> Result<(), Error> {
    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|error| Error::Damaged { file: file.to_owned(), reason: error.to_string() })?;
    if MAX_FILE < metadata.len() {
        return Err(Error::TooLarge { file: file.to_owned(), bytes: metadata.len(), limit: MAX_FILE });
    }
    Ok(())
}
