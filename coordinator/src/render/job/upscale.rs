//! The way of a job's picture through an upscaling network, and on to the encoder's size.

use std::sync::Arc;

use tessera_proto::{Stage, Tensor};

use super::{Action, Enlarge, Error, Job, State, Then, tasks::Item};
use crate::{
    canvas::TileIndex,
    picture::Picture,
    render::{
        compute,
        upscale::{Upscale, Upscaled},
    },
};

impl Job {
    /// Enlarges the base picture: by the plan's network where it has one, then by Lanczos to the exact size.
    pub(super) fn enlarge(&mut self, picture: Picture) -> Result<Vec<Action>, Error> {
        let Some(Enlarge::Picture { network: Some(network), .. }) = &self.plan.enlarge else {
            return Ok(self.resize(picture));
        };
        match Upscale::new(Arc::clone(network), 0, picture)? {
            Ok(upscale) => Ok(self.begin_pass(Box::new(upscale))),
            Err(picture) => Ok(self.resize(picture)),
        }
    }

    /// A tile of a pass is there.
    pub(super) fn upscaled(&mut self, tile: TileIndex, image: Tensor) -> Result<Vec<Action>, Error> {
        let State::Upscaling(upscale) = &mut self.state else {
            return Ok(Vec::new());
        };
        match upscale.complete(tile, image)? {
            Upscaled::Waiting => Ok(Vec::new()),
            Upscaled::NextPass => match std::mem::replace(&mut self.state, State::Ended) {
                State::Upscaling(upscale) => Ok(self.begin_pass(upscale)),
                _ => Ok(Vec::new()),
            },
            Upscaled::Done(picture) => {
                if let Some(dump) = &mut self.dump {
                    dump.keep("upscaled_image", compute::picture_tensor(&picture)?);
                }
                Ok(self.resize(picture))
            }
        }
    }

    /// The next pass of the network.
    pub(super) fn begin_pass(&mut self, upscale: Box<Upscale>) -> Vec<Action> {
        let tasks = upscale.tasks();
        self.progress.enter(Stage::Upscale, tasks);
        self.state = State::Upscaling(upscale);
        self.enqueue_tiles(tasks, Item::Upscale)
    }

    /// Brings a picture to the size that the encoder takes.
    pub(super) fn resize(&mut self, picture: Picture) -> Vec<Action> {
        let size = match (&self.plan.enlarge, self.plan.source) {
            (Some(Enlarge::Picture { cover, .. }), _) => *cover,
            (_, Some(source)) => source,
            (_, None) => return Vec::new(),
        };
        let Some(encode) = self.plan.encode().cloned() else { return Vec::new() };
        let channels = self.plan.facts().latent_channels as usize;
        self.compute(Then::Base, move || compute::enlarge(&picture, size, (encode, channels)))
    }
}
