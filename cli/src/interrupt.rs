//! The user's wish to stop: SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) in, one event each out.

use std::{io, sync::Arc};

use tokio::sync::Notify;

/// The process's stop signals. While this exists, a signal no longer ends the process by itself.
#[derive(Debug)]
pub(crate) struct Interrupt {
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
    /// `None` where a closed terminal is not to end the process, as under `nohup`.
    #[cfg(unix)]
    hup: Option<tokio::signal::unix::Signal>,
    /// Notified when who started us lets go of our standard input.
    leash: Option<Arc<Notify>>,
}

// === impl Interrupt ===

impl Interrupt {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The system refuses to hand them over.
    #[cfg(unix)]
    pub(crate) fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // Before the signal is taken over: afterwards nobody can tell.
        let hup = hangup_counts().then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup,
            leash: None,
        })
    }

    /// Takes the signals over.
    #[cfg(not(unix))]
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self { leash: None })
    }

    /// Also counts the end of standard input, which whoever started us holds: it tells us to stop, or it has died.
    pub(crate) fn with_leash(self) -> Self {
        let leash = Arc::new(Notify::new());
        let held = Arc::clone(&leash);
        // Reading cannot be given up, so that it is no task of the runtime's.
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            held.notify_one();
        });
        Self { leash: Some(leash), ..self }
    }

    /// Does `work`, unless a signal comes first; `None` then, and the work is dropped.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.next() => None,
        }
    }

    /// Waits for the next signal; safe to drop and call again.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hup {
                Some(hup) => hup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = hangup => {}
            () = let_go(self.leash.as_ref()) => {}
        }
    }

    /// Waits for the next signal; safe to drop and call again.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            // Without signals nobody can interrupt.
            Ok(()) = tokio::signal::ctrl_c() => {}
            () = let_go(self.leash.as_ref()) => {}
        }
    }
}

/// Waits until the leash is let go; for ever where there is none.
async fn let_go(leash: Option<&Arc<Notify>>) {
    match leash {
        Some(leash) => leash.notified().await,
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP is ours to take: who started us under `nohup` had it ignored, and taking it over would undo that.
///
/// Only Linux says so in a file; elsewhere the signal keeps the effect that it has.
#[cfg(unix)]
fn hangup_counts() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hangup(&status))
}

/// Whether a process with this `/proc/PID/status` ignores SIGHUP: bit N-1 of `SigIgn`, a hexadecimal mask, stands for
/// signal N (proc(5)), and SIGHUP is signal 1. A mask that cannot be read may hold it.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_stays_ignored() {
        let status = |mask: &str| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        // What nohup leaves, what a Rust program has by itself (SIGPIPE, signal 13), and both.
        assert!(ignores_hangup(&status("0000000000000001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(ignores_hangup("no such line"));
    }
}
