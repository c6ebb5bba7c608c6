//! What strangers send, damaged in all ways: nothing may panic, hang or eat memory, and what is refused has a sentence.
//!
//! A target damages valid input byte by byte, see [`tessera_tests::fuzz`]; that of job files stands beside their parser.

mod seeds;

use bytes::Bytes;
use prost::Message;
use tessera_coordinator::{latent::Latent, picture, prompt::Prompt};
use tessera_proto::{FromWorker, JobSpec, JobStatus, ToWorker, wire};
use tessera_tests::fuzz::{damage, refused};
use tessera_worker::graph::Model;

/// Pixels of the largest picture that a damaged header may ask for here.
const PIXELS: u64 = 1 << 20;

#[test]
fn damaged_prompts() {
    damage(&seeds::prompts(), |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        refused(Prompt::positive(&text));
        refused(Prompt::negative(&text));
    });
}

#[test]
fn damaged_pictures() {
    damage(&seeds::pictures(), |bytes| refused(picture::decode(&bytes, PIXELS)));
}

#[test]
fn damaged_latents() {
    damage(&seeds::latents(), |bytes| refused(Latent::read(&bytes)));
}

#[test]
fn damaged_messages() {
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
fn damaged_graphs() {
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
