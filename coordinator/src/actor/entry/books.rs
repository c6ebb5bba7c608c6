//! What a job's books say besides its status: what has happened to it and what it has cost; things that happen in, text to
//! keep beside a checkpoint out, and back.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tessera_proto::{JobEvent, JobFailure, JobHistory, JobState};

use super::Entry;
use crate::{clock, report::Past};

/// Events that are kept of the beginning, and as many of the end.
const KEPT: usize = 100;

/// Most characters of an event: a worker's own words may be in it.
const LONGEST: usize = 500;

/// What is kept beside a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Books {
    history: JobHistory,
    past: Past,
}

// === impl Entry ===

impl Entry {
    /// Something has happened to the job.
    pub(in crate::actor) fn tell(&mut self, message: impl Into<String>, now: Instant) {
        let message = message.into().chars().take(LONGEST).collect();
        push(&mut self.history, JobEvent { at_ms: clock::unix_ms(now), message });
    }

    /// What has happened to it so far.
    pub(in crate::actor) const fn history(&self) -> &JobHistory {
        &self.history
    }

    /// What a later coordinator shall know.
    pub(in crate::actor) fn books(&self) -> Option<String> {
        let (history, past) = (self.history.clone(), self.ledger.past());
        serde_json::to_string(&Books { history, past }).ok()
    }

    /// What an earlier coordinator knew of a job that was taken over from it. Books that cannot be read are worth less
    /// than the job.
    pub(in crate::actor) fn recall(&mut self, books: Option<&str>) {
        if !std::mem::take(&mut self.recalls) {
            return;
        }
        let Some(Ok(Books { mut history, past })) = books.map(serde_json::from_str) else { return };
        self.ledger.recall(past);
        // That it was handed in, they know.
        self.history.events.drain(1..).for_each(|event| push(&mut history, event));
        self.history = history;
    }
}

/// The history of a job that was handed in at this time.
pub(super) fn began(at: Instant) -> JobHistory {
    let mut history = JobHistory::default();
    push(&mut history, JobEvent { at_ms: clock::unix_ms(at), message: "handed in".to_owned() });
    history
}

/// How a job ended.
pub(super) fn ended(state: JobState, failure: Option<&JobFailure>) -> String {
    failure.map_or_else(|| state.name().to_owned(), |why| format!("failed: {why}"))
}

/// One more event; of very many those in between go.
fn push(history: &mut JobHistory, event: JobEvent) {
    if history.events.len() == 2 * KEPT {
        history.events.remove(KEPT);
        history.left_out += 1;
    }
    history.events.push(event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_keeps_both_its_ends() {
        let mut history = JobHistory::default();
        for at_ms in 0..1000 {
            push(&mut history, JobEvent { at_ms, message: String::new() });
        }
        let kept: Vec<u64> = history.events.iter().map(|event| event.at_ms).collect();
        assert!(kept[..KEPT].iter().copied().eq(0..100) && kept[KEPT..].iter().copied().eq(900..1000));
        assert_eq!(history.left_out, 800);
    }
}
