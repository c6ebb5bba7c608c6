//! Our errors as gRPC statuses: the one match.

use tessera_proto::{ContentHash, ConvertError, JobId};
use tonic::Status;

use crate::{
    actor, render, security,
    store::{DatabaseError, ModelsError},
};

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
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error("a blob has at most {limit} bytes, this one {size}")]
    BlobSize { size: u64, limit: u64 },
    #[error("the blob {hash} was announced with {announced} bytes, {received} came")]
    BlobShort { hash: ContentHash, announced: u64, received: u64 },
    #[error("what came as the blob {hash} has another content: push the model again")]
    BlobContent { hash: ContentHash },
    #[error("nothing more of the blob {hash} came within {seconds} s")]
    BlobLate { hash: ContentHash, seconds: u64 },
    #[error("too many blobs are being received ({limit} at a time): try again later")]
    BlobBusy { limit: usize },
    #[error(
        "job {job} is done by another coordinator, which shares this one's database: ask that one while it runs"
    )]
    Elsewhere { job: JobId },
    #[error(transparent)]
    Table(#[from] DatabaseError),
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
            Error::Models(ModelsError::Unknown { .. }) => Self::not_found(text),
            Error::Models(ModelsError::Lacking { .. } | ModelsError::Damaged { .. }) => {
                Self::failed_precondition(text)
            }
            Error::Models(ModelsError::Io(_)) => Self::internal(text),
            Error::BlobLate { .. } => Self::deadline_exceeded(text),
            Error::Actor(actor::Error::Queue { .. } | actor::Error::Full { .. }) | Error::BlobBusy { .. } => {
                Self::resource_exhausted(text)
            }
            Error::Actor(actor::Error::NoArtifact { .. }) => Self::failed_precondition(text),
            Error::Actor(actor::Error::NotDone { .. }) => Self::aborted(text),
            Error::Actor(actor::Error::WhichModel { .. } | actor::Error::Plan(_))
            | Error::Message(_)
            | Error::Missing(_)
            | Error::Target { .. }
            | Error::BlobSize { .. }
            | Error::BlobShort { .. }
            | Error::BlobContent { .. }
            | Error::User { .. }
            | Error::Registry(
                security::RegistryError::Name { .. }
                | security::RegistryError::Authority(security::AuthorityError::Request(_)),
            )
            | Error::Source(_) => Self::invalid_argument(text),
            Error::Actor(actor::Error::Stopping | actor::Error::Store { .. }) => Self::unavailable(text),
            Error::NoSecurity | Error::Elsewhere { .. } => Self::failed_precondition(text),
            Error::Table(_) => Self::unavailable(text),
            Error::NotOwner { .. } => Self::permission_denied(text),
            Error::Registry(security::RegistryError::Store { .. }) => Self::unavailable(text),
            Error::Artifact(_) | Error::Background | Error::Registry(_) => Self::internal(text),
        }
    }
}
