//! What the coordinator keeps outside its memory.
//!
//! - [`Artifacts`]: files of finished jobs. [`Models`]: models that workers fetch, beside them. [`Archive`]: what outlives us of all jobs: their table ([`Jobs`]) and, of open
//!   ones, what they need to go on ([`Shelf`]). [`Credentials`]: who may do what.
//! - [`Database`]: where the tables are.

mod archive;
mod artifacts;
mod credentials;
mod database;
mod depot;
mod draft;
mod jobs;
mod models;
mod shelf;
pub(crate) mod whole;

pub(crate) use archive::{Archive, Error as ArchiveError, Pulse, Restored};
pub(crate) use artifacts::Artifacts;
pub(crate) use credentials::{Credentials, New as NewCredential};
pub(crate) use database::{Database, Error as DatabaseError};
pub(crate) use depot::Stored;
pub(crate) use draft::{Draft, Error as DraftError};
pub(crate) use jobs::{Found, Jobs, Over};
pub(crate) use models::{Error as ModelsError, Models};
pub(crate) use shelf::Shelf;
