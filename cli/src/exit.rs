//! How the program ends: a cause in, a sentence for people and an exit code out.

use std::process::ExitCode;

/// What `tessera --help` says of [`Exit`].
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    a job or a machine failed; the same command may work another time
  2    the command or its input cannot be used as it is
  130  interrupted (Ctrl-C)
Of several jobs the worst decides.";

/// What the exit code says to scripts.
///
/// From best to worst, so that of several the worst can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All went well.
    Ok = 0,
    /// The job failed, or a machine did; the same command may work another time.
    Failed = 1,
    /// The request is at fault: another value, file, model or address is needed.
    Usage = 2,
    /// The user ended it: 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// The sentence.
    pub(crate) error: anyhow::Error,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Failure ===

impl Failure {
    /// The request is at fault.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }

    /// The job or a machine failed.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Failed, error: error.into() }
    }

    /// The user ended it; `what` says what became of the job.
    pub(crate) fn interrupted(what: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Interrupted, error: anyhow::Error::msg(what.to_string()) }
    }

    /// The cause and its causes, as one sentence.
    pub(crate) fn sentence(&self) -> String {
        let mut sentence = self.error.to_string();
        for cause in self.error.chain().skip(1) {
            let cause = cause.to_string();
            // Many errors quote their cause themselves: once is enough.
            if !sentence.contains(&cause) {
                sentence.push_str(": ");
                sentence.push_str(&cause);
            }
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let inner = anyhow::anyhow!("permission denied");
        let quoted = inner.context("cannot read a.png: permission denied");
        assert_eq!(Failure::usage(quoted).sentence(), "cannot read a.png: permission denied");
        let chained = anyhow::anyhow!("permission denied").context("cannot read a.png");
        assert_eq!(Failure::failed(chained).sentence(), "cannot read a.png: permission denied");
    }

    #[test]
    fn codes_are_those_that_scripts_know() {
        let codes = [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Interrupted].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 130]);
    }
}
