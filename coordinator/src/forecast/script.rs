//! The tasks of one leg: which are done in, which may run now out. Pure, and without a single value of a latent.

use std::collections::BTreeSet;

use tessera_proto::Class;

use crate::{
    canvas::TileIndex,
    render::{Leg, Steps, pass::PassPlan},
};

/// A leg under way.
#[derive(Debug)]
pub(super) struct Script<'a> {
    leg: &'a Leg,
    flow: Flow<'a>,
}

/// A task that may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    /// The group of tiles, or the tile.
    pub(super) index: usize,
    /// Its call, or its round.
    pub(super) step: usize,
    pub(super) class: Class,
    /// Tiles that wait for it.
    pub(super) waiting: u32,
    /// Tasks that can be done without it.
    pub(super) slack: u64,
    /// Whether it should stay on the worker that ran the step before.
    pub(super) kept: bool,
}

#[derive(Debug)]
enum Flow<'a> {
    Pass(Pass<'a>),
    Rounds { tiles: usize, rounds: usize, round: usize, left: usize, kept: bool },
}

/// A pass as far as what waits for what.
#[derive(Debug)]
struct Pass<'a> {
    plan: &'a PassPlan,
    /// Calls that are played.
    calls: usize,
    groups: Vec<Group>,
    completed: usize,
}

#[derive(Debug)]
struct Group {
    /// Groups that share a cell with it, and itself.
    around: Vec<usize>,
    /// Tiles of other groups that do.
    waiting: u32,
    /// Calls that it has finished.
    done: usize,
    /// Whether its next call was handed out.
    out: bool,
}

// === impl Script ===

impl<'a> Script<'a> {
    /// Begins; of a pass only the first `calls` model calls. Returns what may run.
    pub(super) fn new(leg: &'a Leg, calls: usize) -> (Self, Vec<Ready>) {
        let flow = match &leg.steps {
            Steps::Pass { plan, .. } => Flow::Pass(Pass::new(plan, calls)),
            Steps::Rounds { tiles, rounds, kept } => {
                let tiles = tiles.len();
                Flow::Rounds { tiles, rounds: *rounds, round: 0, left: tiles, kept: *kept && 1 < *rounds }
            }
        };
        let mut script = Self { leg, flow };
        let all: Vec<usize> = match &script.flow {
            Flow::Pass(pass) => (0..pass.groups.len()).collect(),
            Flow::Rounds { tiles, .. } => (0..*tiles).collect(),
        };
        let ready = script.ready(&all);
        (script, ready)
    }

    /// A task is done; returns what may run now.
    pub(super) fn complete(&mut self, index: usize) -> Vec<Ready> {
        let next = match &mut self.flow {
            Flow::Pass(pass) => pass.complete(index),
            Flow::Rounds { tiles, rounds, round, left, .. } => {
                *left -= 1;
                if *left == 0 && *round + 1 < *rounds {
                    (*round, *left) = (*round + 1, *tiles);
                    (0..*tiles).collect()
                } else {
                    Vec::new()
                }
            }
        };
        self.ready(&next)
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        match &self.flow {
            Flow::Pass(pass) => pass.completed == pass.groups.len() * pass.calls,
            Flow::Rounds { rounds, round, left, .. } => *left == 0 && *round + 1 == *rounds,
        }
    }

    fn ready(&mut self, indices: &[usize]) -> Vec<Ready> {
        let Self { leg, flow } = self;
        let others = indices.len().saturating_sub(1) as u64;
        let ready = indices.iter().map(|&index| match flow {
            Flow::Pass(pass) => {
                pass.groups[index].out = true;
                let (waiting, step) = (pass.groups[index].waiting, pass.groups[index].done);
                let slack = pass.plan.slack(pass.first_tile(index), step, pass.completed) as u64;
                Ready { index, step, class: leg.steps.class(index, step), waiting, slack, kept: false }
            }
            Flow::Rounds { round, kept, .. } => {
                let class = leg.steps.class(index, *round);
                Ready { index, step: *round, class, waiting: 0, slack: others, kept: *kept }
            }
        });
        ready.collect()
    }
}

// === impl Pass ===

impl<'a> Pass<'a> {
    fn new(plan: &'a PassPlan, calls: usize) -> Self {
        let calls = calls.min(plan.sampling.calls().len());
        let groups = (0..plan.groups()).map(|group| Group::new(plan, group)).collect();
        Self { plan, calls, groups, completed: 0 }
    }

    fn first_tile(&self, group: usize) -> TileIndex {
        TileIndex(u32::try_from(group * self.plan.batch).unwrap_or(u32::MAX))
    }

    /// Returns the groups whose neighbours have all finished the call before their own next one.
    fn complete(&mut self, group: usize) -> Vec<usize> {
        self.completed += 1;
        (self.groups[group].done, self.groups[group].out) = (self.groups[group].done + 1, false);
        if !self.plan.barrier {
            let around = self.groups[group].around.iter().copied();
            return around.filter(|&other| self.may_run(other)).collect();
        }
        let all_wait = self.completed.is_multiple_of(self.groups.len());
        let all = (0..self.groups.len()).filter(|&other| self.groups[other].done < self.calls);
        if all_wait { all.collect() } else { Vec::new() }
    }

    fn may_run(&self, group: usize) -> bool {
        let Group { around, done, out, .. } = &self.groups[group];
        !out && *done < self.calls && around.iter().all(|&other| *done <= self.groups[other].done)
    }
}

// === impl Group ===

impl Group {
    fn new(plan: &PassPlan, group: usize) -> Self {
        let cells = plan.tiling.cells();
        let first = group * plan.batch;
        let own = first..plan.tiling.grid().tiles().len().min(first + plan.batch);
        let tiles = own.clone().map(|tile| TileIndex(u32::try_from(tile).unwrap_or(u32::MAX)));
        let around: BTreeSet<usize> =
            tiles.flat_map(|tile| cells.neighbours(tile)).map(TileIndex::get).collect();
        let waiting = around.iter().filter(|tile| !own.contains(tile)).count();
        let around: BTreeSet<usize> = around.iter().map(|tile| tile / plan.batch).chain([group]).collect();
        Self {
            around: around.into_iter().collect(),
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
            done: 0,
            out: false,
        }
    }
}

#[cfg(test)]
mod tests;
