//! Tasks that wait for a worker: needs in; jobs in the order of their turn, and their tasks in the order of urgency, out.
//!
//! **Whose turn it is.** Each job pays for the device time of its tasks, the less per second the more it weighs, and the one
//! that has paid least is next (start-time fair queueing; Goyal, Vin and Cheng 1996). Jobs of one user pay together as
//! one. A job that comes, or comes back, begins where the others are: it neither waits for what they had before nor makes
//! up for what it did not use.

use std::collections::{BTreeMap, HashMap};

use tessera_proto::{JobId, WorkerId};

use super::{Line, Need, account::Account};

/// How much of the fleet a job gets beside others.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// When it was submitted, as a running number: of two that have paid the same, the older is first.
    pub order: u64,
    /// Whose it is; all jobs of a user together get as much as those of another.
    pub user: String,
    /// Its share beside other jobs, above 0.
    pub weight: f64,
}

/// All jobs with tasks.
#[derive(Debug, Default)]
pub(super) struct Queue {
    jobs: BTreeMap<JobId, Account>,
    /// The worker that has each line of tasks.
    homes: HashMap<Line, WorkerId>,
    /// What the job whose turn it last was had paid.
    clock: f64,
}

// === impl Standing ===

impl Default for Standing {
    fn default() -> Self {
        Self { order: 0, user: String::new(), weight: 1.0 }
    }
}

// === impl Queue ===

impl Queue {
    /// A job may have tasks from now on.
    pub(super) fn admit(&mut self, job: JobId, standing: Standing) {
        self.jobs.insert(job, Account::new(standing));
    }

    /// A task waits.
    pub(super) fn push(&mut self, need: Need) {
        let home = need.line.and_then(|line| self.homes.get(&line)).copied();
        let clock = self.clock;
        let account = self.account(need.task.job);
        if !account.is_active() {
            account.paid = account.paid.max(clock);
        }
        account.push(need, home);
    }

    /// A task waits for the first time.
    pub(super) fn push_new(&mut self, mut need: Need) {
        need.due = self.account(need.task.job).done + need.slack;
        self.push(need);
    }

    /// The jobs on this model with a task that the worker may run, in the order of their turn.
    pub(super) fn in_turn(&self, model: [u8; 32], worker: WorkerId) -> Vec<(JobId, &Account)> {
        let waiting =
            self.jobs.iter().filter(|(_, account)| account.model == model && account.waits_for(worker));
        let mut waiting: Vec<_> = waiting.map(|(&job, account)| (job, account)).collect();
        waiting.sort_by(|(_, a), (_, b)| {
            a.paid.total_cmp(&b.paid).then_with(|| a.standing.order.cmp(&b.standing.order))
        });
        waiting
    }

    /// Tasks on this model that any worker may run.
    pub(super) fn free(&self, model: [u8; 32]) -> usize {
        self.jobs.values().filter(|account| account.model == model).map(|account| account.free.len()).sum()
    }

    /// All tasks that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Need> {
        self.jobs.values().flat_map(Account::waiting)
    }

    /// A task that waited is handed to a worker, which is expected to take `seconds` for it. Returns what its job pays.
    pub(super) fn take(&mut self, need: &Need, worker: WorkerId, seconds: Option<f64>) -> f64 {
        if let Some(line) = need.line {
            self.homes.insert(line, worker);
        }
        let price = self.price(need.task.job);
        let clock = self.clock;
        let account = self.account(need.task.job);
        account.remove(need, worker);
        if let Some(line) = need.line {
            account.settle_line(line, worker);
        }
        account.leased += 1;
        let paid = price * seconds.unwrap_or(account.usual);
        let clock = clock.max(account.paid);
        account.paid += paid;
        self.clock = clock;
        paid
    }

    /// A lease more on a task that is handed out already, or one less.
    pub(super) fn leased(&mut self, job: JobId, change: isize) {
        let account = self.account(job);
        account.leased = account.leased.saturating_add_signed(change);
    }

    /// A task for which the job has paid took `seconds`; `None` = it was not run, or did not end.
    pub(super) fn settle(&mut self, job: JobId, paid: f64, seconds: Option<f64>) {
        let price = self.price(job);
        let account = self.account(job);
        account.leased = account.leased.saturating_sub(1);
        account.paid += price * seconds.unwrap_or(0.0) - paid;
        if let Some(seconds) = seconds {
            account.usual = seconds;
        }
    }

    /// One more result was accepted.
    pub(super) fn accepted(&mut self, job: JobId) {
        self.account(job).done += 1;
    }

    /// The worker has this line from now on.
    pub(super) fn move_line(&mut self, line: Line, worker: WorkerId) {
        self.homes.insert(line, worker);
    }

    /// Nobody has this line from now on.
    pub(super) fn free_line(&mut self, line: Line) {
        self.homes.remove(&line);
    }

    /// The worker takes no more tasks: what waited for it waits for any.
    pub(super) fn leave(&mut self, worker: WorkerId) {
        self.homes.retain(|_, home| *home != worker);
        self.jobs.values_mut().for_each(|account| account.leave(worker));
    }

    /// The job's tasks wait no more.
    pub(super) fn clear(&mut self, job: JobId) {
        self.homes.retain(|line, _| line.job != job);
        if let Some(account) = self.jobs.get_mut(&job) {
            account.free.clear();
            account.homed.clear();
        }
    }

    /// The job is over.
    pub(super) fn remove(&mut self, job: JobId) {
        self.clear(job);
        self.jobs.remove(&job);
    }

    /// What a job pays for a second of a device.
    fn price(&self, job: JobId) -> f64 {
        let Some(own) = self.jobs.get(&job) else { return 1.0 };
        let of_user = |account: &&Account| {
            account.model == own.model && account.is_active() && account.standing.user == own.standing.user
        };
        let together: f64 = self.jobs.values().filter(of_user).map(|account| account.standing.weight).sum();
        let most =
            self.jobs.values().filter(of_user).map(|account| account.standing.weight).fold(0.0, f64::max);
        if together <= 0.0 { 1.0 / own.standing.weight } else { together / (most * own.standing.weight) }
    }

    fn account(&mut self, job: JobId) -> &mut Account {
        self.jobs.entry(job).or_insert_with(|| Account::new(Standing::default()))
    }
}
