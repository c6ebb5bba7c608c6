//! What happens in one simulation: a seed in; workers, jobs and misfortunes, each with its time, out.

use std::time::Duration;

use crate::{draw::Draw, picture::PICTURES};

/// Longest time in which a fault begins.
const BEGIN: u64 = 1500;

/// One simulation.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Of turmoil's own draws.
    pub(crate) seed: u64,
    /// How long a message takes at least and at most.
    pub(crate) latency: [Duration; 2],
    pub(crate) workers: Vec<Machine>,
    pub(crate) asks: Vec<Ask>,
    pub(crate) faults: Vec<Fault>,
    /// Jobs of one user that run at a time.
    pub(crate) user_jobs: Option<usize>,
}

/// A worker.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// As `--device` takes it.
    pub(crate) device: String,
    /// When it first looks for the coordinator.
    pub(crate) joins: Duration,
}

/// A job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// Which picture.
    pub(crate) picture: usize,
    /// Number of its user.
    pub(crate) user: u64,
    pub(crate) urgent: bool,
    pub(crate) at: Duration,
    pub(crate) cancelled: Option<Duration>,
}

/// A misfortune of one worker, and its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Number of the worker, from 0.
    pub(crate) worker: usize,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
}

/// What goes wrong between the coordinator and a worker, or with the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages wait, and come at last.
    Hold,
    /// Messages are lost both ways, and with them the connection.
    Partition,
    /// Those to the worker are lost.
    Deaf,
    /// Those of the worker are lost.
    Mute,
    /// The worker dies and its system says so; it is started again.
    Crash,
    /// The worker dies with its network; it is started again.
    Vanish,
    /// Messages take a quarter of a second.
    Lag,
}

// === impl Scenario ===

impl Scenario {
    /// One picture on one worker, and nothing goes wrong.
    pub(crate) fn calm(picture: usize) -> Self {
        let latency = [Duration::from_millis(1); 2];
        let worker = Machine { device: "sim:20".to_owned(), joins: Duration::ZERO };
        let ask = Ask { picture, user: 0, urgent: false, at: Duration::ZERO, cancelled: None };
        Self { seed: 0, latency, workers: vec![worker], asks: vec![ask], faults: Vec::new(), user_jobs: None }
    }

    /// What the seed makes.
    pub(crate) fn of(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let most = draw.one(&[2, 5, 20, 60]);
        let workers: Vec<_> = (0..draw.number(1, 5)).map(|number| machine(&mut draw, number)).collect();
        let asks = (0..draw.number(1, 3)).map(|number| ask(&mut draw, number)).collect();
        let mut faults: Vec<Fault> = Vec::new();
        // A task that loses five workers fails its job, and rightly.
        for _ in 0..draw.number(0, 3) {
            let fault = fault(&mut draw, workers.len());
            // One misfortune at a time for each worker.
            let before = faults.iter().filter(|other| other.worker == fault.worker).map(|other| other.end);
            let shift = before.max().unwrap_or_default();
            faults.push(Fault { begin: fault.begin + shift, end: fault.end + shift, ..fault });
        }
        Self {
            seed,
            latency: [Duration::from_millis(1), Duration::from_millis(most)],
            workers,
            asks,
            faults,
            user_jobs: draw.chance(25).then_some(1),
        }
    }
}

/// The first worker is there from the start more often than not.
fn machine(draw: &mut Draw, number: u64) -> Machine {
    let ms = draw.one(&[5, 20, 20, 20, 60]);
    let jitter = if draw.chance(30) { "~0.3/0.05x5" } else { "" };
    let tired = if draw.chance(15) { format!("@{}x20", draw.number(0, 30)) } else { String::new() };
    let joins =
        if draw.chance(if number == 0 { 20 } else { 40 }) { draw.ms(0, 1000) } else { Duration::ZERO };
    Machine { device: format!("sim:{ms}{jitter}{tired}#{number}"), joins }
}

fn ask(draw: &mut Draw, number: u64) -> Ask {
    let last = u64::try_from(PICTURES - 1).expect("a few pictures");
    let at = if number == 0 { Duration::ZERO } else { draw.ms(0, 600) };
    Ask {
        picture: usize::try_from(draw.number(0, last)).expect("a few pictures"),
        user: draw.number(0, 1),
        urgent: draw.chance(30),
        at,
        // The first job is seen to its end, so that there is always something to compare.
        cancelled: (0 < number && draw.chance(50)).then(|| at + draw.ms(0, 1500)),
    }
}

fn fault(draw: &mut Draw, workers: usize) -> Fault {
    let kinds = [
        Kind::Hold,
        Kind::Partition,
        Kind::Deaf,
        Kind::Mute,
        Kind::Crash,
        Kind::Crash,
        Kind::Vanish,
        Kind::Lag,
    ];
    let last = u64::try_from(workers - 1).expect("a few workers");
    let begin = draw.ms(0, BEGIN);
    Fault {
        kind: draw.one(&kinds),
        worker: usize::try_from(draw.number(0, last)).expect("a few workers"),
        begin,
        end: begin + draw.ms(50, 3000),
    }
}
