//! `[a:b:n]`, `[b:n]`, `[a::n]`, `[a|b]`: a text in, what it says at each step of a pass out.
//!
//! # Grammar
//! A bracket is a schedule only if all inside it is well-formed: square brackets that hold `|` alone alternate, those
//! with one or two colons of which a number follows the last one switch, and any other well-formed pair
//! (`(a)`, `(a:b)`, `[a]`) is emphasis, left to `attention`. Brackets that do not pair up, or hold more colons than
//! these, are text, and so is what encloses them. A `|` outside of brackets, or a backslash at the end of a line,
//! makes the whole text literal, as in A1111, whose parser fails there.
//!
//! A stack of open brackets decides this in one pass: a bracket that closes well becomes part of the one around it;
//! one that closes badly turns all open ones into text, since none of them can be well-formed any more.

use std::collections::BTreeSet;

use super::conditioning::Timeline;
use super::{Error, MAX_DEPTH};

/// A text that may change from step to step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scheduled {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    /// `before` up to the step `when`, `after` from the next on.
    Switch {
        before: Vec<Node>,
        after: Vec<Node>,
        when: When,
    },
    /// One option after the other, a step each.
    Alternate(Vec<Vec<Node>>),
}

/// When a switch happens, as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum When {
    /// With a dot: a fraction of the first pass; above 1, of the second.
    Fraction(f64),
    /// Without: a step, counted through both passes.
    Step(f64),
}

/// When a text changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    AtSwitches,
    EveryStep,
}

/// An open bracket and what has been read inside it.
#[derive(Debug)]
struct Frame {
    bracket: char,
    /// What stands between the separators; one more than there are separators.
    pieces: Vec<Vec<Node>>,
    /// `:` or `|`.
    separators: Vec<char>,
}

#[derive(Debug, Default)]
struct Parser {
    root: Vec<Node>,
    open: Vec<Frame>,
    /// A `|` lies outside of well-formed brackets.
    is_literal: bool,
}

// === impl Scheduled ===

impl Scheduled {
    /// Reads the schedules of a text.
    ///
    /// # Errors
    /// More than [`MAX_DEPTH`] brackets are open at once.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut parser = Parser::default();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '(' | '[' => parser.open(character)?,
                ')' | ']' => parser.close(character),
                ':' | '|' => parser.separate(character),
                '\\' => match characters.next() {
                    Some(escaped) if escaped != '\n' => parser.text(&[character, escaped]),
                    _ => parser.is_literal = true,
                },
                _ => parser.text(&[character]),
            }
        }
        parser.collapse();
        let literal = || vec![Node::Text(text.to_owned())];
        Ok(Self { nodes: if parser.is_literal { literal() } else { parser.root } })
    }

    /// The text of step `step`, counted from 1.
    pub(super) fn at(&self, step: u32, timeline: Timeline) -> String {
        let mut text = String::new();
        write(&self.nodes, step, timeline, &mut text);
        text
    }

    /// The steps, rising, after which the text may change; the last one is the pass's last step.
    pub(super) fn ends(&self, timeline: Timeline) -> Vec<u32> {
        let mut switches = BTreeSet::from([timeline.calls()]);
        if collect(&self.nodes, timeline, &mut switches) == Change::EveryStep {
            return (1..=timeline.calls()).collect();
        }
        switches.into_iter().collect()
    }
}

fn write(nodes: &[Node], step: u32, timeline: Timeline, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(words) => text.push_str(words),
            Node::Switch { before, after, when } => {
                let side = if step <= timeline.step_of(*when) { before } else { after };
                write(side, step, timeline, text);
            }
            Node::Alternate(options) => {
                let turn = (step.max(1) - 1) as usize % options.len();
                write(&options[turn], step, timeline, text);
            }
        }
    }
}

/// Notes the last step before each switch, and says whether something changes at every step anyway.
fn collect(nodes: &[Node], timeline: Timeline, switches: &mut BTreeSet<u32>) -> Change {
    for node in nodes {
        let sides = match node {
            Node::Text(_) => continue,
            Node::Alternate(_) => return Change::EveryStep,
            Node::Switch { before, after, when } => {
                let end = timeline.step_of(*when);
                if 1 <= end {
                    switches.insert(end);
                }
                [before, after]
            }
        };
        if sides.into_iter().any(|side| collect(side, timeline, switches) == Change::EveryStep) {
            return Change::EveryStep;
        }
    }
    Change::AtSwitches
}

// === impl Parser ===

