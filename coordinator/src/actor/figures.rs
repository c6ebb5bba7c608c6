//! The coordinator in numbers, as its metrics page, its health check and the scaler of its workers show it.

use crate::fleet::Load;

/// How things stand at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Jobs that are not over.
    pub(crate) jobs: OpenJobs,
    /// Tasks that wait and that run.
    pub(crate) load: Load,
    /// Workers that are connected.
    pub(crate) workers: u64,
    /// Clients that follow a job.
    pub(crate) watchers: u64,
    /// Outcomes dropped because their lease was void, so far.
    pub(crate) stale: u64,
    /// Tasks that a second worker was given, so far.
    pub(crate) duplicates: u64,
    /// Workers that would not be idle if they were there.
    pub(crate) wanted: u64,
    /// Why the store fails at the moment.
    pub(crate) fault: Option<String>,
}

/// Jobs that are not over, each in one state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OpenJobs {
    /// They have not begun, or wait to go on.
    pub(crate) waiting: u64,
    /// Their tasks run.
    pub(crate) running: u64,
    /// Their last row is on its way.
    pub(crate) saving: u64,
    /// They stand still because the store fails.
    pub(crate) paused: u64,
}
