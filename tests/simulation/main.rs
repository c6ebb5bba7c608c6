//! The whole cluster in one thread, thousands of times: coordinator, workers and users over real gRPC on turmoil's network,
//! by turmoil's clock, with misfortunes drawn from a seed.

#![cfg(test)]

mod draw;
mod network;
mod picture;
mod scenario;
mod stage;
mod user;

use std::{
    env,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use picture::PICTURES;
use scenario::{Ask, Scenario};
use stage::Played;
use tessera_proto::JobState;

/// Seeds in one run: some 100 s on two cores.
const SEEDS: u64 = 2000;

/// The file that one worker makes when nothing goes wrong.
fn reference(picture: usize) -> &'static [u8] {
    static FILES: [OnceLock<Vec<u8>>; PICTURES] = [const { OnceLock::new() }; PICTURES];
    FILES[picture].get_or_init(|| {
        let played = stage::play(&Scenario::calm(picture)).expect("nothing goes wrong");
        let ending = played.endings.into_iter().next().expect("one job");
        assert_eq!(ending.state, JobState::Done, "{:?}", ending.failure);
        ending.file.expect("a job that is done has a file")
    })
}

/// Plays a seed. What must hold whatever happened: every job ends, as it was asked to; it is whole and as it should be, or
/// not there at all; nothing of it is left.
fn hold(scenario: &Scenario) -> Result<Played, String> {
    let played = stage::play(scenario)?;
    for (ask, ending) in scenario.asks.iter().zip(&played.endings) {
        let Ask { picture, cancelled, .. } = *ask;
        match (ending.state, &ending.file) {
            (JobState::Done, Some(file)) if file == reference(picture) => {}
            (JobState::Done, _) => return Err(format!("picture {picture} is not what one worker makes")),
            (JobState::Cancelled, None) if cancelled.is_some() => {}
            (state, _) => return Err(format!("{ask:?} ended as {state:?}: {:?}", ending.failure)),
        }
        if let Some(wrong) = ending.history.iter().find(|(.., done, total)| total < done) {
            return Err(format!("{ask:?} had more tasks done than it has: {wrong:?}"));
        }
    }
    let done = played.endings.iter().filter(|ending| ending.state == JobState::Done).count();
    let files = &played.files;
    if files.len() != done || files.iter().any(|name| !name.ends_with(".png")) {
        return Err(format!("{done} jobs are done, and these files are there: {files:?}"));
    }
    Ok(played)
}

/// A seed's failure, and how to see it again.
fn report(seed: u64, fault: &str) -> String {
    let scenario = Scenario::of(seed);
    format!(
        "seed {seed}: {fault}\n  {scenario:?}\n  again: TESSERA_SEED={seed} cargo test --workspace --test simulation thousands"
    )
}

/// Plays all seeds on all cores; returns how long they took by their own clocks, or what went wrong first.
fn play_all(seeds: u64) -> Result<Duration, String> {
    let (next, failed, took) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seeds <= seed {
                break;
            }
            match hold(&Scenario::of(seed)) {
                Ok(played) => {
                    let ms = u64::try_from(played.took.as_millis()).unwrap_or(u64::MAX);
                    took.fetch_add(ms, Ordering::Relaxed);
                }
                Err(fault) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(report(seed, &fault));
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the report says what is wrong"))
    })?;
    Ok(Duration::from_millis(took.into_inner()))
}

/// What a failure prints is worth something only if it can be seen again.
#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..SEEDS / 100 {
        let [first, second] = [(); 2].map(|()| hold(&Scenario::of(seed)).expect("the seed holds"));
        assert_eq!(first.took, second.took, "seed {seed} takes another time");
        let histories = [&first, &second].map(|played| {
            let histories = played.endings.iter().map(|ending| (&ending.history, ending.state));
            histories.collect::<Vec<_>>()
        });
        assert_eq!(histories[0], histories[1], "seed {seed} has another history");
    }
}

#[test]
fn thousands_of_misfortunes_change_no_byte() {
    if let Some(seed) = env::var("TESSERA_SEED").ok().map(|text| text.parse().expect("a number")) {
        // RUST_LOG says what is shown.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let played = hold(&Scenario::of(seed)).unwrap_or_else(|fault| panic!("{}", report(seed, &fault)));
        println!("seed {seed} holds, {:?} by its own clock", played.took);
        return;
    }
    let seeds = env::var("TESSERA_SEEDS").map_or(SEEDS, |text| text.parse().expect("a number"));
    let start = Instant::now();
    let took = play_all(seeds).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{seeds} seeds, {took:?} by their own clocks, in {:?}", start.elapsed());
}
