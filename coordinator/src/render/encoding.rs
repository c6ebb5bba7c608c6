//! An encode under way, of either kind: answers of tiles in, the latent out. Pure.

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Moments, Tensor, Work};

use super::{
    decoding::only, encode::Encode, error::Error, exact_encode::ExactEncode, plan::EncodePlan,
    posterior::Posterior,
};
use crate::{canvas::TileIndex, picture::Picture};

/// An encode under way.
#[derive(Debug)]
pub enum Encoding {
    /// Tiles that are blended.
    Blend(Encode),
    /// Tiles that share their statistics.
    Exact(ExactEncode),
}

/// What an answer leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// Others are behind.
    Wait,
    /// All tiles are at a barrier: all go on.
    Advance,
    /// All tiles are at their end: what they have made is to be [joined](ExactEncode::join) for the network's last part.
    Join,
    /// That was all.
    Done(Posterior),
}

// === impl Encoding ===

impl Encoding {
    /// Begins with a picture of the plan's size, for a latent of `channels` planes. Reads the whole picture.
    pub(super) fn new(plan: EncodePlan, picture: Picture, channels: usize) -> Result<Self, Error> {
        Ok(match plan {
            EncodePlan::Blend(plan) => Self::Blend(Encode::new(plan, picture, channels)),
            EncodePlan::Exact(plan) => Self::Exact(ExactEncode::new(plan, picture, channels)?),
        })
    }

    /// The picture, until it is no longer needed.
    pub(super) fn picture(&self) -> Option<&Picture> {
        match self {
            Self::Blend(encode) => Some(encode.picture()),
            Self::Exact(exact) => exact.picture(),
        }
    }

    /// The same, for whoever begins again with it.
    pub(super) fn into_picture(self) -> Option<Picture> {
        match self {
            Self::Blend(encode) => Some(encode.into_picture()),
            Self::Exact(exact) => exact.into_picture(),
        }
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        match self {
            Self::Blend(encode) => encode.tiles(),
            Self::Exact(exact) => exact.tiles(),
        }
    }

    /// Height of what a tile's network sees, px.
    pub(super) fn height(&self, tile: TileIndex) -> u32 {
        match self {
            Self::Blend(encode) => encode.height(),
            Self::Exact(exact) => exact.height(tile),
        }
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        match self {
            Self::Blend(_) => 0,
            Self::Exact(exact) => exact.passed(),
        }
    }

    /// The tensor that a tile's work names.
    pub(super) fn source(&self, tile: TileIndex) -> Option<Digest> {
        match self {
            Self::Blend(_) => None,
            Self::Exact(exact) => exact.source(tile),
        }
    }

    /// The tensors that works name now.
    pub(super) fn digests(&self) -> Vec<Digest> {
        match self {
            Self::Blend(_) => Vec::new(),
            Self::Exact(exact) => exact.digests(),
        }
    }

    /// A tensor that a work names.
    pub(super) fn tensor(&self, digest: Digest) -> Option<Arc<Tensor>> {
        match self {
            Self::Blend(_) => None,
            Self::Exact(exact) => exact.tensor(digest),
        }
    }

    /// What is to be run before all tiles.
    pub(super) fn measure(&self) -> Option<Work> {
        match self {
            Self::Blend(_) => None,
            Self::Exact(exact) => exact.measure(),
        }
    }

    /// Takes the statistics that [`measure`](Self::measure) asks for.
    pub(super) fn measured(&mut self, statistics: Vec<Moments>) {
        if let Self::Exact(exact) = self {
            exact.measured(statistics);
        }
    }

    /// A tile's next task; without a tile, the network's last part.
    pub(super) fn work(&self, tile: Option<TileIndex>) -> Result<Option<Work>, Error> {
        Ok(match (self, tile) {
            (Self::Blend(encode), Some(tile)) => Some(encode.work(tile)?),
            (Self::Blend(_), None) => None,
            (Self::Exact(exact), Some(tile)) => Some(exact.work(tile)),
            (Self::Exact(exact), None) => exact.end_work(),
        })
    }

    /// Whether an answer is of the kind and shape that a task has.
    pub(super) fn fits(&self, tile: Option<TileIndex>, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Blend(encode), Answer::Tensors(tensors)) => {
                tensors.len() == 1 && encode.fits(tensors[0].shape())
            }
            (Self::Blend(_), Answer::Moments(_) | Answer::Statistics(_)) => false,
            (Self::Exact(exact), answer) => exact.fits(tile, answer),
        }
    }

    /// Takes an answer that [fits](Self::fits).
    pub(super) fn complete(&mut self, tile: Option<TileIndex>, answer: Answer) -> Result<Step, Error> {
        match (self, tile) {
            (Self::Blend(encode), Some(tile)) => {
                let posterior = encode.complete(tile, only(answer)?)?;
                Ok(posterior.map_or(Step::Wait, Step::Done))
            }
            (Self::Blend(_), None) => Ok(Step::Wait),
            (Self::Exact(exact), tile) => exact.complete(tile, answer),
        }
    }
}
