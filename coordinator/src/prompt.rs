//! A1111's prompt grammar: a prompt's text in, the texts to embed and the model calls that each holds for out.
//!
//! Four languages lie inside each other, read in this order: `AND` splits a prompt into weighted parts
//! (`composition`); `[a:b:n]` and `[a|b]` change a part's text from one model call to the next (`schedule`);
//! `(a:1.2)`, `[a]` and `BREAK` weigh and cut what is left (`attention`). A [`Prompt`] is the parsed form, a
//! [`Conditioning`] what one pass makes of it.

mod attention;
mod composition;
mod conditioning;
mod schedule;
mod word;

#[cfg(test)]
mod tests;

use tessera_proto::limits;

use composition::Part;

pub use conditioning::{Conditioning, Texts, Timeline};

/// Deepest nesting of brackets: a person's prompts stay below 10; it bounds the work that one prompt can cause.
pub const MAX_DEPTH: usize = 64;

/// Most parts that `AND` may join: each is one more row in every model call of the job.
pub const MAX_PARTS: usize = 32;

/// Most different texts that the prompts of one job may pass through: each is embedded, and kept by every worker.
pub const MAX_TEXTS: usize = 256;

/// Largest weight, either sign: far above any use, and small enough that products with an embedding stay finite.
pub const MAX_WEIGHT: f64 = 1e4;

/// A prompt or negative prompt, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    parts: Vec<Part>,
}

/// Why a text is no prompt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// More text than [`limits::PROMPT`].
    #[error("prompt has {bytes} bytes, at most {} are allowed", limits::PROMPT)]
    Length {
        /// Bytes received.
        bytes: usize,
    },
    /// A tag that loads a LoRA while the picture is made.
    #[error(
        "prompt holds {tag:?}, but LoRA files are fused when the model is exported: remove the tag, or export the model \
         again with --lora"
    )]
    Lora {
        /// The tag, shortened.
        tag: String,
    },
    /// A tag of another extra network.
    #[error("prompt holds {tag:?}, but extra networks are not supported: remove the tag")]
    ExtraNetwork {
        /// The tag, shortened.
        tag: String,
    },
    /// Brackets in brackets beyond [`MAX_DEPTH`].
    #[error(
        "prompt opens more than {MAX_DEPTH} brackets inside each other: close or escape some (\\( and \\[)"
    )]
    Depth,
    /// More parts than [`MAX_PARTS`].
    #[error("prompt joins {parts} parts with AND, at most {MAX_PARTS} are allowed")]
    Parts {
        /// Parts received.
        parts: usize,
    },
    /// What stands where a weight belongs is no number: `(a:1.2.3)`.
    #[error("prompt weight {text:?} is not a number")]
    Number {
        /// What was written, shortened.
        text: String,
    },
    /// A weight, or the product of nested ones, beyond [`MAX_WEIGHT`].
    #[error("prompt weight is {weight}, must be between -{MAX_WEIGHT} and {MAX_WEIGHT}")]
    Weight {
        /// The weight, all enclosing brackets multiplied.
        weight: f64,
    },
    /// More different texts than [`MAX_TEXTS`].
    #[error(
        "prompt schedules lead to more than {MAX_TEXTS} different texts: let fewer brackets alternate, or options of \
         lengths that divide each other"
    )]
    Texts,
    /// The different texts together are larger than a prompt may be.
    #[error(
        "prompt schedules lead to {bytes} bytes of different texts, at most {} are allowed: shorten the prompt or let \
         it change less often",
        conditioning::MAX_TEXT_BYTES
    )]
    TextBytes {
        /// Bytes so far, where counting stopped.
        bytes: usize,
    },
}

// === impl Prompt ===

impl Prompt {
    /// A prompt: parts joined by `AND`, each with a weight behind a colon.
    ///
    /// # Errors
    /// The text is too long, nests too deeply, joins too many parts or holds the tag of an extra network.
    pub fn positive(text: &str) -> Result<Self, Error> {
        check_text(text)?;
        Ok(Self { parts: composition::split(text)? })
    }

    /// A negative prompt: one part of weight 1, in which `AND` is an ordinary word, as A1111 reads it.
    ///
    /// # Errors
    /// As [`Prompt::positive`].
    pub fn negative(text: &str) -> Result<Self, Error> {
        check_text(text)?;
        Ok(Self { parts: vec![Part::new(text, 1.0)?] })
    }

    /// What one pass embeds of this prompt and when each text holds; the texts are added to `texts`.
    ///
    /// # Errors
    /// A weight is no number or too large, or the job's texts become too many.
    pub fn conditioning(&self, timeline: Timeline, texts: &mut Texts) -> Result<Conditioning, Error> {
        Conditioning::new(&self.parts, timeline, texts)
    }
}

fn check_text(text: &str) -> Result<(), Error> {
    if limits::PROMPT < text.len() {
        return Err(Error::Length { bytes: text.len() });
    }
    composition::refuse_extra_networks(text)
}

/// Text as it may appear in a message: at most 40 characters.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
