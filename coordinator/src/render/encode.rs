//! A picture on its way to a latent: moments of tiles in any order in, the latent out. Pure.

use std::sync::Arc;

use tessera_proto::{Tensor, Work};

use super::{error::Error, gather::Gather, plan::VaePlan};
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
    /// The first `channels` planes that the encoder returns: the mean, `[c, h, w]`.
    mean: Vec<f32>,
}

// === impl Encode ===

impl Encode {
    /// Begins with a picture of the plan's size.
    pub(super) fn new(plan: VaePlan, picture: Picture, channels: usize) -> Self {
        Self { left: plan.tasks(), plan, picture, channels, results: None }
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.plan.tasks()
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

    /// Takes a tile's moments; returns the latent as the UNet sees it, `[c, h, w]`, after the last one.
    ///
    /// The latent is the posterior's mean: the same picture gives the same latent. (A1111 draws a sample of it, whose
    /// deviation is some thousandths of the noise that follows.)
    pub(super) fn complete(
        &mut self,
        tile: TileIndex,
        moments: Tensor,
        scaling_factor: f64,
    ) -> Result<Option<Vec<f32>>, Error> {
        let (width, height) = self.plan.latent.grid().canvas();
        let (width, height, channels) = (width as usize, height as usize, self.channels);
        let results = self.results.get_or_insert_with(|| {
            // Mean and log variance, or a latent alone from graphs that sample inside.
            let planes = moments.nchw().map_or(channels, |[_, planes, _, _]| planes.max(channels));
            let gather = Gather::new(Arc::clone(&self.plan.latent), planes);
            Results { planes, gather, mean: vec![0.0; channels * height * width] }
        });
        let Results { gather, mean, .. } = results;
        gather.put(tile, moments.into_data(), |_, row, values| {
            if row.channel < channels {
                let start = (row.channel * height + row.y as usize) * width + row.x0 as usize;
                mean[start..][..values.len()].copy_from_slice(values);
            }
        })?;
        self.left -= 1;
        if 0 < self.left {
            return Ok(None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
        let factor = scaling_factor as f32;
        Ok(self.results.take().map(|results| results.mean.iter().map(|value| value * factor).collect()))
    }
}
