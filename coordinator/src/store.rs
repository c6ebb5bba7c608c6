//! What the coordinator keeps outside its memory.

mod artifacts;
mod draft;

pub(crate) use artifacts::Artifacts;
pub(crate) use draft::{Draft, Error as DraftError};
