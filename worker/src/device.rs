//! The loop that owns the engine: orders in, outcomes out.
//!
//! Network calls take milliseconds to minutes, so the loop has an OS thread of its own and never runs on those that serve
//! the stream. On a runtime of one thread there are no others: it is a task there, between whose waits nothing else runs,
//! and a simulated device's time passes by the runtime's clock.
//!
//! **Invariant: a result depends on its task (and the tensors it names) alone**: one task runs after another, and what is
//! kept between tasks is named by content.

use std::{collections::VecDeque, sync::mpsc::sync_channel, thread, time::Duration};

use tessera_proto::{Answer, Assignment, Digest, Failure, FailureKind, LeaseId, Outcome, Tensor, Work};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc,
    time::Instant,
};

use crate::halt::Halt;

/// What runs tasks: the engine with everything around it.
pub trait Runner: Send + 'static {
    /// Stores a tensor that later tasks name by its digest.
    fn keep(&mut self, digest: Digest, tensor: Tensor);

    /// Drops such a tensor.
    fn forget(&mut self, digest: Digest);

    /// Drops all such tensors.
    fn forget_all(&mut self);

    /// Runs a task.
    ///
    /// # Errors
    /// The task cannot be run, or its result is not worth sending.
    fn run(&mut self, work: Work) -> Result<Ran, Failure>;
}

/// A task that was run.
#[derive(Debug)]
pub struct Ran {
    /// Its result.
    pub answer: Answer,
    /// The time inside networks.
    pub busy: Duration,
    /// What has yet to pass of that before the result counts; see [`Engine::unspent`](crate::engine::Engine::unspent).
    pub unspent: Duration,
}

/// What the device is told.
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
    /// Nobody wants the task of this lease: it is not begun, or may be stopped at the next operator of its network. It is
    /// answered all the same, so that everyone knows when the device is free.
    Withdraw {
        /// The lease.
        lease: LeaseId,
        /// Whether it is stopped if it has begun.
        stop: bool,
    },
    /// The coordinator is gone: drop the tasks not yet begun and all kept tensors.
    Reset {
        /// Told when nothing of the past is left: the running task has ended and its outcome is out.
        done: tokio::sync::oneshot::Sender<()>,
    },
}

/// The way to the device's loop, which ends when this is dropped.
#[derive(Debug, Clone)]
pub struct Device {
    orders: mpsc::UnboundedSender<Order>,
    halt: Halt,
}

/// The device's loop is gone, which only a panic in it can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device's loop ended unexpectedly")]
pub struct Gone;

// === impl Device ===

