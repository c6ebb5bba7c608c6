//! Our errors as gRPC statuses: the one match.

use tessera_proto::ConvertError;
use tonic::Status;

use crate::{actor, latent, picture};

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Actor(#[from] actor::Error),
    #[error(transparent)]
    Message(#[from] ConvertError),
    #[error("message field {0} is missing")]
    Missing(&'static str),
    #[error("the input image cannot be used: {0}")]
    Image(#[from] picture::decode::Error),
    #[error("the latent cannot be used: {0}")]
    Latent(#[from] latent::Error),
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
            | Error::Image(_)
            | Error::Latent(_) => Self::invalid_argument(text),
            Error::Actor(actor::Error::Stopping) => Self::unavailable(text),
            Error::Artifact(_) | Error::Background => Self::internal(text),
        }
    }
}
