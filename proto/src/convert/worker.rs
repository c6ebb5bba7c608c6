//! What users see of workers: messages in, domain types out, and back.

use std::time::Duration;

use super::{Error, choice::FromNumber, required};
use crate::{Class, Kind, Speed, WorkerId, WorkerStatus, wire};

impl From<WorkerStatus> for wire::WorkerStatus {
    fn from(status: WorkerStatus) -> Self {
        Self {
            worker: status.worker.get(),
            name: status.name,
            device: status.device,
            model_name: status.model_name,
            model_hash: status.model_hash,
            tasks_in_hand: status.tasks_in_hand,
            tasks_done: status.tasks_done,
            last_seen_ms: status.last_seen_ms,
            speeds: status.speeds.into_iter().map(Into::into).collect(),
            model: status.model.map(Into::into),
            draining: status.draining,
            quarantine: status.quarantine.unwrap_or_default(),
            fetches: status.fetches,
            fetching: status.fetching.map(|model| model.to_string()).unwrap_or_default(),
            failure: status.failure.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::WorkerStatus> for WorkerStatus {
    type Error = Error;

    fn try_from(message: wire::WorkerStatus) -> Result<Self, Error> {
        let wire::WorkerStatus {
            worker,
            name,
            device,
            model_name,
            model_hash,
            tasks_in_hand,
            tasks_done,
            last_seen_ms,
            speeds,
            model,
            draining,
            quarantine,
            fetches,
            fetching,
            failure,
        } = message;
        // As in its hello.
        let model = if fetches { model } else { Some(required("worker_status.model", model)?) };
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            worker: WorkerId::new(worker),
            name,
            device,
            model_name,
            model_hash,
            tasks_in_hand,
            tasks_done,
            last_seen_ms,
            speeds: speeds.into_iter().map(Speed::try_from).collect::<Result<_, _>>()?,
            draining,
            quarantine: said(quarantine),
            model: model.map(TryInto::try_into).transpose()?,
            fetches,
            fetching: said(fetching).map(|hash| hash.parse()).transpose()?,
            failure: said(failure),
        })
    }
}

impl From<Speed> for wire::Speed {
    fn from(Speed { class, took }: Speed) -> Self {
        Self {
            kind: wire::TaskKind::from(class.kind).into(),
            part: class.part,
            shape: class.shape.to_vec(),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl TryFrom<wire::Speed> for Speed {
    type Error = Error;

    fn try_from(message: wire::Speed) -> Result<Self, Error> {
        let wire::Speed { kind, part, shape, took_us } = message;
        let shape = shape.try_into().map_err(|_| Error::Range { field: "speed.shape" })?;
        let class = Class { kind: Kind::from_number(kind)?, part, shape };
        Ok(Self { class, took: Duration::from_micros(took_us) })
    }
}
