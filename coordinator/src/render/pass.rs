//! One denoising pass over a latent: network outputs of tiles in; tiles that may be sent next, and at last the latent,
//! out. Pure.
//!
//! There is no barrier. Each cell of the canvas counts the model calls it has finished; a group of tiles may be sent for
//! call k as soon as all its cells have finished call k - 1. The prediction is blended at every call and one solver steps
//! the cells, so a tile's neighbours are never more than one call behind it, and the result is bit for bit that of
//! stepping the whole canvas at once. A plan may ask for the barrier all the same, to compare with.

mod rest;

use std::{collections::BTreeSet, sync::Arc};

use tessera_proto::Tensor;

use super::{error::Error, gather::Gather, stepped::Canvas};
use crate::{
    canvas::{CellIndex, Planes, TileIndex, Tiling, crop},
    sample::{ModelCall, NoiseSource, Sampling},
};

pub(super) use rest::PassRest;

/// Tiles that one network call takes together, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupIndex(pub u32);

/// What to run on: everything that does not change during a pass.
#[derive(Debug, Clone)]
pub struct PassPlan {
    /// Solver and schedule.
    pub sampling: Arc<Sampling>,
    /// Geometry, latent px.
    pub tiling: Arc<Tiling>,
    /// Tiles in one network call, at least 1.
    pub batch: usize,
    /// Planes of a latent.
    pub channels: usize,
    /// Whether every group waits until all have finished the call before. The result is the same.
    pub barrier: bool,
}

/// A pass under way.
#[derive(Debug)]
pub struct Pass {
    plan: PassPlan,
    groups: Vec<Group>,
    /// Which group a tile belongs to.
    group_of: Vec<GroupIndex>,
    gather: Gather,
    canvas: Canvas,
    /// Cells that have not finished the last call.
    cells_left: usize,
    /// Results of groups, of all calls.
    completed: usize,
    /// Behind a barrier: groups that are ready and wait for the others.
    held: Vec<GroupIndex>,
    /// What it started from, kept where it can begin again in smaller groups.
    start: Option<Arc<Vec<f32>>>,
}

/// Tiles that are sent together, and how far they are.
#[derive(Debug)]
struct Group {
    tiles: Vec<TileIndex>,
    /// The model call that it runs or waits for.
    call: usize,
    /// Its cells that have not finished the call before.
    blocked: usize,
    /// Tiles of other groups that share a cell with it.
    neighbours: u32,
}

// === impl PassPlan ===

impl PassPlan {
    /// Groups of tiles, each of which is one task per model call.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.tiling.grid().tiles().len().div_ceil(self.batch)
    }

    /// Tasks of the whole pass.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.groups() * self.sampling.calls().len()
    }

    /// The shape of a group's tiles, `[n, c, h, w]`.
    #[must_use]
    pub fn shape(&self, group: usize) -> [usize; 4] {
        let (width, height) = self.tiling.grid().padded();
        let before = group * self.batch;
        let tiles = self.tiling.grid().tiles().len().saturating_sub(before).min(self.batch);
        [tiles, self.channels, height as usize, width as usize]
    }

    /// Values of the latent.
    #[must_use]
    pub fn values(&self) -> usize {
        let (width, height) = self.tiling.grid().canvas();
        self.channels * width as usize * height as usize
    }

    /// How many results can come, after `completed` of them, until the pass stands still for want of call `call` of the group
    /// that begins with `tile`.
    ///
    /// A tile `d` neighbours away from one that waits for call `k` gets no further than call `k + d`. Groups of several tiles
    /// are taken for as many groups of one.
    #[must_use]
    pub fn slack(&self, tile: TileIndex, call: usize, completed: usize) -> usize {
        let (tiles, calls) = (self.tiling.grid().tiles().len(), self.sampling.calls().len());
        let mut reachable = tiles * call;
        if self.barrier {
            reachable += tiles - 1;
        } else {
            let mut within = self.tiling.cells().ripples(tile);
            let mut beyond = tiles;
            for _ in call..calls {
                // What no number of steps reaches does not wait for it.
                beyond = within.next().map_or(beyond, |count| tiles - count);
                reachable += beyond;
            }
        }
        (reachable / self.batch).saturating_sub(completed)
    }
}

