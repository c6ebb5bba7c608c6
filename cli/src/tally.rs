//! Several jobs that a command tries one after another: how each went in, one verdict out.

use crate::{
    exit::{Exit, Failure},
    output::Output,
};

/// How many there were, and how the worst of them went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    tried: usize,
    failed: usize,
    worst: Option<Exit>,
}

// === impl Tally ===

impl Tally {
    /// Counts one, and says why it failed.
    pub(crate) fn count(&mut self, result: Result<(), Failure>, output: &Output) {
        self.tried += 1;
        if let Err(failure) = result {
            output.note(failure.sentence());
            self.failed += 1;
            self.worst = self.worst.max(Some(failure.exit));
        }
    }

    /// The verdict on all of them; `what` says what became of those that failed, as in "were not cancelled".
    ///
    /// # Errors
    /// One failed; the exit code is that of the worst.
    pub(crate) fn verdict(&self, what: &str) -> Result<(), Failure> {
        let Self { tried, failed, worst } = self;
        match *worst {
            None => Ok(()),
            Some(exit) => Err(Failure { exit, error: anyhow::anyhow!("{failed} of {tried} jobs {what}") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;

    #[test]
    fn the_worst_decides() {
        let output = Output::new(Style::Quiet);
        let mut tally = Tally::default();
        tally.count(Ok(()), &output);
        assert!(tally.verdict("were lost").is_ok());
        tally.count(Err(Failure::usage(anyhow::anyhow!("no such job"))), &output);
        tally.count(Err(Failure::failed(anyhow::anyhow!("no answer"))), &output);
        let failure = tally.verdict("were lost").unwrap_err();
        assert_eq!((failure.exit, failure.sentence()), (Exit::Usage, "2 of 3 jobs were lost".to_owned()));
    }
}
