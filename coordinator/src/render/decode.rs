//! A latent on its way to a picture: decoded tiles in any order in, the picture out. Pure.
//!
//! Finished cells are rounded straight into 8-bit pixels, so that the f32 picture exists only where someone asks for it.

use std::sync::Arc;

use tessera_proto::{Tensor, Work};

use super::{error::Error, gather::Gather, plan::VaePlan};
use crate::{
    canvas::{Planes, TileIndex, crop},
    picture::{Picture, rgb},
};

/// A decode under way.
#[derive(Debug)]
pub(super) struct Decode {
    plan: VaePlan,
    /// The latent divided by the model's scaling factor, `[c, h, w]`.
    latent: Vec<f32>,
    channels: usize,
    gather: Gather,
    picture: Picture,
    /// The picture before rounding, `[3, h, w]`, when it shall be kept.
    image: Option<Vec<f32>>,
    left: usize,
}

/// What a decode ends with.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) picture: Picture,
    /// `[3, h, w]` before rounding, when it was to be kept.
    pub(super) image: Option<Vec<f32>>,
}

// === impl Decode ===

impl Decode {
    /// Begins with a latent as the UNet sees it, `[c, h, w]`.
    pub(super) fn new(
        plan: VaePlan,
        latent: &[f32],
        scaling_factor: f64,
        keep_image: bool,
    ) -> Result<Self, Error> {
        let (width, height) = plan.image.grid().canvas();
        let pixels = width as usize * height as usize;
        let (columns, rows) = plan.latent.grid().canvas();
        #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
        let factor = scaling_factor as f32;
        Ok(Self {
            channels: latent.len() / (columns as usize * rows as usize),
            latent: latent.iter().map(|value| value / factor).collect(),
            gather: Gather::new(Arc::clone(&plan.image), rgb::CHANNELS),
            picture: Picture::black(width, height)?,
            image: keep_image.then(|| vec![0.0; rgb::CHANNELS * pixels]),
            left: plan.tasks(),
            plan,
        })
    }

    /// The tile's latent, for the decoder.
    pub(super) fn work(&self, tile: TileIndex) -> Result<Work, Error> {
        let grid = self.plan.latent.grid();
        let (width, height) = grid.canvas();
        let planes = Planes::new([self.channels, height as usize, width as usize], &self.latent)?;
        let mut values = vec![0.0; self.plan.latent.tile_len(self.channels)];
        crop(planes, grid.tile(tile), grid.padded(), &mut values)?;
        let (width, height) = grid.padded();
        Ok(Work::Decode { latent: Tensor::new([1, self.channels, height as usize, width as usize], values)? })
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.plan.tasks()
    }

    /// The shape of a decoded tile, `[1, 3, h, w]`.
    pub(super) fn shape(&self) -> [usize; 4] {
        let (width, height) = self.plan.image.grid().padded();
        [1, rgb::CHANNELS, height as usize, width as usize]
    }

    /// Takes a decoded tile; returns the picture after the last one.
    pub(super) fn complete(&mut self, tile: TileIndex, image: Tensor) -> Result<Option<Decoded>, Error> {
        let Self { gather, picture, image: kept, plan, .. } = self;
        let (width, height) = plan.image.grid().canvas();
        let mut painted = Ok(());
        gather.put(tile, image.into_data(), |_, row, values| {
            if painted.is_ok() {
                painted = picture.paint(row, values);
            }
            if let Some(kept) = kept {
                let start =
                    (row.channel * height as usize + row.y as usize) * width as usize + row.x0 as usize;
                kept[start..][..values.len()].copy_from_slice(values);
            }
        })?;
        painted?;
        self.left -= 1;
        if 0 < self.left {
            return Ok(None);
        }
        let picture = std::mem::replace(&mut self.picture, Picture::black(1, 1)?);
        Ok(Some(Decoded { picture, image: self.image.take() }))
    }
}
