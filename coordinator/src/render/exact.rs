//! A latent on its way to a picture, exactly: parts of statistics and decoded cores in any order in, parts of the picture
//! out. Pure.
//!
//! Every normalisation of a VAE decoder looks at the whole picture, which no tile sees. So tiles advance together: at each
//! normalisation every tile reports count, mean and M2 over its own core, the parts are merged here in f64 and in tile
//! order, and all tiles go on with the same numbers. Cores do not overlap, so nothing is counted twice and nothing is
//! blended: the picture is that of the untiled decoder to rounding error, and does not depend on who ran what.
//!
//! [`Rounds`] merges.

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Moments, Part, Rect, Source, Tensor, Work};

use super::{
    decoding,
    error::Error,
    plan::ExactPlan,
    reduced::reduced,
    rounds::{Round, Rounds},
    surface::Surface,
};
use crate::{canvas::TileIndex, picture::rgb};

/// An exact decode under way.
#[derive(Debug)]
pub(super) struct Exact {
    plan: ExactPlan,
    /// The latent divided by the model's scaling factor, `[1, c, h, w]`, which workers keep.
    source: Arc<Tensor>,
    digest: Digest,
    rounds: Rounds,
    /// In fast mode: the smaller latent, until its statistics are there.
    small: Option<Tensor>,
}

/// What a tile's answer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Others are behind.
    Wait,
    /// All tiles are at the barrier: all go on.
    Advance,
    /// That was the last core.
    Done,
}

// === impl Exact ===

impl Exact {
    /// Begins with a latent divided by the model's scaling factor, `[c, h, w]`, after so many barriers.
    pub(super) fn new(plan: ExactPlan, latent: Vec<f32>, known: Vec<Moments>) -> Result<Self, Error> {
        let (rows, columns) = (plan.canvas.height as usize, plan.canvas.width as usize);
        let source = Tensor::new([1, latent.len() / (rows * columns), rows, columns], latent)?;
        let estimate = plan.estimate.filter(|_| known.is_empty());
        let small = estimate
            .map(|estimate| reduced((plan.canvas, estimate.size), std::iter::once(Ok(source.clone()))));
        let mut rounds = Rounds::new(plan.cores.len(), plan.barriers);
        rounds.know(known);
        Ok(Self {
            digest: Digest::of(&source),
            source: Arc::new(source),
            rounds,
            small: small.transpose()?,
            plan,
        })
    }

    /// Statistics of the whole picture, by barrier passed.
    pub(super) fn known(&self) -> &[Moments] {
        self.rounds.known()
    }

    /// Tasks that are left after the barriers that are passed.
    pub(super) fn left(&self) -> usize {
        let estimated = self.plan.estimate.map_or(0, |estimate| estimate.barriers);
        let passed = self.passed().saturating_sub(estimated);
        let measure = usize::from(self.plan.estimate.is_some() && self.small.is_none());
        self.plan.tasks() - passed * self.plan.cores.len() - measure
    }

    /// The same latent in tiles of half the side, from the start; `None` when they are the smallest.
    pub(super) fn halved(&self) -> Result<Option<Self>, Error> {
        let Some(plan) = self.plan.halved()? else { return Ok(None) };
        let rounds = Rounds::new(plan.cores.len(), plan.barriers);
        Ok(Some(Self { plan, source: Arc::clone(&self.source), digest: self.digest, rounds, small: None }))
    }

    /// Tiles and barriers.
    pub(super) fn plan(&self) -> &ExactPlan {
        &self.plan
    }

    /// The latent that works name, and its name.
    pub(super) fn source(&self) -> (Digest, &Arc<Tensor>) {
        (self.digest, &self.source)
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.rounds.tiles()
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        self.rounds.known().len()
    }

    /// In fast mode, what is to be run before all tiles.
    pub(super) fn measure(&self) -> Option<Work> {
        self.small.clone().map(|input| Work::Measure { part: Part::Decoder, input })
    }

    /// Takes the statistics that [`measure`](Self::measure) asks for.
    pub(super) fn measured(&mut self, statistics: Vec<Moments>) {
        self.small = None;
        self.rounds.know(statistics);
    }

    /// Whether the answers to come are decoded cores. A tile that is the whole picture needs nobody else's statistics.
    pub(super) fn is_last_round(&self) -> bool {
        self.rounds.is_last()
    }

    /// The rows of the picture that a tile answers for, from and to, px.
    pub(super) fn rows(&self, tile: TileIndex) -> (u32, u32) {
        let core = self.plan.cores[tile.get()];
        (core.y0() * self.plan.scale, core.y1() * self.plan.scale)
    }

    /// The tile's next step.
    pub(super) fn work(&self, tile: TileIndex) -> Work {
        let canvas = self.plan.canvas;
        let place = Rect::new(0, 0, canvas.width, canvas.height).expect("a latent is not empty");
        Work::Advance {
            part: Part::Decoder,
            canvas,
            sources: vec![Source { place, digest: self.digest }],
            core: self.plan.cores[tile.get()],
            known: self.rounds.known().to_vec(),
        }
    }

    /// Whether an answer is of the kind and shape that the tile's next step has.
    pub(super) fn fits(&self, tile: TileIndex, answer: &Answer) -> bool {
        match answer {
            Answer::Moments(moments) => self.rounds.fits(moments),
            Answer::Statistics(list) => self.small.is_some() && list.len() == self.plan.barriers,
            Answer::Tensors(tensors) => {
                let core = self.plan.cores[tile.get()];
                let side = |length: u32| (length * self.plan.scale) as usize;
                let shape = [1, rgb::CHANNELS, side(core.height()), side(core.width())];
                self.is_last_round() && tensors.len() == 1 && tensors[0].shape() == shape
            }
        }
    }

    /// Takes an answer that [fits](Self::fits); a decoded core is painted.
    pub(super) fn complete(
        &mut self,
        tile: TileIndex,
        answer: Answer,
        surface: &mut Surface,
    ) -> Result<Step, Error> {
        let part = match answer {
            Answer::Moments(part) => Some(part),
            answer => {
                let core = self.plan.cores[tile.get()].scaled(self.plan.scale);
                let core = core.expect("a picture's sides were checked by the plan");
                surface.paint(core, decoding::only(answer)?.data())?;
                None
            }
        };
        Ok(match self.rounds.arrive(tile.get(), part)? {
            Round::Wait => Step::Wait,
            Round::Advance => Step::Advance,
            Round::End => Step::Done,
        })
    }
}

#[cfg(test)]
mod tests;
