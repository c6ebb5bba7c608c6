//! Tasks that wait for a worker: needs in, the most urgent one that a worker can run out.

use std::collections::{BTreeMap, HashMap};

use tessera_proto::{Digest, JobId, WorkerId};

/// A task's number within its job; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskNumber(pub u64);

/// A task among those of all jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskName {
    /// The job it belongs to.
    pub job: JobId,
    /// Its number there.
    pub number: TaskNumber,
}

/// Who comes first: compared field by field, the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority {
    /// When the job was submitted, as a running number.
    pub job: u64,
    /// Stage of the job, then the model call in it: what is behind holds others up.
    pub call: u64,
    /// `u32::MAX` less the tiles that wait for this one: the middle of the canvas goes before its rim.
    pub rank: u32,
}

/// Tasks of a job that build on one another: what one leaves on its worker spares the next one work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line {
    /// The job.
    pub job: JobId,
    /// Which of its lines.
    pub index: u32,
}

/// What a task needs to be run.
#[derive(Debug, Clone)]
pub struct Need {
    /// The task.
    pub task: TaskName,
    /// Hash of the model.
    pub model: [u8; 32],
    /// Who comes first.
    pub priority: Priority,
    /// Tensors that its work names.
    pub tensors: Vec<Digest>,
    /// The line of tasks that it goes on with: it waits for the worker that has the line, as long as that lives.
    pub line: Option<Line>,
    /// Times it failed on a worker.
    pub failures: u32,
    /// Times it lost its worker.
    pub losses: u32,
    /// A worker that should not get it again while there is another.
    pub avoid: Option<WorkerId>,
}

/// Waiting tasks, by model and then by urgency.
#[derive(Debug, Default)]
pub(super) struct Queue {
    by_model: HashMap<[u8; 32], BTreeMap<(Priority, TaskName), Need>>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn push(&mut self, need: Need) {
        self.by_model.entry(need.model).or_default().insert((need.priority, need.task), need);
    }

    /// Takes the most urgent task for `model` that `fits`.
    pub(super) fn pop(&mut self, model: [u8; 32], fits: impl Fn(&Need) -> bool) -> Option<Need> {
        let waiting = self.by_model.get_mut(&model)?;
        let key = waiting.iter().find(|(_, need)| fits(need)).map(|(&key, _)| key)?;
        waiting.remove(&key)
    }

    pub(super) fn drop_job(&mut self, job: JobId) {
        for waiting in self.by_model.values_mut() {
            waiting.retain(|(_, task), _| task.job != job);
        }
        self.by_model.retain(|_, waiting| !waiting.is_empty());
    }
}
