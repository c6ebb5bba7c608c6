//! Marks that are whole words (`AND`, `BREAK`): a text and a word in, the pieces between its occurrences out.

/// Cuts `text` at every occurrence of `word` that touches no letter, digit or underscore; there is at least one piece.
pub(super) fn split_at<'text>(text: &'text str, word: &str) -> Vec<&'text str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, found) in text.match_indices(word) {
        let end = at + found.len();
        let touches_before = text[..at].chars().next_back().is_some_and(is_word);
        let touches_after = text[end..].chars().next().is_some_and(is_word);
        if !touches_before && !touches_after {
            pieces.push(&text[start..at]);
            start = end;
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// Whether a character belongs to words: letters and digits of any script, and the underscore.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_cut() {
        assert_eq!(split_at("a AND b", "AND"), ["a ", " b"]);
        assert_eq!(split_at("SAND AND_ ANDé (AND)", "AND"), ["SAND AND_ ANDé (", ")"]);
        assert_eq!(split_at("", "AND"), [""]);
        assert_eq!(split_at("AND", "AND"), ["", ""]);
    }
}
