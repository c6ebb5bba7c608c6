//! One tile of an exact decode: the statistics known so far in, its part of the next ones or its pixels out.
//!
//! **Invariant: an answer is a function of the latent, the tile and the statistics alone.** What is kept of a tile
//! between two calls only spares work: a worker that has kept nothing gives the same bytes.

mod graph;
mod simulated;

#[cfg(test)]
mod tests;

use tessera_proto::{Answer, Digest, Moments, Rect, Tensor};

use crate::engine::{Engine, Error};

pub use graph::{GraphStages, exactness};
pub use simulated::SimulatedStages;

/// Runs tiles of the VAE decoder from one normalisation to the next.
pub trait Stages {
    /// Runs the tile `core` (latent px) of the latent `source` (`[1, c, h, w]`) up to the first normalisation whose
    /// statistics are not `known`, or to its end.
    ///
    /// # Errors
    /// The tile does not lie on the latent, there are more statistics than normalisations, or as
    /// [`Engine::run`](crate::engine::Engine::run).
    fn advance(
        &mut self,
        engine: &mut dyn Engine,
        source: (Digest, &Tensor),
        core: Rect,
        known: &[Moments],
    ) -> Result<Answer, Error>;

    /// Drops what is kept of a latent's tiles.
    fn forget(&mut self, source: Digest);

    /// Drops everything that is kept.
    fn forget_all(&mut self);
}
