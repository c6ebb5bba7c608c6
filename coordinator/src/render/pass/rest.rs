//! A pass set down and taken up again: a pass in, the numbers that it goes on from out, and back.
//!
//! What is kept is what cannot be computed again: the latent, the solver's registers, how many results each group has
//! brought, and the outputs that wait for their neighbours. All else follows: a cell has finished as many calls as the
//! least advanced group over it, and noise is drawn anew from its seed.

use std::sync::Arc;

use super::{Gather, GroupIndex, Pass, PassPlan, groups_over};
use crate::{
    canvas::{CellIndex, TileIndex},
    render::{error::Error, gather},
    sample::NoiseSource,
};

/// A pass between two results.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::render) struct PassRest {
    /// The latent in the solver's scale, `[c, h, w]`.
    pub(in crate::render) x: Vec<f32>,
    /// What the solver remembers, each `[c, h, w]`.
    pub(in crate::render) registers: Vec<Vec<f32>>,
    /// Results of each group.
    pub(in crate::render) results: Vec<u32>,
    /// Outputs of tiles with a cell that is not finished, by tile.
    pub(in crate::render) held: Vec<(u32, Vec<f32>)>,
    /// What the pass started from, where it can begin again in smaller groups, `[c, h, w]`.
    pub(in crate::render) start: Option<Arc<Vec<f32>>>,
}

// === impl Pass ===

impl Pass {
    /// Results of all groups so far.
    pub(in crate::render) const fn completed(&self) -> usize {
        self.completed
    }

    /// What the pass can be taken up again from. Copies the latent.
    pub(in crate::render) fn rest(&self) -> PassRest {
        let registers = self.canvas.registers().filter(|register| !register.is_empty());
        let results = self.groups.iter().map(|group| u32::try_from(group.call).unwrap_or(u32::MAX));
        let held = self.gather.held().map(|(tile, values)| (tile.0, values.to_vec()));
        PassRest {
            x: self.canvas.x().to_vec(),
            registers: registers.map(<[f32]>::to_vec).collect(),
            results: results.collect(),
            held: held.collect(),
            start: self.start.clone(),
        }
    }

    /// Takes a pass up again; `noise` has drawn what it started from. Returns the groups that may be sent.
    ///
    /// # Errors
    /// The numbers are not those of a pass of this plan.
    pub(in crate::render) fn resume(
        plan: PassPlan,
        rest: PassRest,
        mut noise: NoiseSource,
    ) -> Result<(Self, Vec<GroupIndex>), Error> {
        let PassRest { x, registers, results, held, start } = rest;
        let (values, calls) = (plan.values(), plan.sampling.calls().len());
        let whole = |list: &Vec<f32>| list.len() == values;
        ensure(whole(&x) && registers.len() == plan.sampling.registers() && registers.iter().all(whole))?;
        let kept = start.as_ref().map(|start| start.len());
        ensure(kept == (1 < plan.batch).then_some(values))?;
        ensure(results.len() == plan.groups() && results.iter().all(|&call| call as usize <= calls))?;
        let (mut pass, _) = Self::new(plan, Vec::new(), noise.clone());
        let cells = Arc::clone(&pass.plan.tiling);
        let cells = cells.cells();
        for (group, &results) in pass.groups.iter_mut().zip(&results) {
            group.call = results as usize;
        }
        let finished: Vec<usize> = cells.indices().map(|cell| pass.finished(cell)).collect();
        for group in &mut pass.groups {
            // No group is further than one call ahead of a cell under it.
            let behind = |cell: &CellIndex| finished[cell.get()] < group.call;
            let under = group.cells(&pass.plan.tiling);
            ensure(under.iter().all(|cell| group.call <= finished[cell.get()] + 1))?;
            group.blocked = under.iter().filter(|cell| behind(cell)).count();
        }
        let call_of = |tile: TileIndex| pass.groups[pass.group_of[tile.get()].0 as usize].call;
        let held = held.into_iter().map(|(tile, values)| (TileIndex(tile), values));
        let counts = gather::Counts { results: &call_of, finished: &finished };
        pass.gather = Gather::resumed(Arc::clone(&pass.plan.tiling), pass.plan.channels, &counts, held)
            .ok_or(Error::Checkpoint)?;
        pass.canvas.resume(x, registers);
        pass.start = start;
        let ahead = pass.groups.iter().map(|group| group.call).max().unwrap_or(0);
        for (call, model_call) in pass.plan.sampling.calls().iter().take(ahead).enumerate() {
            if model_call.noise_draw.is_some() {
                let left = finished.iter().filter(|&&finished| finished <= call).count();
                pass.canvas.replay(noise.draw(values), left);
            }
        }
        pass.canvas.continue_noise(noise);
        pass.completed = pass.groups.iter().map(|group| group.call).sum();
        pass.cells_left = finished.iter().filter(|&&finished| finished < calls).count();
        let ready = pass.sendable(calls);
        Ok((pass, ready))
    }

    /// The groups that may be sent; those that wait behind a barrier are held.
    fn sendable(&mut self, calls: usize) -> Vec<GroupIndex> {
        let open = (0..).map(GroupIndex).zip(&self.groups);
        let open = open.filter(|(_, group)| group.blocked == 0 && group.call < calls);
        let open: Vec<_> = open.map(|(index, group)| (index, group.call)).collect();
        let last = self.groups.iter().map(|group| group.call).min().unwrap_or(0);
        let (ready, held): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|&(_, call)| !self.plan.barrier || call == last);
        self.held = held.into_iter().map(|(index, _)| index).collect();
        ready.into_iter().map(|(index, _)| index).collect()
    }

    /// The calls that a cell has finished.
    fn finished(&self, cell: CellIndex) -> usize {
        let over = groups_over(&self.plan.tiling, &self.group_of, cell);
        over.into_iter().map(|group| self.groups[group.0 as usize].call).min().unwrap_or(0)
    }
}

fn ensure(fits: bool) -> Result<(), Error> {
    if fits { Ok(()) } else { Err(Error::Checkpoint) }
}