// === impl Pass ===

impl Pass {
    /// Starts from `x` (in the solver's scale, row-major `[c, h, w]`). `noise` continues the generator that drew the
    /// starting noise. Returns the groups that may be sent at once: all.
    #[must_use]
    pub fn new(plan: PassPlan, x: Vec<f32>, noise: NoiseSource) -> (Self, Vec<GroupIndex>) {
        let tiling = &plan.tiling;
        let cells = tiling.cells();
        let tiles: Vec<TileIndex> = tiling.grid().indices().collect();
        let groups: Vec<Group> = tiles.chunks(plan.batch).map(|tiles| Group::new(tiles, tiling)).collect();
        let indices = || (0..).map(GroupIndex).take(groups.len());
        let group_of =
            groups.iter().zip(indices()).flat_map(|(group, index)| group.tiles.iter().map(move |_| index));
        let (width, height) = tiling.grid().canvas();
        let start = (1 < plan.batch).then(|| Arc::new(x.clone()));
        let pass = Self {
            group_of: group_of.collect(),
            gather: Gather::new(Arc::clone(tiling), plan.channels),
            canvas: Canvas::new(x, (width as usize, height as usize), noise, &plan.sampling, cells.count()),
            cells_left: cells.count(),
            completed: 0,
            held: Vec::new(),
            start,
            groups,
            plan,
        };
        let ready = (0..).map(GroupIndex).take(pass.groups.len()).collect();
        (pass, ready)
    }

    /// What the pass runs on.
    #[must_use]
    pub fn plan(&self) -> &PassPlan {
        &self.plan
    }

    /// The same with half as many tiles in a call, and what it starts from; `None` where there is one tile in each.
    #[must_use]
    pub fn halved(&self) -> Option<(PassPlan, Arc<Vec<f32>>)> {
        let start = self.start.as_ref()?;
        Some((PassPlan { batch: self.plan.batch / 2, ..self.plan.clone() }, Arc::clone(start)))
    }

    /// The model call that a group runs or waits for.
    #[must_use]
    pub fn call(&self, group: GroupIndex) -> (usize, ModelCall) {
        let call = self.groups[group.0 as usize].call;
        (call, self.plan.sampling.calls()[call])
    }

    /// How many tiles wait for this group: the more, the sooner it should run.
    #[must_use]
    pub fn neighbours(&self, group: GroupIndex) -> u32 {
        self.groups[group.0 as usize].neighbours
    }

    /// How many results of other groups can come, from now on, until the pass stands still for want of this group's.
    #[must_use]
    pub fn slack(&self, group: GroupIndex) -> usize {
        self.plan.slack(self.first_tile(group), self.groups[group.0 as usize].call, self.completed)
    }

    /// The first tile of a group, to name it.
    #[must_use]
    pub fn first_tile(&self, group: GroupIndex) -> TileIndex {
        self.groups[group.0 as usize].tiles[0]
    }

    /// The shape of a group's tiles and of their output, `[n, c, h, w]`.
    #[must_use]
    pub fn shape(&self, group: GroupIndex) -> [usize; 4] {
        self.plan.shape(group.0 as usize)
    }

    /// The group's tiles as the network gets them, before scaling: `[n, c, h, w]`.
    ///
    /// # Errors
    /// None in a consistent pass: geometry and latent are of one plan.
    pub fn tiles(&self, group: GroupIndex) -> Result<Tensor, Error> {
        let Self { plan, canvas, .. } = self;
        let grid = plan.tiling.grid();
        let (width, height) = grid.canvas();
        let latent = Planes::new([plan.channels, height as usize, width as usize], canvas.x())?;
        let tiles = &self.groups[group.0 as usize].tiles;
        let length = plan.tiling.tile_len(plan.channels);
        let mut batch = vec![0.0; tiles.len() * length];
        for (&tile, values) in tiles.iter().zip(batch.chunks_exact_mut(length)) {
            crop(latent, grid.tile(tile), grid.padded(), values)?;
        }
        Ok(Tensor::new(self.shape(group), batch)?)
    }

