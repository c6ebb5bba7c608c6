//! Pieces of a prompt, ready to be embedded: texts with their emphasis, and the marks that close a chunk.
//!
//! The coordinator makes them from A1111's prompt grammar; the worker turns them into tokens. Neither knows the
//! other's half.

/// Largest emphasis, either sign: far above any use, and small enough that a product with an embedding stays finite.
pub const MAX_WEIGHT: f32 = 1e4;

/// One piece of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// Words that share one emphasis.
    Text {
        /// The words, brackets and escapes already taken away.
        text: String,
        /// Factor on the embeddings of the words' tokens; 1 leaves them as they are. At most [`MAX_WEIGHT`] either way.
        weight: f32,
    },
    /// `BREAK`: the chunk of 75 tokens is filled up and closed, the next piece starts a new one.
    Break,
}

/// Why an emphasis is none.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("prompt weight is {weight}, must be between -{MAX_WEIGHT} and {MAX_WEIGHT}")]
pub struct Error {
    /// The weight received.
    pub weight: f32,
}

// === impl Segment ===

impl Segment {
    /// Words with their emphasis.
    ///
    /// # Errors
    /// `weight` is not a number, or larger than [`MAX_WEIGHT`] either way.
    pub fn text(text: impl Into<String>, weight: f32) -> Result<Self, Error> {
        // Written so that NaN, which compares with nothing, is refused as well.
        if !(-MAX_WEIGHT <= weight && weight <= MAX_WEIGHT) {
            return Err(Error { weight });
        }
        Ok(Self::Text {
            text: text.into(),
            weight,
        })
    }

    /// Words without emphasis.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            weight: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_must_be_a_number_of_sensible_size() {
        assert_eq!(Segment::text("a", 1.0), Ok(Segment::plain("a")));
        assert!(Segment::text("a", f32::NAN).is_err());
        assert!(Segment::text("a", -1e4).is_ok());
        let error = Segment::text("a", 2e4).unwrap_err();
        assert_eq!(
            error.to_string(),
            "prompt weight is 20000, must be between -10000 and 10000"
        );
    }
}
