//! A job from its first state to its last: a job's id in, its end or why it has none out.

mod all;
mod patience;
mod states;

pub(crate) use all::all;

use std::{collections::BTreeSet, time::Duration};

use tessera_proto::{FailureClass, JobId, JobState, JobStatus};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    client::{self, Client},
    exit::Failure,
    interrupt::Interrupt,
    local::{self, Fleet},
    output::Output,
    progress::Progress,
};
use patience::{Lack, Patience};
use states::States;

/// How long a coordinator may take to cancel a job before we leave without its word.
const CANCEL: Duration = Duration::from_secs(5);

/// What Ctrl-C means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// The job belongs to this command: end it too.
    Cancel,
    /// The job goes on without us.
    Leave,
}

/// One job and all that can happen while it is followed.
#[derive(Debug)]
pub(crate) struct Follow<'a> {
    /// The way to its coordinator.
    pub(crate) client: &'a mut Client,
    /// The job.
    pub(crate) job: JobId,
    /// Where its progress is shown.
    pub(crate) output: &'a Output,
    /// The user's wish to stop.
    pub(crate) interrupt: &'a mut Interrupt,
    /// What Ctrl-C means.
    pub(crate) on_interrupt: OnInterrupt,
    /// The workers that we started for it.
    pub(crate) fleet: Option<&'a mut Fleet>,
    /// How long it may lack a worker, where we are to watch over that.
    pub(crate) patience: Option<Duration>,
}

/// What happened first.
enum Happening {
    Status(Result<JobStatus, client::Error>),
    Fleet(local::Event),
    Interrupt,
    Impatience,
}

// === impl Follow ===

