//! A prompt's segments in, chunks of 77 tokens out: begin mark, 75 tokens, end mark.
//!
//! The rules are A1111's. When the 76th token comes, and the last comma lies among the last 20 tokens, what follows
//! that comma moves to the next chunk with it. `BREAK` closes the chunk, even an empty one. Every prompt has at least
//! one chunk.

use tessera_proto::Segment;

use super::{Error, Tokenizer};

/// Tokens of a chunk, marks included: the length that CLIP was trained on.
pub const CHUNK: usize = 77;

/// Most chunks of a prompt: 2400 tokens, some 1800 words, four times what pictures gain from.
///
/// Attention over the prompt costs time in proportion, and the embedding of each chunk stays in every worker.
pub const MAX_CHUNKS: usize = 32;

/// Tokens of a chunk without its marks.
const ROOM: usize = CHUNK - 2;

/// How far back a comma may lie for the words behind it to move to the next chunk (A1111's default).
const COMMA_REACH: usize = 20;

/// One run of the text encoder: 77 ids and how much each counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Token ids, marks and padding included.
    pub ids: [i64; CHUNK],
    /// Emphasis of each token; 1 for marks and padding.
    pub weights: [f32; CHUNK],
}

#[derive(Debug, Default)]
struct Builder {
    closed: Vec<Vec<Token>>,
    open: Vec<Token>,
    /// Where in `open` the last comma lies.
    comma: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    id: u32,
    weight: f32,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// Cuts a prompt into chunks; at least one, at most [`MAX_CHUNKS`].
    ///
    /// # Errors
    /// The prompt needs more chunks, or the tokenizer fails.
    pub fn chunks(&self, segments: &[Segment]) -> Result<Vec<Chunk>, Error> {
        let mut builder = Builder::default();
        for segment in segments {
            match segment {
                Segment::Break => builder.close(),
                Segment::Text { text, weight } => {
                    for id in self.ids(text)? {
                        builder.add(Token { id, weight: *weight }, self.comma == Some(id));
                    }
                }
            }
            if MAX_CHUNKS < builder.closed.len() {
                return Err(Error::Chunks);
            }
        }
        let chunks = builder.finish();
        if MAX_CHUNKS < chunks.len() {
            return Err(Error::Chunks);
        }
        Ok(chunks.iter().map(|tokens| self.chunk(tokens)).collect())
    }

    /// Puts the marks around at most 75 tokens and fills up behind them.
    fn chunk(&self, tokens: &[Token]) -> Chunk {
        let mut ids = [i64::from(self.end); CHUNK];
        let mut weights = [1.0; CHUNK];
        ids[0] = i64::from(self.begin);
        for (at, token) in tokens.iter().enumerate() {
            ids[at + 1] = i64::from(token.id);
            weights[at + 1] = token.weight;
        }
        if self.pad != self.end {
            let end = ids.iter().position(|&id| id == i64::from(self.end)).unwrap_or(CHUNK - 1);
            ids[end + 1..].fill(i64::from(self.pad));
        }
        Chunk { ids, weights }
    }
}

// === impl Builder ===

impl Builder {
    fn add(&mut self, token: Token, is_comma: bool) {
        if self.open.len() == ROOM {
            // A comma may be the last token of a chunk's text only if it fits: it moves nothing when it does not.
            let near = self.comma.filter(|at| !is_comma && ROOM - at <= COMMA_REACH);
            let moved = near.map_or_else(Vec::new, |at| self.open.split_off(at + 1));
            self.close();
            self.open = moved;
        }
        if is_comma {
            self.comma = Some(self.open.len());
        }
        self.open.push(token);
    }

    fn close(&mut self) {
        self.closed.push(std::mem::take(&mut self.open));
        self.comma = None;
    }

    fn finish(mut self) -> Vec<Vec<Token>> {
        if !self.open.is_empty() || self.closed.is_empty() {
            self.close();
        }
        self.closed
    }
}
