//! Our errors as gRPC statuses: the one match.

use tessera_proto::{ConvertError, JobId};
use tonic::Status;

use crate::{actor, render, security};

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
    #[error("target {text:?} of the trigger is no number above 0")]
    Target { text: String },
    #[error("a background task ended unexpectedly")]
    Background,
    #[error("this coordinator asks for no certificates: connect with http://")]
    NoSecurity,
    #[error(transparent)]
    Registry(#[from] security::RegistryError),
    #[error("this token is {name}'s, whose jobs are too: leave --user {asked:?} out")]
    User { name: String, asked: String },
    #[error("job {job} is not {name}'s: its owner or an admin may do this")]
    NotOwner { job: JobId, name: String },
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Actor(actor::Error::UnknownJob { .. } | actor::Error::UnknownWorker { .. }) => {
                Self::not_found(text)
            }
            Error::Actor(actor::Error::Queue { .. } | actor::Error::Full { .. }) => {
                Self::resource_exhausted(text)
            }
            Error::Actor(actor::Error::NoArtifact { .. }) => Self::failed_precondition(text),
            Error::Actor(actor::Error::WhichModel { .. } | actor::Error::Plan(_))
            | Error::Message(_)
            | Error::Missing(_)
            | Error::Target { .. }
            | Error::User { .. }
            | Error::Registry(
                security::RegistryError::Name { .. }
                | security::RegistryError::Authority(security::AuthorityError::Request(_)),
            )
            | Error::Source(_) => Self::invalid_argument(text),
            Error::Actor(actor::Error::Stopping | actor::Error::Store { .. }) => Self::unavailable(text),
            Error::NoSecurity => Self::failed_precondition(text),
            Error::NotOwner { .. } => Self::permission_denied(text),
            Error::Registry(security::RegistryError::Store { .. }) => Self::unavailable(text),
            Error::Artifact(_) | Error::Background | Error::Registry(_) => Self::internal(text),
        }
    }
}