impl Follow<'_> {
    /// Shows the job's progress until it is done; returns its last status.
    ///
    /// # Errors
    /// It failed, was cancelled or interrupted, cannot be done by our workers, or lacked one for too long.
    pub(crate) async fn run(mut self) -> Result<JobStatus, Failure> {
        let states = States::open(self.client, self.job, Some(self.output.clone()));
        let Some(states) = self.interrupt.or(states).await else {
            return Err(self.interrupted().await);
        };
        let mut states = states?;
        let mut progress = Progress::new(self.output);
        let mut notes = Notes::default();
        let mut patience = Patience::new(self.patience, Instant::now());
        loop {
            let deadline = patience.deadline();
            let happening = tokio::select! {
                status = states.next() => Happening::Status(status),
                event = next_event(self.fleet.as_deref_mut()) => Happening::Fleet(event),
                () = self.interrupt.next() => Happening::Interrupt,
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Happening::Impatience,
            };
            match happening {
                Happening::Status(status) => {
                    let status = status?;
                    if patience.heed(&status, Instant::now()) {
                        self.say_loss();
                    }
                    notes.show(&status, self.output);
                    progress.show(&status, self.output)?;
                    if status.state.is_final() {
                        return verdict(&status).map(|()| status);
                    }
                }
                Happening::Fleet(event) => self.fleet_event(event).await?,
                Happening::Interrupt => return Err(self.interrupted().await),
                Happening::Impatience => return Err(self.impatient(patience.lack()).await),
            }
        }
    }

    /// A worker of ours was restarted, or is lost for good.
    async fn fleet_event(&mut self, event: local::Event) -> Result<(), Failure> {
        let failure = match event {
            local::Event::Restarted { note } | local::Event::Lost { note } => {
                self.output.note(note);
                return Ok(());
            }
            local::Event::Refused { sentence } => Failure::usage(anyhow::Error::msg(sentence)),
            local::Event::AllLost { sentence } => Failure::failed(anyhow::Error::msg(sentence)),
        };
        self.cancel().await;
        Err(failure)
    }

    /// Workers of our own tell their ends themselves.
    fn say_loss(&self) {
        if self.fleet.is_none() {
            let limit = self.patience.map(|limit| format!(" for at most {} s", limit.as_secs_f64()));
            let limit = limit.unwrap_or_default();
            self.output.note(format_args!(
                "no worker is left: the job waits{limit} until another one with its model connects"
            ));
        }
    }

    async fn interrupted(&mut self) -> Failure {
        match self.on_interrupt {
            OnInterrupt::Leave => Failure::interrupted(format!("stopped watching; job {} goes on", self.job)),
            OnInterrupt::Cancel => {
                end_for_user(self.client.cancel(self.job), self.interrupt, self.output).await
            }
        }
    }

    async fn impatient(&mut self, lack: Option<Lack>) -> Failure {
        self.cancel().await;
        let seconds = self.patience.unwrap_or_default().as_secs_f64();
        let served = self.served().await;
        let other_model = served.is_some();
        let advice = match served {
            Some(models) => format!("the workers serve {models}: choose one of these with --model"),
            None => "see `tessera workers`, or wait longer with --worker-wait".to_owned(),
        };
        match lack {
            Some(Lack::Another) => Failure::failed(anyhow::anyhow!(
                "no worker is left that has the job's model, and no other connected within {seconds} s: {advice}"
            )),
            Some(Lack::First) | None => {
                let error =
                    anyhow::anyhow!("no worker with the job's model connected within {seconds} s: {advice}");
                // The same command works when there is a worker; where there are others, another model is needed.
                if other_model { Failure::usage(error) } else { Failure::failed(error) }
            }
        }
    }

    /// Names of the models that workers have, or none if there is no worker or no answer in time.
    async fn served(&mut self) -> Option<String> {
        let workers = self.interrupt.or(timeout(CANCEL, self.client.workers())).await?.ok()?.ok()?;
        let names: BTreeSet<String> = workers.into_iter().map(|worker| worker.model_name).collect();
        (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Asks the coordinator to end the job, as far as it answers in time. A signal ends the wait.
    async fn cancel(&mut self) {
        self.interrupt.or(timeout(CANCEL, self.client.cancel(self.job))).await;
    }
}

/// Ends a job because the user wants that, and says what became of it. A second signal ends the wait.
pub(crate) async fn end_for_user(
    cancel: impl Future<Output = Result<JobStatus, client::Error>>,
    interrupt: &mut Interrupt,
    output: &Output,
) -> Failure {
    output.note("cancelling the job; Ctrl-C again stops at once");
    match interrupt.or(timeout(CANCEL, cancel)).await {
        Some(Ok(Ok(_))) => Failure::interrupted("interrupted: the job was cancelled and no file was written"),
        _ => Failure::interrupted(
            "interrupted: no file was written, but the coordinator did not confirm the end",
        ),
    }
}

/// What a final state means for this command.
fn verdict(status: &JobStatus) -> Result<(), Failure> {
    let job = status.job;
    let Some(failure) = &status.failure else {
        return match status.state {
            JobState::Cancelled => Err(Failure::failed(anyhow::anyhow!("job {job} was cancelled"))),
            _ => Ok(()),
        };
    };
    let error = anyhow::Error::msg(failure.message.clone());
    Err(match failure.class {
        FailureClass::Request => Failure::usage(error),
        FailureClass::Cluster => Failure::failed(error),
    })
}

/// Never comes where we started no workers.
async fn next_event(fleet: Option<&mut Fleet>) -> local::Event {
    match fleet {
        Some(fleet) => fleet.next().await,
        None => std::future::pending().await,
    }
}

/// What the plan wants the user to know, each note once: every state repeats them.
#[derive(Debug, Default)]
struct Notes {
    shown: usize,
}

impl Notes {
    fn show(&mut self, status: &JobStatus, output: &Output) {
        for note in status.notes.iter().skip(self.shown) {
            output.note(format_args!("note: {note}"));
        }
        self.shown = self.shown.max(status.notes.len());
    }
}

#[cfg(test)]
mod tests {
    use tessera_proto::{
        JobFailure, Stage,
        job::{Format, Urgency},
    };

    use super::*;
    use crate::exit::Exit;

    fn ended(state: JobState, class: Option<FailureClass>, total: u64) -> Option<Exit> {
        let status = JobStatus {
            job: JobId::new(7),
            state,
            stage: Stage::Base,
            stage_done: 0,
            stage_total: total,
            done: 0,
            total,
            age_ms: 0,
            stage_ms: 0,
            workers: 0,
            failure: class.map(|class| JobFailure { class, message: "the sentence".to_owned() }),
            notes: Vec::new(),
            paused: None,
            format: Format::default(),
            size: None,
            user: String::new(),
            priority: Urgency::default(),
        };
        verdict(&status).err().map(|failure| failure.exit)
    }

    #[test]
    fn the_exit_code_says_who_can_mend_it() {
        assert_eq!(ended(JobState::Done, None, 20), None);
        let failed = JobState::Failed;
        assert_eq!(ended(failed, Some(FailureClass::Request), 20), Some(Exit::Usage));
        assert_eq!(ended(failed, Some(FailureClass::Cluster), 20), Some(Exit::Failed));
        // It waited for a worker in vain: the same job may be done another time.
        assert_eq!(ended(failed, Some(FailureClass::Cluster), 0), Some(Exit::Failed));
        assert_eq!(ended(JobState::Cancelled, None, 20), Some(Exit::Failed));
    }
}