impl Device {
    /// Builds the runner where it will run, waits until that is done, and lets it begin; each outcome goes to `outcomes`.
    /// A runner whose network calls can be ended early takes the [`Halt`].
    ///
    /// To be called where waiting is allowed, on a thread that belongs to a tokio runtime.
    ///
    /// # Errors
    /// What `build` returns, for instance a model that the engine refuses.
    ///
    /// # Panics
    /// Outside a tokio runtime, or when the system cannot start a thread.
    pub fn start<R, E>(
        build: impl FnOnce(Halt) -> Result<R, E> + Send + 'static,
        outcomes: mpsc::Sender<Outcome>,
    ) -> Result<Self, E>
    where
        R: Runner,
        E: Send + From<Gone> + 'static,
    {
        let runtime = Handle::current();
        let (orders, inbox) = mpsc::unbounded_channel();
        let halt = Halt::default();
        let way = Way { inbox, outcomes, halt: halt.clone() };
        if is_shared(&runtime) {
            runtime.spawn(serve(build(halt.clone())?, way));
            return Ok(Self { orders, halt });
        }
        let (ready, built) = sync_channel(1);
        let given = halt.clone();
        let body = move || match build(given) {
            Ok(runner) => {
                // The starter waits for this message, so it cannot be gone.
                let _ = ready.send(Ok(()));
                runtime.block_on(serve(runner, way));
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
        Ok(Self { orders, halt })
    }

    /// Tells the loop something.
    ///
    /// # Errors
    /// It is gone.
    pub fn tell(&self, order: Order) -> Result<(), Gone> {
        let stopped = match &order {
            Order::Withdraw { lease, stop: true } => Some(*lease),
            _ => None,
        };
        self.orders.send(order).map_err(|_| Gone)?;
        // After it: the loop hears of a task that is about to begin, the halt of one that has begun.
        stopped.into_iter().for_each(|lease| self.halt.stop(lease));
        Ok(())
    }
}

/// Whether the device has no thread of its own.
fn is_shared(runtime: &Handle) -> bool {
    runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// What the loop is connected to.
struct Way {
    inbox: mpsc::UnboundedReceiver<Order>,
    outcomes: mpsc::Sender<Outcome>,
    halt: Halt,
}

/// Runs tasks in the order of their arrival until all senders are gone.
async fn serve(mut runner: impl Runner, way: Way) {
    let Way { mut inbox, outcomes, halt } = way;
    let mut waiting: VecDeque<Assignment> = VecDeque::new();
    loop {
        // All that was said is heard before the next task begins, so that a withdrawn one does not.
        while waiting.is_empty() || !inbox.is_empty() || inbox.is_closed() {
            let Some(order) = inbox.recv().await else {
                // Before the outcomes' end is seen: who waits for that wants the device's memory.
                drop(runner);
                return;
            };
            obey(order, &mut runner, &mut waiting, &outcomes).await;
        }
        let Some(next) = waiting.front() else { continue };
        halt.begin(next.lease);
        // What was said before we began does not stop us, what is said from now on does.
        if !inbox.is_empty() {
            continue;
        }
        let Some(Assignment { lease, work }) = waiting.pop_front() else { continue };
        let outcome = run(&mut runner, lease, work, &halt).await;
        halt.end();
        // Outcomes of a worker that is ending go nowhere.
        let _ = outcomes.send(outcome).await;
    }
}

/// Runs a task to its end, or until it is stopped.
async fn run(runner: &mut impl Runner, lease: LeaseId, work: Work, halt: &Halt) -> Outcome {
    let started = Instant::now();
    let (result, busy) = match runner.run(work) {
        Ok(Ran { answer, busy, unspent }) => {
            pass(unspent, halt).await;
            (Ok(answer), busy)
        }
        Err(failure) => (Err(failure), started.elapsed()),
    };
    if halt.is_stopped() { void(lease, started.elapsed()) } else { Outcome { lease, busy, result } }
}

/// The answer to a task that nobody wants, and that took so long all the same.
fn void(lease: LeaseId, busy: Duration) -> Outcome {
    let message = "the task was withdrawn".to_owned();
    Outcome { lease, busy, result: Err(Failure { kind: FailureKind::Withdrawn, message }) }
}

/// Lets time pass.
async fn pass(time: Duration, halt: &Halt) {
    match is_shared(&Handle::current()) {
        _ if time.is_zero() => {}
        true => halt.wait(time).await,
        false => halt.sleep(time),
    }
}

async fn obey(
    order: Order,
    runner: &mut impl Runner,
    waiting: &mut VecDeque<Assignment>,
    outcomes: &mpsc::Sender<Outcome>,
) {
    match order {
        Order::Keep { digest, tensor } => runner.keep(digest, tensor),
        Order::Forget { digest } => runner.forget(digest),
        Order::Run(assignment) => waiting.push_back(assignment),
        Order::Withdraw { lease, .. } => {
            let before = waiting.len();
            waiting.retain(|assignment| assignment.lease != lease);
            if waiting.len() < before {
                // As above.
                let _ = outcomes.send(void(lease, Duration::ZERO)).await;
            }
        }
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
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Holds each task until the test lets it go.
    struct Gate(Receiver<()>, u64);

    impl Runner for Gate {
        fn keep(&mut self, _: Digest, _: Tensor) {}
        fn forget(&mut self, _: Digest) {}
        fn forget_all(&mut self) {}
        fn run(&mut self, _: Work) -> Result<Ran, Failure> {
            self.0.recv().unwrap();
            let answer = Answer::Tensors(Vec::new());
            Ok(Ran { answer, busy: Duration::ZERO, unspent: Duration::from_secs(self.1) })
        }
    }

    fn order(lease: u64) -> Order {
        Order::Run(Assignment { lease: LeaseId::new(lease), work: Work::Embed { texts: Vec::new() } })
    }

    /// `seconds`: what each task is said to take.
    fn started(seconds: u64) -> (Device, Sender<()>, mpsc::Receiver<Outcome>) {
        let (open, gate) = channel();
        let (report, outcomes) = mpsc::channel(8);
        let device = Device::start(move |_| Ok::<_, Gone>(Gate(gate, seconds)), report).unwrap();
        (device, open, outcomes)
    }

    async fn lease(outcomes: &mut mpsc::Receiver<Outcome>) -> u64 {
        outcomes.recv().await.unwrap().lease.get()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_withdrawn_task_is_not_begun() {
        let (device, open, mut outcomes) = started(0);
        (1..=3).for_each(|lease| device.tell(order(lease)).unwrap());
        // The first task is running or about to; the second is behind it either way.
        device.tell(Order::Withdraw { lease: LeaseId::new(2), stop: false }).unwrap();
        (0..2).for_each(|_| open.send(()).unwrap());
        let mut ended = Vec::new();
        for _ in 0..3 {
            let Outcome { lease, result, .. } = outcomes.recv().await.unwrap();
            ended.push((lease.get(), result.err().map(|failure| failure.kind)));
        }
        ended.sort_unstable_by_key(|&(lease, _)| lease);
        assert_eq!(ended, [(1, None), (2, Some(FailureKind::Withdrawn)), (3, None)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_withdrawn_task_that_runs_is_stopped() {
        let (device, open, mut outcomes) = started(3600);
        device.tell(order(1)).unwrap();
        open.send(()).unwrap();
        device.tell(order(2)).unwrap();
        open.send(()).unwrap();
        for lease in [1, 2] {
            device.tell(Order::Withdraw { lease: LeaseId::new(lease), stop: true }).unwrap();
            let ended = outcomes.recv().await.unwrap();
            assert_eq!(ended.lease.get(), lease);
            assert_eq!(ended.result.unwrap_err().kind, FailureKind::Withdrawn);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reset_leaves_nothing_of_the_past() {
        let (device, open, mut outcomes) = started(0);
        (1..=2).for_each(|lease| device.tell(order(lease)).unwrap());
        let (done, cleared) = tokio::sync::oneshot::channel();
        device.tell(Order::Reset { done }).unwrap();
        // Lease 1 may run, or be dropped before it began; either way its end comes before the answer.
        open.send(()).unwrap();
        cleared.await.unwrap();
        while let Ok(outcome) = outcomes.try_recv() {
            assert_eq!(outcome.lease.get(), 1, "lease 2 was behind it and is dropped");
        }
        device.tell(order(3)).unwrap();
        open.send(()).unwrap();
        assert_eq!(lease(&mut outcomes).await, 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_runner_that_cannot_be_built_is_an_error() {
        let build = |_| Err::<Gate, _>(Gone);
        assert_eq!(Device::start(build, mpsc::channel(1).0).unwrap_err(), Gone);
    }

    #[tokio::test]
    async fn a_withdrawn_task_is_stopped_on_a_runtime_of_one_thread() {
        tokio::time::pause();
        let (device, open, mut outcomes) = started(3600);
        device.tell(order(1)).unwrap();
        open.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        device.tell(Order::Withdraw { lease: LeaseId::new(1), stop: true }).unwrap();
        let ended = outcomes.recv().await.unwrap();
        assert!(ended.busy < Duration::from_secs(6), "{:?}", ended.busy);
        assert_eq!(ended.result.unwrap_err().kind, FailureKind::Withdrawn);
    }

    #[tokio::test]
    async fn time_passes_by_the_clock_of_a_runtime_of_one_thread() {
        tokio::time::pause();
        let (device, open, mut outcomes) = started(3600);
        let start = Instant::now();
        device.tell(order(1)).unwrap();
        open.send(()).unwrap();
        assert_eq!(lease(&mut outcomes).await, 1);
        // Its timers count milliseconds.
        let late = start.elapsed().saturating_sub(Duration::from_secs(3600));
        assert!(Duration::from_secs(3600) <= start.elapsed() && late <= Duration::from_millis(1), "{late:?}");
    }
}
