//! What strangers send, damaged in all ways: nothing may panic, hang or eat memory, and what is refused has a sentence.
//!
//! Each target takes valid input apart byte by byte, for a few seconds here and for `$TESSERA_FUZZ_SECONDS` where that is
//! set; what fails is made as small as it goes and printed.

mod seeds;

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, TestRunner},
};
use prost::Message;
use tessera_coordinator::{latent::Latent, picture, prompt::Prompt};
use tessera_proto::{FromWorker, JobSpec, JobStatus, ToWorker, wire};
use tessera_worker::graph::Model;

/// Time for one target, where nothing else is said.
const TIME: Duration = Duration::from_secs(5);

/// Pixels of the largest picture that a damaged header may ask for here.
const PIXELS: u64 = 1 << 20;

/// Pieces of damage that are drawn at a time.
const CASES: u32 = 256;

fn time() -> Duration {
    let seconds = std::env::var("TESSERA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(TIME, Duration::from_secs)
}

/// Feeds damaged seeds to a target: one of them, perhaps cut off, with some bytes that are others.
fn damage(seeds: &[Vec<u8>], target: impl Fn(Vec<u8>)) {
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

/// A refusal is one line that says something.
fn refused<T>(result: Result<T, impl Display>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 4096 && !text.contains('\n'), "{text:?}");
    }
}

#[test]
fn prompts() {
    damage(&seeds::prompts(), |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        refused(Prompt::positive(&text));
        refused(Prompt::negative(&text));
    });
}

#[test]
fn pictures() {
    damage(&seeds::pictures(), |bytes| refused(picture::decode(&bytes, PIXELS)));
}

#[test]
fn latents() {
    damage(&seeds::latents(), |bytes| refused(Latent::read(&bytes)));
}

#[test]
fn messages() {
    damage(&seeds::messages(), |bytes| {
        if let Ok(message) = wire::JobSpec::decode(bytes.as_slice()) {
            refused(JobSpec::try_from(message));
        }
        if let Ok(message) = wire::FromWorker::decode(bytes.as_slice()) {
            refused(FromWorker::try_from(message));
        }
        if let Ok(message) = wire::ToWorker::decode(bytes.as_slice()) {
            refused(ToWorker::try_from(message));
        }
        refused(JobSpec::from_bytes(&bytes));
        refused(JobStatus::from_bytes(&bytes));
    });
}

#[test]
fn graphs() {
    damage(&seeds::graphs(), |bytes| match Model::parse(Bytes::from(bytes)) {
        Ok(model) => {
            assert!(model.external_files().iter().all(|name| is_plain(name)), "{:?}", model.external_files())
        }
        Err(error) => refused(Err::<(), _>(error)),
    });
}

/// Whether a name stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}
