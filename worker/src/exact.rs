//! One tile of an exact decode or encode: the statistics known so far in, its part of the next ones or its result out.
//!
//! **Invariant: an answer is a function of the task alone.** What is kept of a tile between two calls only spares work: a
//! worker that has kept nothing gives the same bytes.

mod cut;
mod extents;
mod graph;
mod peaks;
mod shelf;
mod simulated;
mod stager;

#[cfg(test)]
mod tests;

use tessera_proto::{Answer, Digest, Moments, Part, Rect, Source, Tensor, job::Size};

use crate::engine::{Engine, Error, Vae};

pub use cut::exactness;
pub use graph::GraphStages;
pub use peaks::peaks;
pub use shelf::{SPILL_ABOVE, Spill};
pub use simulated::SimulatedStages;

/// One step of a tile.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is run.
    pub part: Part,
    /// The canvas, px of the network's input.
    pub canvas: Size,
    /// What the tile reads, each with its values `[1, c, h, w]`.
    pub sources: &'a [(Source, &'a Tensor)],
    /// The tile's own part of the canvas, px of the network's input.
    pub core: Rect,
    /// Statistics of the whole picture, one entry per barrier passed.
    pub known: &'a [Moments],
}

/// Runs tiles of a VAE's network from one normalisation to the next.
pub trait Stages: Send {
    /// Runs a tile up to the first normalisation whose statistics are not known, or to its end.
    ///
    /// # Errors
    /// The tile does not lie on the canvas or the sources do not hold it, there are more statistics than normalisations,
    /// or as [`Engine::run`](crate::engine::Engine::run).
    fn advance(&mut self, engine: &mut dyn Engine, step: &Step<'_>) -> Result<Answer, Error>;

    /// Runs a part on a small picture, whole, as far as its last barrier: [`Answer::Statistics`] of all of them.
    ///
    /// # Errors
    /// The input is no picture, or as [`Engine::run`](crate::engine::Engine::run).
    fn measure(&mut self, engine: &mut dyn Engine, part: Part, input: &Tensor) -> Result<Answer, Error>;

    /// Drops what is kept of the tiles that have read this tensor.
    fn forget(&mut self, source: Digest);

    /// Drops everything that is kept.
    fn forget_all(&mut self);
}

// === impl Step ===

impl Step<'_> {
    /// Whether the tile is the whole picture: it knows all statistics itself.
    fn is_alone(&self) -> bool {
        self.core.area() == u64::from(self.canvas.width) * u64::from(self.canvas.height)
    }
}

/// The network that a part belongs to.
#[must_use]
pub const fn network_of(part: Part) -> Vae {
    match part {
        Part::Decoder => Vae::Decoder,
        Part::Encoder | Part::EncoderEnd => Vae::Encoder,
    }
}
