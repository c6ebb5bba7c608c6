//! A job's open tasks and how far it is: items in, numbered requests out.

use std::collections::HashMap;

use tessera_proto::{Digest, Stage};

use crate::{
    canvas::TileIndex,
    fleet::{Class, TaskNumber},
    render::{event::Request, pass::GroupIndex},
};

/// The first line of an encode's tiles; a decode's begin at 0, so that neither goes where the other's lie.
const ENCODE_LINES: u32 = 1 << 31;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being worked on.
    pub stage: Stage,
    /// Tasks done in this stage.
    pub stage_done: u64,
    /// Tasks of this stage.
    pub stage_total: u64,
    /// Tasks done in the job.
    pub done: u64,
    /// Tasks of the job.
    pub total: u64,
}

/// Where a task lies in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The stage.
    pub stage: Stage,
    /// The tile, or the first one of its batch.
    pub tile: Option<u32>,
    /// The model call of a pass, from 0.
    pub step: Option<u64>,
}

/// What a task is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    /// The text of this index.
    Embed(usize),
    Group(GroupIndex),
    /// The estimate of a decode or encode in fast mode.
    Measure,
    Decode(TileIndex),
    /// Of the present pass.
    Upscale(TileIndex),
    Encode(TileIndex),
    /// The last part of an exact encode.
    EncodeEnd,
}

/// Tasks whose results have not come; a number is never used twice.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    open: HashMap<TaskNumber, Item>,
    next: u64,
}

// === impl Progress ===

impl Progress {
    /// At the start of a job of `total` tasks, `first` of which are of its first stage.
    pub(super) const fn new(stage: Stage, total: u64, first: u64) -> Self {
        Self { stage, stage_done: 0, stage_total: first, done: 0, total }
    }

    /// One more result.
    pub(super) const fn count(&mut self) {
        self.done += 1;
        self.stage_done += 1;
    }

    /// So many tasks of the stage are left again: those that a job taken up here runs once more do not count as done.
    pub(super) const fn rewind(&mut self, left: usize) {
        let again = (left as u64).saturating_sub(self.stage_total.saturating_sub(self.stage_done));
        self.done = self.done.saturating_sub(again);
        self.stage_done = self.stage_done.saturating_sub(again);
    }

    /// A part of the stage of `before` tasks begins again with `after`.
    pub(super) const fn redo(&mut self, before: usize, after: usize) {
        let (before, after) = (before as u64, after as u64);
        // What is left of the stage is left of this part, which is the last one that was entered.
        let done = before.saturating_sub(self.stage_total - self.stage_done);
        self.done -= done;
        self.stage_done -= done;
        self.stage_total = self.stage_total + after - before;
        self.total = self.total + after - before;
    }

    /// Goes on to `tasks` tasks of `stage`. Reading and encoding are two halves of one stage.
    pub(super) fn enter(&mut self, stage: Stage, tasks: usize) {
        if self.stage == stage {
            self.stage_total = self.stage_done + tasks as u64;
        } else {
            *self = Self { stage, stage_done: 0, stage_total: tasks as u64, ..*self };
        }
    }
}

// === impl Tasks ===

impl Tasks {
    /// Opens a task. `call` is its place in the job, `waiting` how many tiles wait for it. The job adds what the task costs.
    pub(super) fn open(&mut self, item: Item, (call, waiting): (u64, u32), tensors: Vec<Digest>) -> Request {
        let task = TaskNumber(self.next);
        self.next += 1;
        self.open.insert(task, item);
        let (class, slack) = (Class::default(), 0);
        Request { task, call, rank: u32::MAX - waiting, class, slack, tensors, line: None }
    }

    /// Opens a task that goes on where the one before it on the same tile stopped.
    pub(super) fn open_next(&mut self, item: Item, call: u64, source: Digest) -> Request {
        let line = match item {
            Item::Decode(tile) => Some(tile.0),
            Item::Encode(tile) => Some(ENCODE_LINES + tile.0),
            _ => None,
        };
        Request { line, ..self.open(item, (call, 0), vec![source]) }
    }

    /// What an open task is.
    pub(super) fn get(&self, task: TaskNumber) -> Option<Item> {
        self.open.get(&task).copied()
    }

    /// Forgets all open tasks: late results of theirs change nothing.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Closes a task, whose result has come.
    pub(super) fn close(&mut self, task: TaskNumber) -> Option<Item> {
        self.open.remove(&task)
    }
}
