//! Tessera's contract: wire messages, validated domain types, and the one place that converts between them.
//!
//! # Layout
//! - [`wire`]: what protobuf generates from `proto/*.proto`; named only in [`convert`](mod@self), in the coordinator's
//!   `rpc/`, in the worker's `link.rs` and in the cli's client.
//! - `convert`: wire to domain (fallible, every field looked at) and back.
//! - the rest: domain types. Those with private fields have been checked once and are not checked again.

mod convert;
mod digest;
pub mod facts;
mod id;
pub mod job;
pub mod limits;
pub mod manifest;
mod message;
mod moments;
mod rect;
mod speed;
mod status;
mod task;
mod tensor;
pub mod wire;

pub use convert::Error as ConvertError;
pub use digest::Digest;
pub use facts::ModelFacts;
pub use id::{InvalidJobId, JobId, LeaseId, WorkerId};
pub use job::JobSpec;
pub use manifest::{ContentHash, Manifest, ModelFile, RegisteredModel};
pub use message::{CONTRACT, FetchFailure, FromWorker, Hello, ToWorker};
pub use moments::{Affine, Error as MomentsError, GroupNorm, Moments};
pub use rect::{Error as RectError, Rect};
pub use speed::{Class, Kind, Speed};
pub use status::{
    Artifact, FailureClass, JobEvent, JobFailure, JobHistory, JobState, JobStatus, Stage, WorkerStatus,
};
pub use task::{Answer, Assignment, Failure, FailureKind, Guidance, Outcome, Part, Segment, Source, Work};
pub use tensor::{Error as TensorError, Tensor};