impl Parser {
    fn open(&mut self, bracket: char) -> Result<(), Error> {
        if self.open.len() == MAX_DEPTH {
            return Err(Error::Depth);
        }
        self.open.push(Frame { bracket, pieces: vec![Vec::new()], separators: Vec::new() });
        Ok(())
    }

    fn close(&mut self, bracket: char) {
        let reduced = match self.open.pop() {
            Some(frame) if frame.closing() == bracket => frame.reduce(),
            Some(frame) => Err(frame),
            None => {
                self.text(&[bracket]);
                return;
            }
        };
        match reduced {
            Ok(nodes) => nodes.into_iter().for_each(|node| push(self.innermost(), node)),
            Err(frame) => {
                self.open.push(frame);
                self.collapse();
                self.text(&[bracket]);
            }
        }
    }

    fn separate(&mut self, separator: char) {
        match self.open.last_mut() {
            Some(frame) => {
                frame.separators.push(separator);
                frame.pieces.push(Vec::new());
            }
            None if separator == '|' => self.is_literal = true,
            None => self.text(&[separator]),
        }
    }

    fn text(&mut self, characters: &[char]) {
        push(self.innermost(), Node::Text(characters.iter().collect()));
    }

    /// Where the next node belongs.
    fn innermost(&mut self) -> &mut Vec<Node> {
        match self.open.last_mut() {
            Some(frame) => frame.pieces.last_mut().expect("a frame starts with one piece and only gains"),
            None => &mut self.root,
        }
    }

    /// Turns all open brackets into text; the schedules inside them stay.
    fn collapse(&mut self) {
        for frame in std::mem::take(&mut self.open) {
            self.is_literal |= frame.separators.contains(&'|');
            let bracket = frame.bracket;
            push(&mut self.root, Node::Text(bracket.to_string()));
            frame.flatten().into_iter().for_each(|node| push(&mut self.root, node));
        }
    }
}

// === impl Frame ===

impl Frame {
    fn closing(&self) -> char {
        if self.bracket == '(' { ')' } else { ']' }
    }

    /// What the bracket means once it is closed; itself when it means nothing.
    fn reduce(mut self) -> Result<Vec<Node>, Self> {
        let colons = self.separators.iter().filter(|&&separator| separator == ':').count();
        let bars = self.separators.len() - colons;
        match (self.bracket, colons, bars) {
            ('(', 0 | 1, 0) | ('[', 0, 0) => {
                let (opening, closing) = (self.bracket, self.closing());
                let mut nodes = vec![Node::Text(opening.to_string())];
                nodes.extend(self.flatten());
                nodes.push(Node::Text(closing.to_string()));
                Ok(nodes)
            }
            ('[', 0, _) => Ok(vec![Node::Alternate(self.pieces)]),
            ('[', 1 | 2, 0) => {
                let Some(when) = self.pieces.last().and_then(|piece| When::parse(piece)) else {
                    return Err(self);
                };
                self.pieces.pop();
                let after = self.pieces.pop().unwrap_or_default();
                let before = self.pieces.pop().unwrap_or_default();
                Ok(vec![Node::Switch { before, after, when }])
            }
            _ => Err(self),
        }
    }

    /// The pieces with their separators as text between them.
    fn flatten(self) -> Vec<Node> {
        let mut pieces = self.pieces.into_iter();
        let mut nodes = pieces.next().unwrap_or_default();
        for (separator, piece) in self.separators.into_iter().zip(pieces) {
            nodes.push(Node::Text(separator.to_string()));
            nodes.extend(piece);
        }
        nodes
    }
}

// === impl When ===

impl When {
    /// Reads a number (sign, digits, dot, exponent) with white space around it.
    fn parse(piece: &[Node]) -> Option<Self> {
        let [Node::Text(text)] = piece else { return None };
        let text = text.trim();
        let starts_well = |text: &str| text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        // Rust also reads "inf" and "nan", which are words here.
        if !starts_well(text.strip_prefix(['+', '-']).unwrap_or(text)) {
            return None;
        }
        let value: f64 = text.parse().ok()?;
        Some(if text.contains('.') { Self::Fraction(value) } else { Self::Step(value) })
    }
}

/// Adds a node; text joins the text before it.
fn push(nodes: &mut Vec<Node>, node: Node) {
    match (nodes.last_mut(), node) {
        (Some(Node::Text(text)), Node::Text(more)) => text.push_str(&more),
        (_, node) => nodes.push(node),
    }
}
