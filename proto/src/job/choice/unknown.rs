//! A spelling that names no option, and the option that it may have meant.

/// A spelling that names no option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {text:?}{} (known: {})", hint(nearest.as_deref()), known.join(", "))]
pub struct Unknown {
    what: &'static str,
    text: String,
    nearest: Option<String>,
    known: Vec<String>,
}

// === impl Unknown ===

impl Unknown {
    /// The error for `text`, with the [nearest] option.
    #[must_use]
    pub fn among(text: &str, what: &'static str, known: Vec<String>) -> Self {
        let nearest = nearest(text, known.iter().map(String::as_str)).map(ToOwned::to_owned);
        Self { what, text: text.to_owned(), nearest, known }
    }
}

/// The one of `known` that is spelt most like `text`, where one is spelt like it at all: with two slips, or one in three
/// letters.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&folded(name), &folded(text));
    let slips = (folded(text).chars().count() / 3).max(2);
    known.into_iter().min_by_key(|name| distance(name)).filter(|name| distance(name) <= slips)
}

/// A spelling without what does not matter: "DPM++ 2M", "dpm++_2m" and "dpmpp-2m" are one.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase().replace("++", "pp").chars().filter(|c| c.is_alphanumeric()).collect()
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(": did you mean {nearest:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slip_is_taken_for_one() {
        let text =
            |text| Unknown::among(text, "upscaler", vec!["lanczos".into(), "sim-2x".into()]).to_string();
        assert_eq!(
            text("lancos"),
            "unknown upscaler \"lancos\": did you mean \"lanczos\"? (known: lanczos, sim-2x)"
        );
        assert_eq!(text("4x-UltraSharp"), "unknown upscaler \"4x-UltraSharp\" (known: lanczos, sim-2x)");
    }
}
