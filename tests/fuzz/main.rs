//! What strangers send, damaged in all ways: nothing may panic, hang or eat memory, and what is refused has a sentence.
//!
//! Each target takes valid input apart byte by byte, for a few seconds here and for `$TESSERA_FUZZ_SECONDS` where that is
//! set. `cargo bolero test --package tessera-tests fuzz::NAME` lets libFuzzer look for new paths instead, for as long as one
//! likes.

mod seeds;

use std::{fmt::Display, time::Duration};

use bolero::check;
use bytes::Bytes;
use prost::Message;
use tessera_coordinator::{latent::Latent, picture, prompt::Prompt};
use tessera_proto::{FromWorker, JobSpec, JobStatus, ToWorker, wire};
use tessera_worker::graph::Model;

/// Time for one target, where nothing else is said.
const TIME: Duration = Duration::from_secs(5);

/// Pixels of the largest picture that a damaged header may ask for here.
const PIXELS: u64 = 1 << 20;

/// Which seed, how much of it, and bytes of it that are others.
type Damage = (u8, u16, Vec<(u16, u8)>);

fn time() -> Duration {
    let seconds = std::env::var("TESSERA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(TIME, Duration::from_secs)
}

/// Feeds damaged seeds to a target.
fn damage(seeds: &[Vec<u8>], target: impl Fn(Vec<u8>) + std::panic::RefUnwindSafe) {
    assert!(!seeds.is_empty(), "there is something to damage");
    check!().with_type::<Damage>().cloned().with_test_time(time()).for_each(|(which, length, edits)| {
        let mut bytes = seeds[usize::from(which) % seeds.len()].clone();
        if length % 4 == 0 {
            bytes.truncate(usize::from(length / 4) % (bytes.len() + 1));
        }
        for (at, byte) in edits {
            let end = bytes.len();
            if let Some(place) = bytes.get_mut(usize::from(at) % end.max(1)) {
                *place = byte;
            }
        }
        target(bytes);
    });
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
