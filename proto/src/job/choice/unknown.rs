//! A spelling that names no option, and the option that it may have meant.

/// A spelling that names no option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {text:?}: did you mean {nearest:?}? (known: {})", known.join(", "))]
pub struct Unknown {
    what: &'static str,
    text: String,
    nearest: String,
    known: Vec<String>,
}

// === impl Unknown ===

impl Unknown {
    /// The error for `text`, with the option that is spelt most like it.
    #[must_use]
    pub fn among(text: &str, what: &'static str, known: Vec<String>) -> Self {
        let distance = |name: &String| strsim::damerau_levenshtein(&folded(name), &folded(text));
        let nearest = known.iter().min_by_key(|name| distance(name)).cloned().unwrap_or_default();
        Self { what, text: text.to_owned(), nearest, known }
    }
}

/// A spelling without what does not matter: "DPM++ 2M", "dpm++_2m" and "dpmpp-2m" are one.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase().replace("++", "pp").chars().filter(|c| c.is_alphanumeric()).collect()
}
