//! A decode under way, of either kind: answers of tiles in; a picture in memory, or rows for a file, out. Pure.

use std::{ops::Range, sync::Arc};

use tessera_proto::{Answer, Digest, Moments, Tensor, Work};

use super::{
    decode::Decode,
    error::Error,
    exact::{Exact, Step},
    plan::DecodePlan,
    surface::{Painted, Surface},
};
use crate::{canvas::TileIndex, picture::Band};

/// A decode under way.
#[derive(Debug)]
pub(super) struct Decoding {
    kind: Kind,
    surface: Surface,
    /// Tiles of this round that may not be run yet begin here.
    next: u32,
    /// Rows that are written, px.
    written: u32,
    /// How many rows below those may be under way.
    ahead: u32,
    /// Whether rows have left for the file.
    taken: bool,
}

#[derive(Debug)]
enum Kind {
    /// Tiles that are blended.
    Blend(Decode),
    /// Tiles that share their statistics.
    Exact(Exact),
}

// === impl Decoding ===

impl Decoding {
    /// Begins with a latent as the UNet sees it, `[c, h, w]`.
    pub(super) fn new(
        plan: &DecodePlan,
        latent: &[f32],
        scaling_factor: f64,
        surface: Surface,
    ) -> Result<Self, Error> {
        #[expect(clippy::cast_possible_truncation, reason = "latents are f32")]
        let factor = scaling_factor as f32;
        Self::resumed(plan, latent.iter().map(|value| value / factor).collect(), Vec::new(), surface)
    }

    /// Goes on after the barriers whose statistics are known, with a latent divided by the model's scaling factor. What tiles
    /// had made since is made again.
    ///
    /// # Errors
    /// The latent or the statistics are not of this plan.
    pub(super) fn resumed(
        plan: &DecodePlan,
        latent: Vec<f32>,
        known: Vec<Moments>,
        surface: Surface,
    ) -> Result<Self, Error> {
        let (width, height, barriers) = match plan {
            DecodePlan::Blend(plan) => {
                let (width, height) = plan.latent.grid().canvas();
                (width, height, 0)
            }
            DecodePlan::Exact(plan) => (plan.canvas.width, plan.canvas.height, plan.barriers),
        };
        if latent.is_empty()
            || !latent.len().is_multiple_of(width as usize * height as usize)
            || barriers < known.len()
        {
            return Err(Error::Checkpoint);
        }
        let kind = match plan {
            DecodePlan::Blend(plan) => Kind::Blend(Decode::new(plan.clone(), latent)),
            DecodePlan::Exact(plan) => Kind::Exact(Exact::new(plan.clone(), latent, known)?),
        };
        Ok(Self::of(kind, surface))
    }

    /// The latent divided by the model's scaling factor, `[c, h, w]`.
    pub(super) fn latent(&self) -> &[f32] {
        match &self.kind {
            Kind::Blend(decode) => decode.latent(),
            Kind::Exact(exact) => exact.source().1.data(),
        }
    }

    /// Statistics of the whole picture, by barrier passed.
    pub(super) fn known(&self) -> &[Moments] {
        match &self.kind {
            Kind::Blend(_) => &[],
            Kind::Exact(exact) => exact.known(),
        }
    }

    /// Tasks that are left after the barriers that are passed.
    pub(super) fn left(&self) -> usize {
        match &self.kind {
            Kind::Blend(decode) => decode.tiles(),
            Kind::Exact(exact) => exact.left(),
        }
    }

    fn of(kind: Kind, surface: Surface) -> Self {
        let mut decoding = Self { kind, surface, next: 0, written: 0, ahead: 0, taken: false };
        let heights = (0..).map(TileIndex).take(decoding.tiles()).map(|tile| {
            let (from, to) = decoding.rows(tile);
            to - from
        });
        decoding.ahead = decoding.surface.rows_ahead(heights.max().unwrap_or(0));
        decoding
    }

    /// The same latent in tiles of half the side, from the start. `None` where they are the smallest, where blended
    /// tiles would give another picture, and where rows of this one have left.
    pub(super) fn halved(&self) -> Result<Option<Self>, Error> {
        let Kind::Exact(exact) = &self.kind else { return Ok(None) };
        if self.taken {
            return Ok(None);
        }
        let Some(exact) = exact.halved()? else { return Ok(None) };
        Ok(Some(Self::of(Kind::Exact(exact), self.surface.emptied()?)))
    }

    /// Whether rows have left for the file.
    pub(super) const fn has_begun(&self) -> bool {
        self.taken
    }

