//! A1111's `parameters` text: prompts and settings in, the text out, and back by A1111's own reading rules.
//!
//! ```text
//! prompt, any number of lines
//! Negative prompt: any number of lines
//! Steps: 20, Sampler: Euler a, Hires prompt: "a, b", …
//! ```

/// The settings that follow the prompts: at least this many pairs, or A1111 takes the line for part of a prompt.
const FEWEST_FIELDS: usize = 3;
const NEGATIVE: &str = "Negative prompt:";

/// What a `parameters` text holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    /// The prompt; may have several lines.
    pub prompt: String,
    /// The negative prompt; empty where there is none.
    pub negative: String,
    /// Settings in the order in which they are written. Keys are two or more letters, digits, spaces, `_`, `-`, `/`.
    pub fields: Vec<(String, String)>,
}

// === impl Parameters ===

impl Parameters {
    /// The text. Fields with an empty value are left out: the format has no way to hold one.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.prompt.clone();
        if !self.negative.is_empty() {
            text = format!("{text}\n{NEGATIVE} {}", self.negative);
        }
        let present = self.fields.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<_> = present.map(|(key, value)| format!("{key}: {}", quoted(value))).collect();
        format!("{text}\n{}", pairs.join(", ")).trim().to_owned()
    }

    /// Reads a text as A1111 does: it never fails, and what is no setting is prompt.
    ///
    /// The last line counts as settings if it has three or more pairs. A value `WxH` becomes two fields, `key-1` and
    /// `key-2`; a quoted value is JSON; of a key that comes twice the last one counts, in the first one's place.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut lines: Vec<&str> = text.trim().split('\n').collect();
        let mut pairs = pairs(lines.last().copied().unwrap_or_default());
        if pairs.len() < FEWEST_FIELDS {
            pairs.clear();
        } else {
            lines.pop();
        }
        let mut parameters = Self::default();
        let mut in_negative = false;
        for line in lines.into_iter().map(str::trim) {
            let rest = line.strip_prefix(NEGATIVE);
            in_negative |= rest.is_some();
            let part = if in_negative { &mut parameters.negative } else { &mut parameters.prompt };
            if !part.is_empty() {
                part.push('\n');
            }
            part.push_str(rest.map_or(line, str::trim));
        }
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = unquoted(value);
            if let Some((width, height)) = size(&value) {
                parameters.set(format!("{key}-1"), width.to_owned());
                parameters.set(format!("{key}-2"), height.to_owned());
            } else {
                parameters.set(key.to_owned(), value);
            }
        }
        parameters
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, key: String, value: String) {
        match self.fields.iter_mut().find(|(name, _)| *name == key) {
            Some(field) => field.1 = value,
            None => self.fields.push((key, value)),
        }
    }
}

/// A value as it is written: as JSON where it would not come back otherwise.
///
/// A1111 quotes what holds `,` `:` or a newline. We also quote what begins with `"` or ends in spaces, which its reader
/// would strip; the reader takes both.
fn quoted(value: &str) -> String {
    let plain = !value.contains([',', ':', '\n', '\r']) && !value.starts_with('"') && value.trim() == value;
    if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

/// A value as it was before [`quoted`]; one that is no valid JSON string is taken as it stands.
fn unquoted(value: &str) -> String {
    let is_quoted = value.starts_with('"') && value.ends_with('"');
    let parsed = is_quoted.then(|| serde_json::from_str::<String>(value).ok()).flatten();
    parsed.unwrap_or_else(|| value.to_owned())
}

/// `"512x768"` as its two numbers.
fn size(value: &str) -> Option<(&str, &str)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    value.split_once('x').filter(|(width, height)| is_number(width) && is_number(height))
}

/// All `key: value` pairs of a line, values as written.
///
/// A key is a word character and then one or more of word characters, spaces, `-` and `/`, up to a colon; a value is a
/// JSON string that ends before a comma or the end, else everything up to the next comma. What lies between pairs is
/// skipped.
fn pairs(line: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while let Some((key, after)) = next_key(rest) {
        let after = after.trim_start();
        let end = quoted_len(after).unwrap_or_else(|| after.find(',').unwrap_or(after.len()));
        pairs.push((key, &after[..end]));
        rest = after[end..].strip_prefix(',').unwrap_or_default();
    }
    pairs
}

/// The first key of a text and what follows its colon.
fn next_key(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_inner = |c: char| is_word(c) || matches!(c, ' ' | '-' | '/');
    let mut rest = text;
    loop {
        // A key is the end of a run of inner characters, from the run's first word character on.
        rest = &rest[rest.find(is_word)?..];
        let end = rest.find(|c| !is_inner(c))?;
        let (run, after) = rest.split_at(end);
        match after.strip_prefix(':') {
            Some(after) if 1 < run.chars().count() => return Some((run, after)),
            _ => rest = after,
        }
    }
}

/// Bytes of the non-empty quoted string at the start of a text, if a comma or the end follows it.
fn quoted_len(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    let after = end + 2;
    (0 < end && (after == text.len() || text[after..].starts_with(','))).then_some(after)
}

#[cfg(test)]
mod tests;
