//! `AND`: a prompt in, its parts and their weights out.

use super::schedule::Scheduled;
use super::word::{is_word, split_at};
use super::{Error, MAX_PARTS, MAX_WEIGHT, short};

/// Tags that name a LoRA or one of its relatives.
const LORA_TAGS: [&str; 5] = ["lora", "lyco", "locon", "loha", "lokr"];

/// One part of a prompt: what it says at each model call, and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Factor on the part's difference from the negative prompt.
    pub(super) weight: f64,
    /// The text, which may change from call to call.
    pub(super) text: Scheduled,
}

// === impl Part ===

impl Part {
    /// Parses the schedules of a part's text.
    ///
    /// # Errors
    /// Brackets nest too deeply.
    pub(super) fn new(text: &str, weight: f64) -> Result<Self, Error> {
        Ok(Self { weight, text: Scheduled::parse(text)? })
    }
}

/// Splits a prompt at `AND` and takes the weights off the ends of its parts.
///
/// A prompt without `AND` is one part, and may end in a weight as well.
///
/// # Errors
/// Too many parts, a weight that is too large, or brackets that nest too deeply.
pub(super) fn split(text: &str) -> Result<Vec<Part>, Error> {
    let pieces = split_at(text, "AND");
    if MAX_PARTS < pieces.len() {
        return Err(Error::Parts { parts: pieces.len() });
    }
    let part = |piece| {
        let (text, weight) = take_weight(piece)?;
        Part::new(text, weight)
    };
    pieces.into_iter().map(part).collect()
}

/// Refuses `<kind:name…>`, which A1111 takes out of a prompt and loads as an extra network.
///
/// # Errors
/// There is such a tag.
pub(super) fn refuse_extra_networks(text: &str) -> Result<(), Error> {
    for (at, _) in text.match_indices('<') {
        let Some((kind, rest)) = text[at + 1..].split_once(':') else {
            break;
        };
        let Some(length) = rest.find('>') else { break };
        if kind.is_empty() || !kind.chars().all(is_word) || length == 0 {
            continue;
        }
        let tag = short(&text[at..at + 1 + kind.len() + 1 + length + 1]);
        let is_lora = LORA_TAGS.iter().any(|known| known.eq_ignore_ascii_case(kind));
        return Err(if is_lora { Error::Lora { tag } } else { Error::ExtraNetwork { tag } });
    }
    Ok(())
}

/// Takes `: 0.5` off the end of a part; without one, the weight is 1. White space at the end goes too.
fn take_weight(part: &str) -> Result<(&str, f64), Error> {
    let part = part.trim_end();
    let Some((text, number)) = part.rsplit_once(':') else {
        return Ok((part, 1.0));
    };
    let number = number.trim_start();
    if !is_plain_number(number) {
        return Ok((part, 1.0));
    }
    let weight: f64 = number.parse().map_err(|_| Error::Number { text: short(number) })?;
    if MAX_WEIGHT < weight.abs() {
        return Err(Error::Weight { weight });
    }
    Ok((text.trim_end(), weight))
}

/// Whether `text` is a sign, if any, then digits with at most one dot among them, and no exponent.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let dots = digits.matches('.').count();
    dots <= 1 && dots < digits.len() && digits.chars().all(|digit| digit.is_ascii_digit() || digit == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(text: &str) -> Vec<f64> {
        split(text).unwrap().iter().map(|part| part.weight).collect()
    }

    #[test]
    fn parts_may_end_in_a_signed_weight() {
        assert_eq!(weights("a cat AND a dog : -.5 AND sky :2. AND x:1e3"), [1.0, -0.5, 2.0, 1.0]);
        assert_eq!(take_weight(" a dog : -.5 ").unwrap(), (" a dog", -0.5));
        assert_eq!(take_weight("(a:1.2)").unwrap(), ("(a:1.2)", 1.0));
        assert_eq!(take_weight("a:.").unwrap(), ("a:.", 1.0));
        assert_eq!(take_weight("a:b:2").unwrap(), ("a:b", 2.0));
    }

    #[test]
    fn hostile_parts_are_refused() {
        assert_eq!(split(&"AND ".repeat(40)).unwrap_err(), Error::Parts { parts: 41 });
        assert_eq!(split("a:20000").unwrap_err(), Error::Weight { weight: 20_000.0 });
        assert!(matches!(split(&format!("a:{}", "9".repeat(400))), Err(Error::Weight { .. })));
    }

    #[test]
    fn extra_networks_are_refused_with_what_to_do() {
        let message = |text| refuse_extra_networks(text).unwrap_err().to_string();
        let lora = message("a cat <LoRA:film-grain:0.8>, night");
        assert!(
            lora.starts_with(r#"prompt holds "<LoRA:film-grain:0.8>", but LoRA files are fused when"#),
            "{lora}"
        );
        assert!(lora.ends_with("export the model again with --lora"), "{lora}");
        assert!(message("<hypernet:a:1>").contains("extra networks are not supported"));
        for fine in ["a < b: c > d", "<:a>", "<a:>", "<lora:", "<b> a:c", "<< a"] {
            assert_eq!(refuse_extra_networks(fine), Ok(()), "{fine}");
        }
    }
}
