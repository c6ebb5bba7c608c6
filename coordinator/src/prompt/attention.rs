//! `(a)`, `(a:1.2)`, `[a]`, `BREAK`: a text whose schedules are resolved in, weighted segments out.
//!
//! As A1111 reads it: round and square brackets are counted apart, unclosed ones reach to the end, closing ones that
//! nothing opened are text, a backslash makes the next bracket text, and nested weights multiply. `BREAK` is a mark
//! inside brackets too (A1111 turns it into a word there).

use tessera_proto::Segment;

use super::word::split_at;
use super::{Error, MAX_DEPTH, MAX_WEIGHT, short};

/// What a pair of round brackets multiplies by; square brackets divide by it.
const STEP: f64 = 1.1;

/// Characters that end a run of plain text.
const SPECIAL: [char; 6] = ['\\', '(', ')', '[', ']', ':'];

/// Reads the emphasis of a text; a text without words gives no segment.
///
/// # Errors
/// A weight is no number or too large, or brackets nest too deeply.
pub(super) fn parse(text: &str) -> Result<Vec<Segment>, Error> {
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = reader.take(first, rest)?;
        rest = &rest[length..];
    }
    reader.finish()
}

#[derive(Debug, Default)]
struct Reader {
    pieces: Vec<Piece>,
    /// For each open round bracket, how many pieces lie before it.
    round: Vec<usize>,
    /// The same for square brackets.
    square: Vec<usize>,
}

#[derive(Debug)]
enum Piece {
    Text { text: String, weight: f64 },
    Break,
}

// === impl Reader ===

impl Reader {
    /// Takes what stands at the start of `rest` and returns its length in bytes, at least 1.
    fn take(&mut self, first: char, rest: &str) -> Result<usize, Error> {
        match first {
            '\\' => Ok(self.escape(rest)),
            '(' => open(&mut self.round, self.pieces.len()),
            '[' => open(&mut self.square, self.pieces.len()),
            ':' => self.colon(rest),
            ')' => {
                let opened = self.round.pop();
                Ok(self.close(opened, STEP, ")"))
            }
            ']' => {
                let opened = self.square.pop();
                Ok(self.close(opened, 1.0 / STEP, "]"))
            }
            _ => {
                let length = rest.find(SPECIAL).unwrap_or(rest.len());
                self.words(&rest[..length]);
                Ok(length)
            }
        }
    }

    /// `\(` is a bracket as text; before anything else the backslash vanishes.
    fn escape(&mut self, rest: &str) -> usize {
        match rest[1..].chars().next() {
            Some(escaped @ ('(' | ')' | '[' | ']' | '\\')) => {
                self.text(escaped);
                2
            }
            _ => 1,
        }
    }

    /// `:1.2)` closes a round bracket with that weight; any other colon is text.
    fn colon(&mut self, rest: &str) -> Result<usize, Error> {
        let Some((number, length)) = closing_weight(rest) else {
            self.text(':');
            return Ok(1);
        };
        let Some(start) = self.round.pop() else {
            self.text(&rest[..length]);
            return Ok(length);
        };
        let weight: f64 = number.parse().map_err(|_| Error::Number { text: short(number) })?;
        self.multiply(start, weight);
        Ok(length)
    }

    fn close(&mut self, opened: Option<usize>, factor: f64, bracket: &str) -> usize {
        match opened {
            Some(start) => self.multiply(start, factor),
            None => self.text(bracket),
        }
        bracket.len()
    }

    /// Plain text, cut at `BREAK` with the white space around it.
    fn words(&mut self, words: &str) {
        let parts = split_at(words, "BREAK");
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let mut part = part;
            if 0 < index {
                self.pieces.push(Piece::Break);
                part = part.trim_start();
            }
            if index < last {
                part = part.trim_end();
            }
            self.text(part);
        }
    }

    fn text(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece::Text { text: text.into(), weight: 1.0 });
    }

    fn multiply(&mut self, start: usize, factor: f64) {
        for piece in &mut self.pieces[start..] {
            if let Piece::Text { weight, .. } = piece {
                *weight *= factor;
            }
        }
    }

    /// Closes what is open, joins neighbours of equal weight and drops texts without a character.
    fn finish(mut self) -> Result<Vec<Segment>, Error> {
        for start in std::mem::take(&mut self.round) {
            self.multiply(start, STEP);
        }
        for start in std::mem::take(&mut self.square) {
            self.multiply(start, 1.0 / STEP);
        }
        let mut joined: Vec<Piece> = Vec::new();
        for piece in self.pieces {
            match (joined.last_mut(), piece) {
                // Weights join where they are the same number, computed the same way: a difference is meant.
                (Some(Piece::Text { text, weight }), Piece::Text { text: more, weight: same })
                    if *weight == same =>
                {
                    text.push_str(&more);
                }
                (_, piece) => joined.push(piece),
            }
        }
        joined.into_iter().filter(|piece| !piece.is_empty()).map(Piece::into_segment).collect()
    }
}

// === impl Piece ===

impl Piece {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Text { text, .. } if text.is_empty())
    }

    fn into_segment(self) -> Result<Segment, Error> {
        match self {
            Self::Break => Ok(Segment::Break),
            // Written so that NaN, which compares with nothing, is refused as well.
            Self::Text { text, weight } if weight.abs() <= MAX_WEIGHT => {
                Ok(Segment::Text { text, weight: single(weight) })
            }
            Self::Text { weight, .. } => Err(Error::Weight { weight }),
        }
    }
}

fn open(brackets: &mut Vec<usize>, pieces: usize) -> Result<usize, Error> {
    if brackets.len() == MAX_DEPTH {
        return Err(Error::Depth);
    }
    brackets.push(pieces);
    Ok(1)
}

/// The number in `: 1.2 )` at the start of `rest`, and the length of the whole.
fn closing_weight(rest: &str) -> Option<(&str, usize)> {
    let inside = rest[1..].trim_start();
    let end = inside.find(|character: char| !"+-.0123456789".contains(character))?;
    let (number, behind) = inside.split_at(end);
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let behind = behind.trim_start().strip_prefix(')')?;
    let is_weight = !digits.is_empty() && !digits.contains(['+', '-']);
    is_weight.then_some((number, rest.len() - behind.len()))
}

/// The nearest f32: weights act on f32 embeddings.
#[expect(clippy::cast_possible_truncation, reason = "weights are below MAX_WEIGHT, only precision is lost")]
pub(super) fn single(weight: f64) -> f32 {
    weight as f32
}
