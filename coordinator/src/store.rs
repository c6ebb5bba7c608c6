//! What the coordinator keeps outside its memory.
//!
//! - [`Artifacts`]: files of finished jobs. [`Archive`]: what outlives us of all jobs: their table ([`Jobs`]) and, of open
//!   ones, what they need to go on ([`Shelf`]).

mod archive;
mod artifacts;
mod draft;
mod jobs;
mod shelf;
mod whole;

pub(crate) use archive::{Archive, Error as ArchiveError, Restored};
pub(crate) use artifacts::Artifacts;
pub(crate) use draft::{Draft, Error as DraftError};
pub(crate) use jobs::{Jobs, Over};
pub(crate) use shelf::Shelf;