    /// Takes the network's guided output for a group's tiles; returns the groups that may be sent now.
    ///
    /// # Errors
    /// The output has another shape than the tiles.
    pub fn complete(&mut self, group: GroupIndex, output: &Tensor) -> Result<Vec<GroupIndex>, Error> {
        let Self { plan, groups, gather, canvas, .. } = self;
        let state = &mut groups[group.0 as usize];
        let length = plan.tiling.tile_len(plan.channels);
        let expected = state.tiles.len() * length;
        if output.data().len() != expected {
            return Err(Error::Output { expected, actual: output.data().len() });
        }
        let call = state.call;
        state.call += 1;
        self.completed += 1;
        state.blocked = state.cells(&plan.tiling).len();
        canvas.prepare(&plan.sampling, call);
        let mut done = Vec::new();
        for (&tile, values) in state.tiles.iter().zip(output.data().chunks_exact(length)) {
            let advance = |_, row, prediction: &[f32]| canvas.advance(&plan.sampling, call, row, prediction);
            done.extend(gather.put(tile, values.to_vec(), advance)?);
        }
        canvas.release(&plan.sampling, call, done.len());
        if call + 1 == plan.sampling.calls().len() {
            self.cells_left -= done.len();
            return Ok(Vec::new());
        }
        let ready = self.unblock(&done);
        if !self.plan.barrier {
            return Ok(ready);
        }
        self.held.extend(ready);
        let all = self.held.len() == self.groups.len();
        Ok(if all { std::mem::take(&mut self.held) } else { Vec::new() })
    }

    /// Whether every cell has finished its last call.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.cells_left == 0
    }

    /// The denoised latent, `[c, h, w]`.
    #[must_use]
    pub fn into_latent(self) -> Vec<f32> {
        let mut latent = self.canvas.into_x();
        self.plan.sampling.finish(&mut latent);
        latent
    }

    /// These cells have finished a call: which groups waited for nothing else?
    fn unblock(&mut self, done: &[CellIndex]) -> Vec<GroupIndex> {
        let mut ready = Vec::new();
        for &cell in done {
            // All groups over a cell have delivered the call that it finished, so all of them wait for the next.
            for group in groups_over(&self.plan.tiling, &self.group_of, cell) {
                let state = &mut self.groups[group.0 as usize];
                state.blocked -= 1;
                if state.blocked == 0 {
                    ready.push(group);
                }
            }
        }
        ready
    }
}

// === impl Group ===

impl Group {
    fn new(tiles: &[TileIndex], tiling: &Tiling) -> Self {
        let cells = tiling.cells();
        let around: BTreeSet<TileIndex> = tiles.iter().flat_map(|&tile| cells.neighbours(tile)).collect();
        let neighbours = around.iter().filter(|tile| !tiles.contains(tile)).count();
        let neighbours = u32::try_from(neighbours).unwrap_or(u32::MAX);
        Self { tiles: tiles.to_vec(), call: 0, blocked: 0, neighbours }
    }

    /// The cells under its tiles, each once.
    fn cells(&self, tiling: &Tiling) -> BTreeSet<CellIndex> {
        self.tiles.iter().flat_map(|&tile| tiling.cells().cells(tile)).collect()
    }
}

/// The groups whose tiles cover a cell, each once.
fn groups_over(tiling: &Tiling, group_of: &[GroupIndex], cell: CellIndex) -> BTreeSet<GroupIndex> {
    tiling.cells().tiles(cell).map(|tile| group_of[tile.get()]).collect()
}

#[cfg(test)]
mod tests;
