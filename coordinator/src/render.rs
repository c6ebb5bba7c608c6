//! Rendering one job: a specification and a model's facts in, tasks out, their results in, at last the files out. Pure.
//!
//! [`Plan`] settles everything that can be known beforehand; [`Job`] is the state machine that walks through it. Neither
//! knows of workers, of the network or of the time.

mod checkpoint;
mod class;
mod compute;
mod conditioning;
mod course;
mod decode;
mod decoding;
mod encode;
mod encoding;
mod error;
mod event;
mod exact;
mod exact_encode;
mod gather;
mod job;
mod metadata;
pub mod pass;
pub mod plan;
mod posterior;
mod reduced;
mod rounds;
mod source;
mod stepped;
mod surface;
mod upscale;

pub use checkpoint::{Checkpoint, CheckpointError, Mark};
pub use course::{Course, Leg, Steps};
pub use error::Error;
pub use event::{Action, Computation, Computed, Event, Output, PictureFile, Request};
pub use job::{Job, Place, Progress};
pub use plan::{Error as PlanError, Plan, StageSummary, Summary, Unit};
pub use source::{Error as SourceError, Given, Source};
