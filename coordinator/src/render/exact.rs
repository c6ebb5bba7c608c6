//! A latent on its way to a picture, exactly: parts of statistics and decoded cores in any order in, the picture out. Pure.
//!
//! Every normalisation of a VAE decoder looks at the whole picture, which no tile sees. So tiles advance together: at each
//! normalisation every tile reports count, mean and M2 over its own core, the parts are merged here in f64 and in tile
//! order, and all tiles go on with the same numbers. Cores do not overlap, so nothing is counted twice and nothing is
//! blended: the picture is that of the untiled decoder to rounding error, and does not depend on who ran what.
//!
//! Merging follows Chan, Golub & LeVeque 1979 ([`Moments::merge`]).

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Moments, Tensor, Work};

use super::{decode::Decoded, decoding, error::Error, plan::ExactPlan};
use crate::{
    canvas::{Planes, TileIndex},
    picture::{Picture, rgb},
};

/// An exact decode under way.
#[derive(Debug)]
pub(super) struct Exact {
    plan: ExactPlan,
    /// The latent divided by the model's scaling factor, `[1, c, h, w]`, which workers keep.
    source: Arc<Tensor>,
    digest: Digest,
    /// Statistics of the whole picture, by barrier passed.
    known: Vec<Moments>,
    /// The tiles' parts of the next ones.
    parts: Vec<Option<Moments>>,
    picture: Picture,
    /// The picture before rounding, `[3, h, w]`, when it shall be kept.
    image: Option<Vec<f32>>,
    /// Tiles that have not reached the next barrier, or their end.
    left: usize,
}

/// What a tile's answer leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// Others are behind.
    Wait,
    /// All tiles are at the barrier: all go on.
    Advance,
    /// That was the last core.
    Done(Decoded),
}

// === impl Exact ===

impl Exact {
    /// Begins with a latent as the UNet sees it, `[c, h, w]`.
    pub(super) fn new(
        plan: ExactPlan,
        latent: &[f32],
        scaling_factor: f64,
        keep_image: bool,
    ) -> Result<Self, Error> {
        let (rows, columns) = (plan.canvas.height as usize, plan.canvas.width as usize);
        #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
        let factor = scaling_factor as f32;
        let values: Vec<f32> = latent.iter().map(|value| value / factor).collect();
        let source = Tensor::new([1, latent.len() / (rows * columns), rows, columns], values)?;
        let (width, height) = (plan.canvas.width * plan.scale, plan.canvas.height * plan.scale);
        let tiles = plan.cores.len();
        Ok(Self {
            digest: Digest::of(&source),
            source: Arc::new(source),
            known: Vec::new(),
            parts: vec![None; tiles],
            picture: Picture::black(width, height)?,
            image: keep_image.then(|| vec![0.0; rgb::CHANNELS * width as usize * height as usize]),
            left: tiles,
            plan,
        })
    }

    /// The latent that works name, and its name.
    pub(super) fn source(&self) -> (Digest, &Arc<Tensor>) {
        (self.digest, &self.source)
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.plan.cores.len()
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        self.known.len()
    }

    /// The tile's next step.
    pub(super) fn work(&self, tile: TileIndex) -> Work {
        Work::Advance { source: self.digest, core: self.plan.cores[tile.get()], known: self.known.clone() }
    }

    /// Whether an answer is of the kind and shape that the tile's next step has.
    pub(super) fn fits(&self, tile: TileIndex, answer: &Answer) -> bool {
        match answer {
            Answer::Moments(moments) => {
                let other = self.parts.iter().flatten().next();
                let alike = |other: &Moments| other.mean().len() == moments.mean().len();
                self.known.len() < self.plan.barriers && 0 < moments.count() && other.is_none_or(alike)
            }
            Answer::Tensors(tensors) => {
                let core = self.plan.cores[tile.get()];
                let side = |length: u32| (length * self.plan.scale) as usize;
                let shape = [1, rgb::CHANNELS, side(core.height()), side(core.width())];
                // A tile that is the whole picture needs nobody else's statistics.
                let ready = self.known.len() == self.plan.barriers || self.tiles() == 1;
                ready && tensors.len() == 1 && tensors[0].shape() == shape
            }
        }
    }

    /// Takes an answer that [fits](Self::fits).
    pub(super) fn complete(&mut self, tile: TileIndex, answer: Answer) -> Result<Step, Error> {
        match answer {
            Answer::Moments(part) => self.parts[tile.get()] = Some(part),
            answer @ Answer::Tensors(_) => self.paint(tile, &decoding::only(answer)?)?,
        }
        self.left -= 1;
        if 0 < self.left {
            return Ok(Step::Wait);
        }
        let mut parts = self.parts.iter_mut().filter_map(Option::take);
        let Some(mut whole) = parts.next() else {
            let picture = std::mem::replace(&mut self.picture, Picture::black(1, 1)?);
            return Ok(Step::Done(Decoded { picture, image: self.image.take() }));
        };
        for part in parts {
            whole.merge(&part)?;
        }
        self.known.push(whole);
        self.left = self.tiles();
        Ok(Step::Advance)
    }

    /// Rounds a decoded core into the picture.
    fn paint(&mut self, tile: TileIndex, tensor: &Tensor) -> Result<(), Error> {
        let core = self.plan.cores[tile.get()];
        let (x, y) = (core.x0() * self.plan.scale, core.y0() * self.plan.scale);
        let [_, channels, height, width] = tensor.nchw().unwrap_or_default();
        let planes = Planes::new([channels, height, width], tensor.data())?;
        for (channel, row) in (0..channels).flat_map(|channel| (0..height).map(move |row| (channel, row))) {
            let values = planes.row(channel, row);
            let (left, top) = (x as usize, y as usize + row);
            #[expect(clippy::cast_possible_truncation, reason = "rows of a picture fit 32 bits")]
            let place = crate::canvas::blend::Row { channel, y: top as u32, x0: x };
            self.picture.paint(place, values)?;
            if let Some(image) = &mut self.image {
                let (columns, rows) = (self.picture.width() as usize, self.picture.height() as usize);
                image[(channel * rows + top) * columns + left..][..values.len()].copy_from_slice(values);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
