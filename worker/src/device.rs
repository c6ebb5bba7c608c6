//! The OS thread that owns the engine: orders in, outcomes out.
//!
//! Network calls take milliseconds to minutes, so they never run on the threads that serve the stream.
//! **Invariant: a result depends on its task (and the tensors it names) alone**: the thread runs one task after another,
//! and what it keeps between tasks is named by content.

use std::{
    collections::VecDeque,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tessera_proto::{Answer, Assignment, Digest, Failure, LeaseId, Outcome, Tensor, Work};

/// What runs tasks: the engine with everything around it.
pub trait Runner {
    /// Stores a tensor that later tasks name by its digest.
    fn keep(&mut self, digest: Digest, tensor: Tensor);

    /// Drops such a tensor.
    fn forget(&mut self, digest: Digest);

    /// Drops all such tensors.
    fn forget_all(&mut self);

    /// Runs a task. Returns its tensors and the time spent inside networks.
    ///
    /// # Errors
    /// The task cannot be run, or its result is not worth sending.
    fn run(&mut self, work: Work) -> Result<(Answer, Duration), Failure>;
}

/// What the device thread is told.
#[derive(Debug)]
pub enum Order {
    /// Store a tensor.
    Keep {
        /// Its name.
        digest: Digest,
        /// Its values.
        tensor: Tensor,
    },
    /// Drop a tensor.
    Forget {
        /// Its name.
        digest: Digest,
    },
    /// Run a task after those before it.
    Run(Assignment),
    /// Do not begin the task of this lease.
    Withdraw {
        /// The lease.
        lease: LeaseId,
    },
    /// The coordinator is gone: drop the tasks not yet begun and all kept tensors.
    Reset {
        /// Told when nothing of the past is left: the running task has ended and its outcome is out.
        done: tokio::sync::oneshot::Sender<()>,
    },
}

/// The way to the device thread; the thread ends when this is dropped.
#[derive(Debug, Clone)]
pub struct Device {
    orders: mpsc::Sender<Order>,
}

/// The device thread is gone, which only a panic in it can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device thread ended unexpectedly")]
pub struct Gone;

// === impl Device ===

impl Device {
    /// Starts the thread, builds the runner on it and waits until that is done.
    ///
    /// `done` is called on the thread with each outcome.
    ///
    /// # Errors
    /// What `build` returns, for instance a model that the engine refuses.
    ///
    /// # Panics
    /// The system cannot start a thread.
    pub fn start<R, E>(
        build: impl FnOnce() -> Result<R, E> + Send + 'static,
        done: impl FnMut(Outcome) + Send + 'static,
    ) -> Result<Self, E>
    where
        R: Runner,
        E: Send + From<Gone> + 'static,
    {
        let (orders, inbox) = mpsc::channel();
        let (ready, built) = mpsc::sync_channel(1);
        let body = move || match build() {
            Ok(runner) => {
                // The starter waits for this message, so it cannot be gone.
                let _ = ready.send(Ok(()));
                serve(runner, &inbox, done);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("device".into())
            .spawn(body)
            .expect("the system can start one more thread");
        built.recv().unwrap_or_else(|_| Err(Gone.into()))?;
        Ok(Self { orders })
    }

    /// Tells the thread something.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn tell(&self, order: Order) -> Result<(), Gone> {
        self.orders.send(order).map_err(|_| Gone)
    }
}

/// Runs tasks in the order of their arrival until all senders are gone.
fn serve(mut runner: impl Runner, inbox: &mpsc::Receiver<Order>, mut done: impl FnMut(Outcome)) {
    let mut waiting: VecDeque<Assignment> = VecDeque::new();
    loop {
        // All that was said is heard before the next task begins, so that a withdrawn one does not.
        loop {
            let order = match inbox.try_recv() {
                Ok(order) => order,
                Err(mpsc::TryRecvError::Empty) if waiting.is_empty() => match inbox.recv() {
                    Ok(order) => order,
                    Err(mpsc::RecvError) => return,
                },
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return,
            };
            obey(order, &mut runner, &mut waiting);
        }
        if let Some(Assignment { lease, work }) = waiting.pop_front() {
            let started = Instant::now();
            let (result, busy) = match runner.run(work) {
                Ok((answer, busy)) => (Ok(answer), busy),
                Err(failure) => (Err(failure), started.elapsed()),
            };
            done(Outcome { lease, busy, result });
        }
    }
}

fn obey(order: Order, runner: &mut impl Runner, waiting: &mut VecDeque<Assignment>) {
    match order {
        Order::Keep { digest, tensor } => runner.keep(digest, tensor),
        Order::Forget { digest } => runner.forget(digest),
        Order::Run(assignment) => waiting.push_back(assignment),
        Order::Withdraw { lease } => waiting.retain(|assignment| assignment.lease != lease),
        Order::Reset { done } => {
            waiting.clear();
            runner.forget_all();
            // A worker that is ending does not wait for the answer.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds each task until the test lets it go.
    struct Gate(mpsc::Receiver<()>);

    impl Runner for Gate {
        fn keep(&mut self, _: Digest, _: Tensor) {}
        fn forget(&mut self, _: Digest) {}
        fn forget_all(&mut self) {}
        fn run(&mut self, _: Work) -> Result<(Answer, Duration), Failure> {
            self.0.recv().unwrap();
            Ok((Answer::Tensors(Vec::new()), Duration::ZERO))
        }
    }

    fn order(lease: u64) -> Order {
        Order::Run(Assignment { lease: LeaseId::new(lease), work: Work::Embed { texts: Vec::new() } })
    }

    fn started() -> (Device, mpsc::Sender<()>, mpsc::Receiver<u64>) {
        let (open, gate) = mpsc::channel();
        let (report, outcomes) = mpsc::channel();
        let done = move |outcome: Outcome| report.send(outcome.lease.get()).unwrap();
        let device = Device::start(|| Ok::<_, Gone>(Gate(gate)), done).unwrap();
        (device, open, outcomes)
    }

    #[test]
    fn a_withdrawn_task_is_not_begun() {
        let (device, open, outcomes) = started();
        (1..=3).for_each(|lease| device.tell(order(lease)).unwrap());
        // The first task is running or about to; the second is behind it either way.
        device.tell(Order::Withdraw { lease: LeaseId::new(2) }).unwrap();
        (0..2).for_each(|_| open.send(()).unwrap());
        assert_eq!([outcomes.recv(), outcomes.recv()], [Ok(1), Ok(3)]);
    }

    #[test]
    fn a_reset_leaves_nothing_of_the_past() {
        let (device, open, outcomes) = started();
        (1..=2).for_each(|lease| device.tell(order(lease)).unwrap());
        let (done, cleared) = tokio::sync::oneshot::channel();
        device.tell(Order::Reset { done }).unwrap();
        // Lease 1 may run, or be dropped before it began; either way its end comes before the answer.
        open.send(()).unwrap();
        cleared.blocking_recv().unwrap();
        assert!(outcomes.try_iter().all(|lease| lease == 1), "lease 2 was behind it and is dropped");
        device.tell(order(3)).unwrap();
        open.send(()).unwrap();
        assert_eq!(outcomes.recv(), Ok(3));
    }

    #[test]
    fn a_runner_that_cannot_be_built_is_an_error() {
        let build = || Err::<Gate, _>(Gone);
        assert_eq!(Device::start(build, |_| ()).unwrap_err(), Gone);
    }
}
