//! What strangers send, damaged in all ways: valid input in, as many damaged pieces of it as fit into a while out.
//!
//! A target takes a few seconds, or `$TESSERA_FUZZ_SECONDS` where that is set; what fails is made as small as it goes and
//! printed.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};

/// Time for one target, where nothing else is said.
const TIME: Duration = Duration::from_secs(5);

/// Pieces of damage that are drawn at a time.
const CASES: u32 = 256;

/// Feeds damaged seeds to a target: one of them, perhaps cut off, with some bytes that are others.
///
/// # Panics
/// The target does.
pub fn damage(seeds: &[Vec<u8>], target: impl Fn(Vec<u8>)) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let edits = vec((any::<u32>(), any::<u8>()), 0..12);
    let cut = proptest::option::weighted(0.3, any::<u32>());
    let until = Instant::now() + time();
    while Instant::now() < until {
        let run = runner.run(&(0..seeds.len(), &cut, &edits), |(seed, cut, edits)| {
            let mut bytes = seeds[seed].clone();
            let place = |bytes: &[u8], at: u32| at as usize % bytes.len().max(1);
            if let Some(at) = cut {
                bytes.truncate(place(&bytes, at));
            }
            for (at, byte) in edits {
                let at = place(&bytes, at);
                bytes.get_mut(at).into_iter().for_each(|place| *place = byte);
            }
            target(bytes);
            Ok(())
        });
        run.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Asserts that a refusal is one line that says something.
///
/// # Panics
/// It is not.
pub fn refused<T>(result: Result<T, impl Display>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 4096 && !text.contains('\n'), "{text:?}");
    }
}

fn time() -> Duration {
    let seconds = std::env::var("TESSERA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(TIME, Duration::from_secs)
}
