//! How a task that is running is ended from outside: a task's lease and the word to stop in; an early end out.
//!
//! The device's thread says which task it runs, and what would end the network call that it is in; the stream's thread says
//! which task nobody wants any more. Whoever comes second acts.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tessera_proto::LeaseId;
use tokio::sync::Notify;

/// What ends a network call at its next operator.
type End = Arc<dyn Fn() + Send + Sync>;

/// The way from one thread to the other.
#[derive(Clone, Default)]
pub struct Halt(Arc<Shared>);

#[derive(Default)]
struct Shared {
    task: Mutex<Task>,
    /// Told when the running task is to stop: to a thread that sleeps, and to a task that does.
    thread: Condvar,
    notify: Notify,
}

#[derive(Default)]
struct Task {
    running: Option<LeaseId>,
    stopped: bool,
    call: Option<End>,
}

/// A network call under way; dropped at its end.
#[must_use]
pub struct Call<'h>(&'h Halt);

// === impl Halt ===

impl Halt {
    /// A task begins.
    pub fn begin(&self, lease: LeaseId) {
        *self.task() = Task { running: Some(lease), stopped: false, call: None };
    }

    /// The task is over; returns whether it was stopped.
    pub fn end(&self) -> bool {
        std::mem::take(&mut *self.task()).stopped
    }

    /// Stops a task, if it is the one that runs. Returns at once.
    pub fn stop(&self, lease: LeaseId) {
        let mut task = self.task();
        if task.running != Some(lease) {
            return;
        }
        task.stopped = true;
        if let Some(end) = &task.call {
            end();
        }
        drop(task);
        self.0.thread.notify_all();
        self.0.notify.notify_waiters();
    }

    /// Whether the running task is to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.task().stopped
    }

    /// A network call begins, which `end` ends.
    pub fn call(&self, end: impl Fn() + Send + Sync + 'static) -> Call<'_> {
        let mut task = self.task();
        if task.stopped {
            end();
        }
        task.call = Some(Arc::new(end));
        Call(self)
    }

    /// Sleeps, on a thread of one's own, until the time has passed or the task is stopped. To the microsecond, where the
    /// runtime's timers count milliseconds.
    pub fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut task = self.task();
        while !task.stopped {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.0.thread.wait_timeout(task, left);
            task = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same by the runtime's clock, for a task on it.
    pub async fn wait(&self, time: Duration) {
        let stopped = self.0.notify.notified();
        if self.is_stopped() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = stopped => {}
        }
    }

    fn task(&self) -> MutexGuard<'_, Task> {
        self.0.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Task { running, stopped, .. } = &*self.task();
        f.debug_struct("Halt").field("running", running).field("stopped", stopped).finish_non_exhaustive()
    }
}

// === impl Call ===

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.task().call = None;
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn a_call_is_ended_whether_the_word_comes_before_or_after_it_began() {
        for before in [false, true] {
            let (halt, ended) = (Halt::default(), Arc::new(AtomicU32::new(0)));
            let count = Arc::clone(&ended);
            halt.begin(LeaseId::new(7));
            halt.stop(LeaseId::new(8));
            assert!(!halt.is_stopped(), "that is another task");
            if before {
                halt.stop(LeaseId::new(7));
            }
            let call = halt.call(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            if !before {
                halt.stop(LeaseId::new(7));
            }
            drop(call);
            halt.stop(LeaseId::new(7));
            assert_eq!(ended.load(Ordering::Relaxed), 1, "no call is under way now");
            assert!(halt.end());
            halt.begin(LeaseId::new(8));
            assert!(!halt.end(), "the next task is another one");
        }
    }

    #[test]
    fn a_sleeper_is_woken() {
        let halt = Halt::default();
        halt.begin(LeaseId::new(1));
        let other = halt.clone();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.stop(LeaseId::new(1));
        });
        let began = Instant::now();
        halt.sleep(Duration::from_secs(60));
        assert!(began.elapsed() < Duration::from_secs(30), "long before its time");
        stopper.join().unwrap();
        halt.sleep(Duration::from_secs(60));
        assert!(halt.end(), "a task that is stopped does not sleep again");
        halt.begin(LeaseId::new(2));
        let began = Instant::now();
        halt.sleep(Duration::from_millis(3));
        assert!(Duration::from_millis(3) <= began.elapsed());
    }
}
