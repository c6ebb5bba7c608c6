//! What goes over the wire comes back the same; what is missing or wrong is named.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    Answer, Assignment, Class, ContentHash, Digest, Failure, FailureKind, FetchFailure, FromWorker, Guidance,
    Hello, JobSpec, Kind, LeaseId, ModelFacts, Moments, Outcome, Part, Rect, Segment, Source, Speed, Tensor,
    ToWorker, Work, WorkerId, WorkerStatus,
    job::{self, Size, Target},
    wire,
};

fn tensor() -> Tensor {
    Tensor::new([1, 2, 1, 2], vec![0.0, -1.5, f32::MIN_POSITIVE, 3.0e8]).unwrap()
}

fn moments() -> Moments {
    Moments::new(12, vec![0.1, -1e300], vec![f64::MIN_POSITIVE, 2.0]).unwrap()
}

fn works() -> Vec<Work> {
    let guidance =
        Guidance { cfg_scale: 7.5, uncond: Digest::of(&tensor()), conds: vec![(0.5, Digest::new([7; 32]))] };
    let texts = vec![vec![Segment::Text { text: "a cat".into(), weight: 1.1 }, Segment::Break], vec![]];
    vec![
        Work::Embed { texts },
        Work::Denoise { tiles: tensor(), input_scale: 0.068, timestep: 998.75, guidance },
        Work::Encode { image: tensor() },
        Work::Decode { latent: tensor() },
        Work::Upscale { network: "anime6b".into(), image: tensor(), keep: Rect::new(0, 0, 2, 1).unwrap() },
        Work::Advance {
            part: Part::Encoder,
            canvas: Size { width: 64, height: 48 },
            sources: vec![Source { place: Rect::new(0, 0, 5, 6).unwrap(), digest: Digest::new([8; 32]) }],
            core: Rect::new(1, 2, 3, 4).unwrap(),
            known: vec![moments()],
        },
        Work::Measure { part: Part::Decoder, input: tensor() },
    ]
}

#[test]
fn every_work_survives_the_wire() {
    for work in works() {
        let sent = ToWorker::Assign(Assignment { lease: LeaseId::new(9), work });
        let bytes = wire::ToWorker::from(sent.clone()).encode_to_vec();
        let received = ToWorker::try_from(wire::ToWorker::decode(Bytes::from(bytes)).unwrap()).unwrap();
        assert_eq!(format!("{sent:?}"), format!("{received:?}"));
    }
}

#[test]
fn outcomes_survive_the_wire() {
    let failure = Failure { kind: FailureKind::NotFinite, message: "the UNet returned NaN".into() };
    for result in [
        Ok(Answer::Tensors(vec![tensor(), tensor()])),
        Ok(Answer::Moments(moments())),
        Ok(Answer::Statistics(vec![moments(), moments()])),
        Err(failure),
    ] {
        let sent = Outcome { lease: LeaseId::new(3), busy: Duration::from_micros(1234), result };
        let received =
            FromWorker::try_from(wire::FromWorker::from(FromWorker::Outcome(sent.clone()))).unwrap();
        assert_eq!(format!("{:?}", FromWorker::Outcome(sent)), format!("{received:?}"));
    }
}

#[test]
fn a_result_that_was_damaged_on_its_way_is_known() {
    let result = Ok(Answer::Tensors(vec![tensor()]));
    let sent = Outcome { lease: LeaseId::new(3), busy: Duration::ZERO, result };
    let mut message = wire::Outcome::from(sent);
    let Some(wire::outcome::Result::Tensors(tensors)) = &mut message.result else { panic!("tensors") };
    let mut bytes = tensors.tensors[0].data.to_vec();
    bytes[0] ^= 1;
    tensors.tensors[0].data = bytes.into();
    let received = Outcome::try_from(message.clone()).unwrap();
    assert_eq!(received.result.unwrap_err().kind, FailureKind::Damaged);
    message.checksum = None;
    let error = Outcome::try_from(message).unwrap_err().to_string();
    assert!(error.contains("outcome.checksum"), "{error}");
}

#[test]
fn facts_survive_the_wire_and_versions_must_agree() {
    let failures = vec![FetchFailure { model: ContentHash::new([3; 32]), message: "no room".into() }];
    let model = Some(ModelFacts::simulated());
    let hello = Hello { name: "a".into(), device: "cpu".into(), model, fetches: true, failures };
    let message = wire::FromWorker::from(FromWorker::Hello(Box::new(hello.clone())));
    let Some(wire::from_worker::Message::Hello(mut message)) = message.message else { panic!("not a hello") };
    assert_eq!(Hello::try_from(message.clone()), Ok(hello));
    message.model = None;
    assert_eq!(Hello::try_from(message.clone()).unwrap().model, None, "it may come later");
    message.fetches = false;
    let error = Hello::try_from(message.clone()).unwrap_err().to_string();
    assert!(error.contains("hello.model"), "{error}");
    message.contract = 0;
    assert!(Hello::try_from(message).unwrap_err().to_string().contains("contract version 0"));
}

