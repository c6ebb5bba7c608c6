//! Where work runs that takes too long for a thread that moves bytes: closures and loops in, threads for them.
//!
//! A runtime of many threads has others to spare. Who chooses a runtime of one thread gets everything on that one, each
//! piece of work at once and to its end: a simulation, whose clock stands meanwhile, then sees the same events in the same
//! order every time.

use std::{future::Future, thread};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::JoinHandle,
};

/// Runs a piece of work to its end.
pub(crate) fn compute<T: Send + 'static>(
    runtime: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => runtime.spawn(async { work() }),
        _ => runtime.spawn_blocking(work),
    }
}

/// Runs a loop that works between its waits, on a thread of its own called `name`.
///
/// # Panics
/// The system cannot start a thread.
pub(crate) fn reside(runtime: &Handle, name: &str, body: impl Future<Output = ()> + Send + 'static) {
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        runtime.spawn(body);
        return;
    }
    let entered = runtime.clone();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || entered.block_on(body))
        .expect("the system can start one more thread");
}
