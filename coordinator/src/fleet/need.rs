//! A task as the fleet sees it: its name, what it needs, and how urgent it is.

use tessera_proto::{Digest, JobId, WorkerId};

use super::{account::Key, speed::Class};

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

/// Which of a job's tasks comes first: compared field by field, the smallest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority {
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
    /// What decides how long it takes.
    pub class: Class,
    /// Which of the job's tasks comes first.
    pub priority: Priority,
    /// Tasks of its job that can be done, from now on, until the job stands still for want of this one.
    pub slack: u64,
    /// Tensors that its work names.
    pub tensors: Vec<Digest>,
    /// The line of tasks that it goes on with: it waits for the worker that has the line, as long as that lives.
    pub line: Option<Line>,
    /// Times it failed on a worker.
    pub(super) failures: u32,
    /// Times it lost its worker.
    pub(super) losses: u32,
    /// A worker that should not get it again while there is another.
    pub(super) avoid: Option<WorkerId>,
    /// Whose answer to it was refused.
    pub(super) suspect: Option<WorkerId>,
    /// Tasks of its job that are done when the job stands still for want of this one.
    pub(super) due: u64,
}

// === impl Need ===

impl Need {
    /// A task that has not been tried, needs no tensors, and for which nothing waits.
    #[must_use]
    pub const fn new(task: TaskName, model: [u8; 32], class: Class, priority: Priority) -> Self {
        Self {
            task,
            model,
            class,
            priority,
            slack: 0,
            tensors: Vec::new(),
            line: None,
            failures: 0,
            losses: 0,
            avoid: None,
            suspect: None,
            due: 0,
        }
    }

    /// Where it stands among the tasks of its job.
    pub(super) const fn key(&self) -> Key {
        (self.priority, self.task.number)
    }
}