#[test]
fn a_job_survives_the_wire() {
    let mut draft = job::Draft::text_to_image("a (red:1.2) house");
    draft.target = Target::Size(Size { width: 1024, height: 768 });
    draft.tile = Some(Size { width: 96, height: 64 });
    draft.overlap = Some(0);
    draft.model = job::ModelRef::Hash([9; 32]);
    draft.seed = u64::MAX;
    draft.upscaler = job::Upscaler::Network("anime6b".to_owned());
    draft.upscale_tile = Some(0);
    draft.format = job::Format::Tiff(job::format::Depth::Sixteen);
    let spec = JobSpec::new(draft).unwrap();
    assert_eq!(JobSpec::try_from(wire::JobSpec::from(spec.clone())), Ok(spec));
}

#[test]
fn formats_survive_the_wire_and_have_defaults_there() {
    use job::format::{Depth, Format, Quality};
    use wire::output_format::{Jpeg, Kind, Png};
    let jpeg = Format::Jpeg(Quality::new(7).unwrap());
    for format in [Format::Png(Depth::Sixteen), Format::Png(Depth::Eight), jpeg, Format::WebP] {
        assert_eq!(Format::try_from(wire::OutputFormat::from(format)), Ok(format));
    }
    let read = |kind| Format::try_from(wire::OutputFormat { kind });
    assert_eq!(read(Some(Kind::Png(Png { bits: None }))), Ok(Format::default()));
    assert_eq!(read(Some(Kind::Jpeg(Jpeg { quality: None }))), Ok(Format::Jpeg(Quality::default())));
    assert_eq!(read(None), Err(Error::Missing { field: "output_format.kind" }));
    let bits = Err(Error::Range { field: "output_format.bits" });
    assert_eq!(read(Some(Kind::Png(Png { bits: Some(12) }))), bits);
    let quality = Err(Error::Range { field: "output_format.jpeg.quality" });
    assert_eq!(read(Some(Kind::Jpeg(Jpeg { quality: Some(257) }))), quality);
    let mut spec = wire::JobSpec::from(JobSpec::new(job::Draft::text_to_image("")).unwrap());
    spec.format = None;
    assert_eq!(JobSpec::try_from(spec).unwrap().format, Format::default());
}

#[test]
fn what_is_missing_is_named() {
    let missing = |message: wire::ToWorker| ToWorker::try_from(message).unwrap_err().to_string();
    assert_eq!(missing(wire::ToWorker { message: None }), "message field to_worker.message is missing");
    let assign = wire::to_worker::Message::Assign(wire::Assign { lease: 1, work: None });
    assert_eq!(missing(wire::ToWorker { message: Some(assign) }), "message field assign.work is missing");
    let mut spec = wire::JobSpec::from(JobSpec::new(job::Draft::text_to_image("")).unwrap());
    spec.sampler = 0;
    assert_eq!(JobSpec::try_from(spec.clone()), Err(Error::Missing { field: "sampler" }));
    spec.sampler = 99;
    assert_eq!(JobSpec::try_from(spec), Err(Error::Unknown { field: "sampler", value: 99 }));
}

#[test]
fn a_tensor_that_lies_about_its_size_allocates_nothing() {
    let message = wire::Tensor { shape: vec![1 << 40, 1 << 10], data: Bytes::from_static(&[0; 8]) };
    assert!(Tensor::try_from(message).is_err());
    let message = wire::Tensor { shape: vec![2], data: Bytes::from_static(&[0; 9]) };
    assert!(Tensor::try_from(message).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = wire::ToWorker::decode(bytes.as_slice()) {
            let _ = ToWorker::try_from(message);
        }
        if let Ok(message) = wire::FromWorker::decode(bytes.as_slice()) {
            let _ = FromWorker::try_from(message);
        }
        if let Ok(message) = wire::JobSpec::decode(bytes.as_slice()) {
            let _ = JobSpec::try_from(message);
        }
    }
}

#[test]
fn workers_and_what_they_take_survive_the_wire() {
    let class = Class { kind: Kind::Denoise, part: 2, shape: [1, 4, 96, 64] };
    let sent = WorkerStatus {
        worker: WorkerId::new(7),
        name: "a".into(),
        device: "cuda:0".into(),
        model_name: "sim".into(),
        model_hash: "00".into(),
        tasks_in_hand: 1,
        tasks_done: 9,
        last_seen_ms: 3,
        speeds: vec![Speed { class, took: Duration::from_micros(86_123) }, Speed::default()],
        draining: true,
        quarantine: Some("its device is at fault".into()),
        model: Some(ModelFacts::simulated()),
        fetches: true,
        fetching: Some(ContentHash::new([5; 32])),
        failure: Some("no room".into()),
    };
    let message = wire::WorkerStatus::from(sent.clone());
    assert_eq!(WorkerStatus::try_from(message.clone()), Ok(sent));
    let refused = |change: fn(&mut wire::WorkerStatus)| {
        let mut message = message.clone();
        change(&mut message);
        WorkerStatus::try_from(message).unwrap_err().to_string()
    };
    let no_model = refused(|message| (message.model, message.fetches) = (None, false));
    assert_eq!(no_model, "message field worker_status.model is missing");
    let no_hash = refused(|message| message.fetching = "../x".into());
    assert!(no_hash.contains("is no content hash"), "{no_hash}");
    assert_eq!(
        refused(|message| message.speeds[0].shape.push(1)),
        "message field speed.shape is out of range"
    );
    assert_eq!(refused(|message| message.speeds[0].kind = 0), "message field kind is missing");
}
