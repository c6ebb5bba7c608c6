//! How urgent a job is: a spelling in, its share of a busy fleet out.

use serde::Serialize;

use super::Choice;

/// How much of a busy fleet a job gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Somebody waits for it.
    Interactive,
    /// It may wait.
    #[default]
    Batch,
}

// === impl Urgency ===

impl Urgency {
    /// Its weight beside others. A batch job is never at a standstill: one that nobody waited for would hold its memory
    /// for nothing.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Interactive => 16.0,
            Self::Batch => 1.0,
        }
    }
}

impl Choice for Urgency {
    const WHAT: &'static str = "priority";
    const ALL: &'static [Self] = &[Self::Interactive, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }

    fn a1111_name(self) -> &'static str {
        self.name()
    }
}
