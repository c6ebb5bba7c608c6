//! The services on the wire: messages in, commands to the actor and answers out.

mod elsewhere;
mod fleet;
mod jobs;
mod models;
mod pieces;
mod scaler;
mod status;

pub(crate) use fleet::FleetService;
pub(crate) use jobs::JobsService;
pub(crate) use models::{ModelsService, keep_current};
pub(crate) use scaler::ScalerService;
