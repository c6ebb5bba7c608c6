//! Jobs of coordinators that share our table: a job that we do not know in; whether it is over, and then among ours, out.

use tessera_proto::JobId;

use super::status::Error;
use crate::{
    actor::{self, Handle},
    store::{Found, Jobs},
};

/// The way to what others have written down.
#[derive(Debug)]
pub(super) struct Elsewhere {
    actor: Handle,
    /// Of a coordinator that shares it.
    table: Option<Jobs>,
}

// === impl Elsewhere ===

impl Elsewhere {
    pub(super) const fn new(actor: Handle, table: Option<Jobs>) -> Self {
        Self { actor, table }
    }

    /// Sees that the actor knows a job, if anybody does.
    ///
    /// # Errors
    /// Another coordinator is doing it, or the table cannot be read.
    pub(super) async fn look_for(&self, job: JobId) -> Result<(), Error> {
        let Some(table) = &self.table else { return Ok(()) };
        match self.actor.watch(job).await {
            Err(actor::Error::UnknownJob { .. }) => {}
            known => return Ok(known.map(drop)?),
        }
        match table.find(job).await? {
            // Whoever asks the actor hears so.
            None => Ok(()),
            Some(Found::Open) => Err(Error::Elsewhere { job }),
            Some(Found::Over(over)) => Ok(self.actor.adopt(over).await?),
        }
    }
}
