//! A decode under way, of either kind: answers of tiles in, the picture out. Pure.

use std::sync::Arc;

use tessera_proto::{Answer, Digest, Tensor, Work};

use super::{
    decode::Decode,
    error::Error,
    exact::{Exact, Step},
    plan::DecodePlan,
};
use crate::canvas::TileIndex;

/// A decode under way.
#[derive(Debug)]
pub(super) enum Decoding {
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
        keep_image: bool,
    ) -> Result<Self, Error> {
        Ok(match plan {
            DecodePlan::Blend(plan) => {
                Self::Blend(Decode::new(plan.clone(), latent, scaling_factor, keep_image)?)
            }
            DecodePlan::Exact(plan) => {
                Self::Exact(Exact::new(plan.clone(), latent, scaling_factor, keep_image)?)
            }
        })
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        match self {
            Self::Blend(decode) => decode.tiles(),
            Self::Exact(exact) => exact.tiles(),
        }
    }

    /// Barriers that all tiles have passed.
    pub(super) fn passed(&self) -> usize {
        match self {
            Self::Blend(_) => 0,
            Self::Exact(exact) => exact.passed(),
        }
    }

    /// A tensor that works name.
    pub(super) fn source(&self) -> Option<(Digest, &Arc<Tensor>)> {
        match self {
            Self::Blend(_) => None,
            Self::Exact(exact) => Some(exact.source()),
        }
    }

    /// The tile's next task.
    pub(super) fn work(&self, tile: TileIndex) -> Result<Work, Error> {
        match self {
            Self::Blend(decode) => decode.work(tile),
            Self::Exact(exact) => Ok(exact.work(tile)),
        }
    }

    /// Whether an answer is of the kind and shape that the tile's task has.
    pub(super) fn fits(&self, tile: TileIndex, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Blend(decode), Answer::Tensors(tensors)) => {
                tensors.len() == 1 && tensors[0].shape() == decode.shape()
            }
            (Self::Blend(_), Answer::Moments(_)) => false,
            (Self::Exact(exact), answer) => exact.fits(tile, answer),
        }
    }

    /// Takes an answer that [fits](Self::fits).
    pub(super) fn complete(&mut self, tile: TileIndex, answer: Answer) -> Result<Step, Error> {
        match self {
            Self::Exact(exact) => exact.complete(tile, answer),
            Self::Blend(decode) => {
                let step = decode.complete(tile, only(answer)?)?;
                Ok(step.map_or(Step::Wait, Step::Done))
            }
        }
    }
}

/// The one tensor of an answer.
pub(super) fn only(answer: Answer) -> Result<Tensor, Error> {
    let tensors = match answer {
        Answer::Tensors(tensors) => tensors,
        Answer::Moments(_) => Vec::new(),
    };
    let [tensor] = <[Tensor; 1]>::try_from(tensors)
        .map_err(|tensors| Error::Count { expected: 1, actual: tensors.len() })?;
    Ok(tensor)
}