    /// A decode whose tiles share their statistics.
    pub(super) fn exact(&self) -> Option<&Exact> {
        match &self.kind {
            Kind::Blend(_) => None,
            Kind::Exact(exact) => Some(exact),
        }
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        match &self.kind {
            Kind::Blend(_) => 0,
            Kind::Exact(exact) => exact.passed(),
        }
    }

    /// A tensor that works name.
    pub(super) fn source(&self) -> Option<(Digest, &Arc<Tensor>)> {
        match &self.kind {
            Kind::Blend(_) => None,
            Kind::Exact(exact) => Some(exact.source()),
        }
    }

    /// What is to be run before all tiles.
    pub(super) fn measure(&self) -> Option<Work> {
        match &self.kind {
            Kind::Blend(_) => None,
            Kind::Exact(exact) => exact.measure(),
        }
    }

    /// Takes the statistics that [`measure`](Self::measure) asks for.
    pub(super) fn measured(&mut self, statistics: Vec<Moments>) {
        if let Kind::Exact(exact) = &mut self.kind {
            exact.measured(statistics);
        }
    }

    /// Tiles that may be run from now on, and were not before. In the round that brings values, those whose rows lie too far
    /// below the written ones wait: tiles are in the order of their first rows.
    pub(super) fn release(&mut self) -> Range<u32> {
        let first = self.next;
        let is_last = match &self.kind {
            Kind::Blend(_) => true,
            Kind::Exact(exact) => exact.is_last_round(),
        };
        let end = self.written.saturating_add(self.ahead);
        while (self.next as usize) < self.tiles() && (!is_last || self.rows(TileIndex(self.next)).0 < end) {
            self.next += 1;
        }
        first..self.next
    }

    /// More rows are written.
    pub(super) fn wrote(&mut self, rows: u32) {
        self.written += rows;
    }

    /// The tile's next task.
    pub(super) fn work(&self, tile: TileIndex) -> Result<Work, Error> {
        match &self.kind {
            Kind::Blend(decode) => decode.work(tile),
            Kind::Exact(exact) => Ok(exact.work(tile)),
        }
    }

    /// Whether an answer is of the kind and shape that the tile's task has.
    pub(super) fn fits(&self, tile: TileIndex, answer: &Answer) -> bool {
        match (&self.kind, answer) {
            (Kind::Blend(decode), Answer::Tensors(tensors)) => {
                tensors.len() == 1 && tensors[0].shape() == decode.shape()
            }
            (Kind::Blend(_), Answer::Moments(_) | Answer::Statistics(_)) => false,
            (Kind::Exact(exact), answer) => exact.fits(tile, answer),
        }
    }

    /// Takes an answer that [fits](Self::fits).
    pub(super) fn complete(&mut self, tile: TileIndex, answer: Answer) -> Result<Step, Error> {
        let step = match &mut self.kind {
            Kind::Exact(exact) => exact.complete(tile, answer, &mut self.surface)?,
            Kind::Blend(decode) => match decode.complete(tile, only(answer)?, &mut self.surface)? {
                true => Step::Done,
                false => Step::Wait,
            },
        };
        if step == Step::Advance {
            self.next = 0;
        }
        Ok(step)
    }

    /// Rows that are whole now and go to the file, if any.
    pub(super) fn take(&mut self) -> Option<Band> {
        let band = self.surface.take();
        self.taken |= band.is_some();
        band
    }

    /// What is left after the last tile.
    pub(super) fn finish(self) -> Painted {
        self.surface.finish()
    }

    /// Height of a tile, px of the picture.
    pub(super) fn height(&self, tile: TileIndex) -> u32 {
        let (from, to) = self.rows(tile);
        to - from
    }

    /// The rows of the picture that a tile reaches, from and to, px.
    fn rows(&self, tile: TileIndex) -> (u32, u32) {
        match &self.kind {
            Kind::Blend(decode) => decode.rows(tile),
            Kind::Exact(exact) => exact.rows(tile),
        }
    }

    fn tiles(&self) -> usize {
        match &self.kind {
            Kind::Blend(decode) => decode.tiles(),
            Kind::Exact(exact) => exact.tiles(),
        }
    }
}

/// The one tensor of an answer.
pub(super) fn only(answer: Answer) -> Result<Tensor, Error> {
    let tensors = match answer {
        Answer::Tensors(tensors) => tensors,
        Answer::Moments(_) | Answer::Statistics(_) => Vec::new(),
    };
    let [tensor] = <[Tensor; 1]>::try_from(tensors)
        .map_err(|tensors| Error::Count { expected: 1, actual: tensors.len() })?;
    Ok(tensor)
}
