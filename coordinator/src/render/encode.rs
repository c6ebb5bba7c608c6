//! A picture on its way to a latent: moments of tiles in any order in, the latent out. Pure.

use std::sync::Arc;

use tessera_proto::{Tensor, Work};

use super::{error::Error, gather::Gather, plan::VaePlan, posterior::Posterior};
use crate::{
    canvas::TileIndex,
    picture::{Picture, rgb},
};

/// An encode under way.
#[derive(Debug)]
pub struct Encode {
    plan: VaePlan,
    picture: Picture,
    /// Planes of a latent.
    channels: usize,
    /// Made by the first result, which tells how many planes the encoder returns.
    results: Option<Results>,
    left: usize,
}

#[derive(Debug)]
struct Results {
    /// Planes of a result.
    planes: usize,
    gather: Gather,
    /// The planes that the encoder returns, `[planes, h, w]`.
    moments: Vec<f32>,
}

// === impl Encode ===

impl Encode {
    /// Begins with a picture of the plan's size.
    pub(super) fn new(plan: VaePlan, picture: Picture, channels: usize) -> Self {
        Self { left: plan.tasks(), plan, picture, channels, results: None }
    }

    /// The picture that it began with.
    pub(super) const fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The same, for whoever begins again with it.
    pub(super) fn into_picture(self) -> Picture {
        self.picture
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.plan.tasks()
    }

    /// Height of a tile, px.
    pub(super) fn height(&self) -> u32 {
        self.plan.image.grid().padded().1
    }

    /// The tile's pixels, for the encoder.
    pub(super) fn work(&self, tile: TileIndex) -> Result<Work, Error> {
        let rect = self.plan.image.grid().tile(tile);
        let values = self.picture.planes(rect)?;
        let shape = [1, rgb::CHANNELS, rect.height() as usize, rect.width() as usize];
        Ok(Work::Encode { image: Tensor::new(shape, values)? })
    }

    /// Whether a tile's result has a shape that we take: mean and log variance, or a latent, as the first one had it.
    pub(super) fn fits(&self, shape: &[usize]) -> bool {
        let (width, height) = self.plan.latent.grid().padded();
        let &[1, planes, rows, columns] = shape else { return false };
        let expected = self.results.as_ref().map(|results| results.planes);
        let known =
            expected.map_or(planes == self.channels || planes == 2 * self.channels, |known| planes == known);
        known && (columns, rows) == (width as usize, height as usize)
    }

    /// Takes a tile's moments; returns those of the whole after the last one.
    pub(super) fn complete(&mut self, tile: TileIndex, moments: Tensor) -> Result<Option<Posterior>, Error> {
        let (width, height) = self.plan.latent.grid().canvas();
        let (width, height, channels) = (width as usize, height as usize, self.channels);
        let results = self.results.get_or_insert_with(|| {
            // Mean and log variance, or a latent alone from graphs that sample inside.
            let planes = moments.nchw().map_or(channels, |[_, planes, _, _]| planes.max(channels));
            let gather = Gather::new(Arc::clone(&self.plan.latent), planes);
            Results { planes, gather, moments: vec![0.0; planes * height * width] }
        });
        let Results { gather, moments: whole, .. } = results;
        gather.put(tile, moments.into_data(), |_, row, values| {
            let start = (row.channel * height + row.y as usize) * width + row.x0 as usize;
            whole[start..][..values.len()].copy_from_slice(values);
        })?;
        self.left -= 1;
        if 0 < self.left {
            return Ok(None);
        }
        let values = channels * height * width;
        Ok(self.results.take().map(|results| Posterior::new(results.moments, values)))
    }
}
