//! What users see of jobs: messages in, domain types out, and back.

use super::{Error, choice::FromNumber, required};
use crate::{FailureClass, JobEvent, JobFailure, JobHistory, JobState, JobStatus, Stage, job::Urgency, wire};

impl From<JobStatus> for wire::JobStatus {
    fn from(status: JobStatus) -> Self {
        let failure = status.failure.as_ref();
        let class = failure.map_or(wire::FailureClass::Unspecified, |failure| failure.class.into());
        Self {
            job: status.job.to_string(),
            state: wire::JobState::from(status.state).into(),
            stage: wire::Stage::from(status.stage).into(),
            stage_done: status.stage_done,
            stage_total: status.stage_total,
            done: status.done,
            total: status.total,
            age_ms: status.age_ms,
            stage_ms: status.stage_ms,
            workers: status.workers,
            failure: class.into(),
            error: status.failure.map(|failure| failure.message).unwrap_or_default(),
            notes: status.notes,
            format: Some(status.format.into()),
            size: status.size.map(Into::into),
            paused: status.paused.unwrap_or_default(),
            user: status.user,
            priority: Some(wire::Urgency::from(status.priority).into()),
        }
    }
}

impl TryFrom<wire::JobStatus> for JobStatus {
    type Error = Error;

    fn try_from(message: wire::JobStatus) -> Result<Self, Error> {
        let wire::JobStatus {
            job,
            state,
            stage,
            stage_done,
            stage_total,
            done,
            total,
            age_ms,
            stage_ms,
            workers,
            error,
            failure,
            notes,
            format,
            size,
            paused,
            user,
            priority,
        } = message;
        let state = JobState::from_number(state)?;
        let failure = match state {
            JobState::Failed => {
                Some(JobFailure { class: FailureClass::from_number(failure)?, message: error })
            }
            _ => None,
        };
        Ok(Self {
            job: job.parse()?,
            state,
            stage: Stage::from_number(stage)?,
            stage_done,
            stage_total,
            done,
            total,
            age_ms,
            stage_ms,
            workers,
            failure,
            notes,
            format: required("job_status.format", format)?.try_into()?,
            size: size.map(Into::into),
            paused: Some(paused).filter(|paused| !paused.is_empty()),
            user,
            priority: priority.map(Urgency::from_number).transpose()?.unwrap_or_default(),
        })
    }
}

impl JobHistory {
    /// The message that tells it, with the report of a job that runs; no report: empty.
    #[must_use]
    pub fn into_wire(self, report: Vec<u8>) -> wire::ShowResponse {
        let event = |JobEvent { at_ms, message }| wire::JobEvent { at_ms, message };
        let events = self.events.into_iter().map(event).collect();
        wire::ShowResponse { events, left_out: self.left_out, report: report.into() }
    }
}

impl From<wire::ShowResponse> for JobHistory {
    fn from(message: wire::ShowResponse) -> Self {
        let wire::ShowResponse { events, left_out, .. } = message;
        let event = |wire::JobEvent { at_ms, message }| JobEvent { at_ms, message };
        Self { events: events.into_iter().map(event).collect(), left_out }
    }
}
