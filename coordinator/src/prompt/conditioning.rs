//! One pass of a prompt: its schedules and the pass's model calls in, the text of each call out.

use std::collections::HashMap;

use tessera_proto::Segment;

use super::attention::{self, single};
use super::composition::Part;
use super::schedule::{Scheduled, When};
use super::{Error, MAX_TEXTS};

/// Most bytes of all different texts of a job, before they are embedded.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// How many model calls a pass makes, and how many lie before it: the clock of schedules.
///
/// A1111 counts model calls, not steps: a sampler with two calls a step doubles both numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    calls: u32,
    /// Calls of the pass before, when this is the second one.
    base_calls: Option<u32>,
}

/// The different texts of a job's prompts, to be embedded once each.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    list: Vec<Vec<Segment>>,
    index: HashMap<String, usize>,
    bytes: usize,
}

/// The texts that one prompt passes through during one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditioning {
    parts: Vec<Track>,
}

/// One part of a prompt during one pass.
#[derive(Debug, Clone, PartialEq)]
struct Track {
    weight: f32,
    /// Rising in `end`; the last `end` is at least the number of calls.
    spans: Vec<Span>,
}

/// The same text for some calls in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// The last call, counted from 0, inclusive.
    end: u32,
    /// Index into [`Texts::list`].
    text: usize,
}

// === impl Timeline ===

impl Timeline {
    /// The first pass, of `calls` model calls (0 counts as 1).
    #[must_use]
    pub fn base(calls: u32) -> Self {
        Self { calls: calls.max(1), base_calls: None }
    }

    /// The hires pass, of `calls` model calls (0 counts as 1) after a first one of `base_calls`.
    #[must_use]
    pub fn hires(base_calls: u32, calls: u32) -> Self {
        Self { calls: calls.max(1), base_calls: Some(base_calls) }
    }

    /// Model calls of this pass, at least 1.
    #[must_use]
    pub fn calls(self) -> u32 {
        self.calls
    }

    /// The last step, counted from 1, before a switch; 0 when it has happened before the pass.
    ///
    /// A1111 since 1.6 lets the clock run on in the second pass: fractions from 1 to 2, steps from the first pass's
    /// number on. Both are cut to whole steps towards zero.
    pub(super) fn step_of(self, when: When) -> u32 {
        let calls = f64::from(self.calls);
        let step = match (when, self.base_calls) {
            (When::Fraction(fraction), None) => fraction * calls,
            (When::Fraction(fraction), Some(_)) => (fraction - 1.0) * calls,
            (When::Step(step), None) => step,
            (When::Step(step), Some(base_calls)) => step - f64::from(base_calls),
        };
        whole(step.clamp(0.0, calls))
    }
}

// === impl Texts ===

impl Texts {
    /// The texts in the order of their indices, each cut into weighted segments; what the workers embed.
    #[must_use]
    pub fn list(&self) -> &[Vec<Segment>] {
        &self.list
    }

    /// Takes the texts out.
    #[must_use]
    pub fn into_list(self) -> Vec<Vec<Segment>> {
        self.list
    }

    /// The index of a text, which is added if it is new.
    fn intern(&mut self, text: String) -> Result<usize, Error> {
        if let Some(&index) = self.index.get(&text) {
            return Ok(index);
        }
        self.bytes += text.len();
        if self.list.len() == MAX_TEXTS {
            return Err(Error::Texts);
        }
        if MAX_TEXT_BYTES < self.bytes {
            return Err(Error::TextBytes { bytes: self.bytes });
        }
        self.list.push(attention::parse(&text)?);
        self.index.insert(text, self.list.len() - 1);
        Ok(self.list.len() - 1)
    }
}

// === impl Conditioning ===

impl Conditioning {
    pub(super) fn new(parts: &[Part], timeline: Timeline, texts: &mut Texts) -> Result<Self, Error> {
        let track = |part: &Part| {
            Ok(Track { weight: single(part.weight), spans: spans(&part.text, timeline, texts)? })
        };
        Ok(Self { parts: parts.iter().map(track).collect::<Result<_, _>>()? })
    }

    /// What holds at model call `call`, counted from 0: for each part, the index of its text in [`Texts::list`] and
    /// its weight. Calls past the end of the pass see the last text.
    pub fn at(&self, call: u32) -> impl Iterator<Item = (usize, f32)> {
        self.parts.iter().map(move |track| {
            let holding = track.spans.partition_point(|span| span.end < call).min(track.spans.len() - 1);
            (track.spans[holding].text, track.weight)
        })
    }

    /// How many parts the prompt has, at least 1: rows of conditioning in each model call.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }
}

/// The texts of a pass, those that follow each other unchanged as one span.
///
/// A text that ends at step k, counted from 1, holds for the calls 0 to k, counted from 0, as A1111 looks it up: the
/// first span is one call longer than its number says.
fn spans(text: &Scheduled, timeline: Timeline, texts: &mut Texts) -> Result<Vec<Span>, Error> {
    let mut spans: Vec<Span> = Vec::new();
    for end in text.ends(timeline) {
        // The call `calls - 1` is the last one: an entry behind the one that covers it would never be looked up.
        if spans.last().is_some_and(|span| timeline.calls() - 1 <= span.end) {
            break;
        }
        let index = texts.intern(text.at(end, timeline))?;
        match spans.last_mut() {
            Some(span) if span.text == index => span.end = end,
            _ => spans.push(Span { end, text: index }),
        }
    }
    Ok(spans)
}

/// A non-negative number cut to a whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller clamps it to 0 and a u32, and cutting is what is asked for"
)]
fn whole(number: f64) -> u32 {
    number as u32
}
