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
            model: Some(status.model.into()),
            draining: status.draining,
            quarantine: status.quarantine.unwrap_or_default(),
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
        } = message;
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
            quarantine: Some(quarantine).filter(|why| !why.is_empty()),
            model: required("worker_status.model", model)?.try_into()?,
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
