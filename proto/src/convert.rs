//! Wire messages to domain types and back: the one place where both are named.
//!
//! Towards the domain every field is destructured, so that a new field of the contract breaks the build until someone
//! decides about it; a missing one is an error that names it.

mod choice;
mod facts;
mod fleet;
mod format;
mod job;
mod manifest;
mod record;
mod status;
mod tensor;
mod work;
mod worker;

use crate::{
    facts as domain_facts, id, job as domain_job, manifest as domain_manifest, tensor as domain_tensor,
};

/// Why a message is not acceptable.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A field that must be there is not.
    #[error("message field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// An enum's number that this contract does not know.
    #[error("message field {field} has the unknown value {value}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// The number received.
        value: i32,
    },
    /// A number or length out of what the field can mean.
    #[error("message field {field} is out of range")]
    Range {
        /// The field.
        field: &'static str,
    },
    /// The other side speaks another version of the contract.
    #[error(
        "the worker speaks contract version {theirs}, this coordinator {ours}: install the same release on both"
    )]
    Contract {
        /// Version received.
        theirs: u32,
        /// Our version.
        ours: u32,
    },
    /// Stored bytes are not what they were.
    #[error("the stored {what} is damaged")]
    Damaged {
        /// What they should be.
        what: &'static str,
    },
    /// A tensor's shape and data do not agree.
    #[error(transparent)]
    Tensor(#[from] domain_tensor::Error),
    /// A model's facts are out of bounds.
    #[error(transparent)]
    Facts(#[from] domain_facts::Error),
    /// A job's fields are out of bounds.
    #[error(transparent)]
    Job(#[from] domain_job::Error),
    /// A list of files that is no model.
    #[error(transparent)]
    Manifest(#[from] domain_manifest::Error),
    /// A text that is no content hash.
    #[error(transparent)]
    Hash(#[from] domain_manifest::InvalidHash),
    /// A text that is no job id.
    #[error(transparent)]
    JobId(#[from] id::InvalidJobId),
}

/// The value of a message field that must be there.
fn required<T>(field: &'static str, value: Option<T>) -> Result<T, Error> {
    value.ok_or(Error::Missing { field })
}

#[cfg(test)]
mod tests;
