//! Our errors as gRPC statuses: the one match.

use tessera_proto::ConvertError;
use tonic::Status;

use crate::{actor, render};

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Actor(#[from] actor::Error),
    #[error(transparent)]
    Message(#[from] ConvertError),
    #[error("message field {0} is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Source(#[from] render::SourceError),
    #[error("an artifact cannot be read: {0}")]
    Artifact(#[from] std::io::Error),
    #[error("a background task ended unexpectedly")]
    Background,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Actor(actor::Error::UnknownJob { .. }) => Self::not_found(text),
            Error::Actor(actor::Error::NoArtifact { .. }) => Self::failed_precondition(text),
            Error::Actor(actor::Error::WhichModel { .. } | actor::Error::Plan(_))
            | Error::Message(_)
            | Error::Missing(_)
            | Error::Source(_) => Self::invalid_argument(text),
            Error::Actor(actor::Error::Stopping | actor::Error::Store { .. }) => Self::unavailable(text),
            Error::Artifact(_) | Error::Background => Self::internal(text),
        }
    }
}
