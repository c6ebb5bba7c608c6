//! The user's wish to stop: SIGINT (Ctrl-C) and SIGTERM in, one event each out.

use std::io;

/// The process's stop signals. While this exists, a signal no longer ends the process by itself.
#[derive(Debug)]
pub(crate) struct Interrupt {
    #[cfg(unix)]
    int: tokio::signal::unix::Signal,
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
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
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    /// Takes the signals over.
    #[cfg(not(unix))]
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {})
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
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }

    /// Waits for the next signal; safe to drop and call again.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without signals nobody can interrupt.
            std::future::pending::<()>().await;
        }
    }
}
