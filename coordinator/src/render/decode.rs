//! A latent on its way to a picture: decoded tiles in any order in, finished cells of the picture out. Pure.

use std::sync::Arc;

use tessera_proto::{Tensor, Work};

use super::{error::Error, gather::Gather, plan::VaePlan, surface::Surface};
use crate::{
    canvas::{CellIndex, Planes, TileIndex, crop},
    picture::rgb,
};

/// A decode under way.
#[derive(Debug)]
pub(super) struct Decode {
    plan: VaePlan,
    /// The latent divided by the model's scaling factor, `[c, h, w]`.
    latent: Vec<f32>,
    channels: usize,
    gather: Gather,
    left: usize,
}

// === impl Decode ===

impl Decode {
    /// Begins with a latent divided by the model's scaling factor, `[c, h, w]`.
    pub(super) fn new(plan: VaePlan, latent: Vec<f32>) -> Self {
        let (columns, rows) = plan.latent.grid().canvas();
        Self {
            channels: latent.len() / (columns as usize * rows as usize),
            latent,
            gather: Gather::new(Arc::clone(&plan.image), rgb::CHANNELS),
            left: plan.tasks(),
            plan,
        }
    }

    /// The latent that it began with.
    pub(super) fn latent(&self) -> &[f32] {
        &self.latent
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

    /// The rows of the picture that a tile reaches, from and to, px.
    pub(super) fn rows(&self, tile: TileIndex) -> (u32, u32) {
        let rect = self.plan.image.grid().tile(tile);
        (rect.y0(), rect.y1())
    }

    /// The shape of a decoded tile, `[1, 3, h, w]`.
    pub(super) fn shape(&self) -> [usize; 4] {
        let (width, height) = self.plan.image.grid().padded();
        [1, rgb::CHANNELS, height as usize, width as usize]
    }

    /// Takes a decoded tile and paints the cells that it finishes; says whether it was the last one.
    pub(super) fn complete(
        &mut self,
        tile: TileIndex,
        image: Tensor,
        surface: &mut Surface,
    ) -> Result<bool, Error> {
        // A cell's rows come one after another, plane by plane.
        let mut cells: Vec<(CellIndex, Vec<f32>)> = Vec::new();
        self.gather.put(tile, image.into_data(), |cell, _, values| match cells.last_mut() {
            Some((last, rows)) if *last == cell => rows.extend_from_slice(values),
            _ => cells.push((cell, values.to_vec())),
        })?;
        for (cell, values) in cells {
            surface.paint(self.plan.image.cells().rect(cell), &values)?;
        }
        self.left -= 1;
        Ok(self.left == 0)
    }
}
