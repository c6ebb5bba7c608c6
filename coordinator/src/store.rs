//! What the coordinator keeps outside its memory.

mod artifacts;

pub(crate) use artifacts::Artifacts;
