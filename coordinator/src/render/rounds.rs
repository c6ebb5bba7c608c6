//! Tiles that pass barriers together: parts of statistics in any order in, the statistics of the whole out. Pure.
//!
//! At each barrier every tile reports count, mean and M2 over its own core. The parts are merged here in f64 and in tile
//! order, so that the sums do not depend on who answered first, by Chan, Golub & LeVeque 1979
//! ([`Moments::merge`]). Cores do not overlap: nothing is counted twice.

use tessera_proto::Moments;

use super::error::Error;

/// Where tiles stand.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Normalisations whose statistics are merged.
    barriers: usize,
    /// Statistics of the whole picture, by barrier passed.
    known: Vec<Moments>,
    /// The tiles' parts of the next ones.
    parts: Vec<Option<Moments>>,
    /// Tiles that have not reached the next barrier, or their end.
    left: usize,
}

/// What a tile's arrival leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// Others are behind.
    Wait,
    /// All tiles are at the barrier: all go on.
    Advance,
    /// All tiles are at their end.
    End,
}

// === impl Rounds ===

impl Rounds {
    pub(super) fn new(tiles: usize, barriers: usize) -> Self {
        Self { barriers, known: Vec::new(), parts: vec![None; tiles], left: tiles }
    }

    /// Takes statistics that were estimated for the first barriers.
    pub(super) fn know(&mut self, estimated: Vec<Moments>) {
        self.known = estimated;
    }

    /// Tiles.
    pub(super) fn tiles(&self) -> usize {
        self.parts.len()
    }

    /// Statistics of the whole picture, by barrier passed.
    pub(super) fn known(&self) -> &[Moments] {
        &self.known
    }

    /// Whether the tiles' next answers are their results. A tile that is the whole picture needs nobody's statistics.
    pub(super) fn is_last(&self) -> bool {
        self.known.len() == self.barriers || self.tiles() == 1
    }

    /// Whether statistics can be a tile's part of the next ones.
    pub(super) fn fits(&self, moments: &Moments) -> bool {
        let other = self.parts.iter().flatten().next();
        let alike = |other: &Moments| other.mean().len() == moments.mean().len();
        self.known.len() < self.barriers && 0 < moments.count() && other.is_none_or(alike)
    }

    /// A tile is at the barrier, with a part that [fits](Self::fits), or, without one, at its end.
    pub(super) fn arrive(&mut self, tile: usize, part: Option<Moments>) -> Result<Round, Error> {
        self.parts[tile] = part;
        self.left -= 1;
        if 0 < self.left {
            return Ok(Round::Wait);
        }
        self.left = self.tiles();
        let mut parts = self.parts.iter_mut().filter_map(Option::take);
        let Some(mut whole) = parts.next() else { return Ok(Round::End) };
        for part in parts {
            whole.merge(&part)?;
        }
        self.known.push(whole);
        Ok(Round::Advance)
    }
}
