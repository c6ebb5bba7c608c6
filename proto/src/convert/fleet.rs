//! The worker's stream: messages of both directions in, domain events out, and back.

use std::{sync::Arc, time::Duration};

use super::{Error, choice::FromNumber, required};
use crate::{
    Answer, Assignment, CONTRACT, Digest, Failure, FailureKind, FetchFailure, FromWorker, Hello, LeaseId,
    Outcome, Tensor, ToWorker, WorkerId, wire,
};

impl From<FromWorker> for wire::FromWorker {
    fn from(message: FromWorker) -> Self {
        use wire::from_worker::Message;
        let message = match message {
            FromWorker::Hello(hello) => {
                let Hello { name, device, model, fetches, failures } = *hello;
                let (model, failures) =
                    (model.map(Into::into), failures.into_iter().map(Into::into).collect());
                Message::Hello(wire::Hello { contract: CONTRACT, name, device, model, fetches, failures })
            }
            FromWorker::Heartbeat => Message::Heartbeat(wire::Heartbeat {}),
            FromWorker::Outcome(outcome) => Message::Outcome(outcome.into()),
            FromWorker::Goodbye => Message::Goodbye(wire::Goodbye {}),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::FromWorker> for FromWorker {
    type Error = Error;

    fn try_from(message: wire::FromWorker) -> Result<Self, Error> {
        use wire::from_worker::Message;
        let wire::FromWorker { message } = message;
        Ok(match required("from_worker.message", message)? {
            Message::Hello(hello) => Self::Hello(Box::new(hello.try_into()?)),
            Message::Heartbeat(wire::Heartbeat {}) => Self::Heartbeat,
            Message::Outcome(outcome) => Self::Outcome(outcome.try_into()?),
            Message::Goodbye(wire::Goodbye {}) => Self::Goodbye,
        })
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = Error;

    fn try_from(message: wire::Hello) -> Result<Self, Error> {
        let wire::Hello { contract, name, device, model, fetches, failures } = message;
        if contract != CONTRACT {
            return Err(Error::Contract { theirs: contract, ours: CONTRACT });
        }
        let model = if fetches { model } else { Some(required("hello.model", model)?) };
        let failures = failures.into_iter().map(FetchFailure::try_from).collect::<Result<_, _>>()?;
        Ok(Self { name, device, model: model.map(TryInto::try_into).transpose()?, fetches, failures })
    }
}

impl From<FetchFailure> for wire::FetchFailure {
    fn from(FetchFailure { model, message }: FetchFailure) -> Self {
        Self { model_hash: model.into(), message }
    }
}

impl TryFrom<wire::FetchFailure> for FetchFailure {
    type Error = Error;

    fn try_from(message: wire::FetchFailure) -> Result<Self, Error> {
        let wire::FetchFailure { model_hash, message } = message;
        Ok(Self { model: model_hash.try_into()?, message })
    }
}

impl From<Outcome> for wire::Outcome {
    fn from(outcome: Outcome) -> Self {
        use wire::outcome::Result as Wire;
        let checksum = outcome.result.as_ref().ok().map(|answer| Digest::of_answer(answer).into());
        let result = match outcome.result {
            Ok(Answer::Tensors(tensors)) => {
                Wire::Tensors(wire::Tensors { tensors: tensors.iter().map(Into::into).collect() })
            }
            Ok(Answer::Moments(moments)) => Wire::Moments(moments.into()),
            Ok(Answer::Statistics(list)) => {
                Wire::Statistics(wire::Statistics { moments: list.into_iter().map(Into::into).collect() })
            }
            Err(Failure { kind, message }) => {
                Wire::Failure(wire::Failure { kind: wire::FailureKind::from(kind).into(), message })
            }
        };
        let busy_us = u64::try_from(outcome.busy.as_micros()).unwrap_or(u64::MAX);
        Self { lease: outcome.lease.get(), busy_us, result: Some(result), checksum }
    }
}

impl TryFrom<wire::Outcome> for Outcome {
    type Error = Error;

    fn try_from(message: wire::Outcome) -> Result<Self, Error> {
        use wire::outcome::Result as Wire;
        let wire::Outcome { lease, busy_us, result, checksum } = message;
        let result = match required("outcome.result", result)? {
            Wire::Tensors(wire::Tensors { tensors }) => {
                Ok(Answer::Tensors(tensors.into_iter().map(Tensor::try_from).collect::<Result<_, _>>()?))
            }
            Wire::Moments(moments) => Ok(Answer::Moments(moments.try_into()?)),
            Wire::Statistics(wire::Statistics { moments }) => {
                Ok(Answer::Statistics(moments.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?))
            }
            Wire::Failure(wire::Failure { kind, message }) => {
                Err(Failure { kind: FailureKind::from_number(kind)?, message })
            }
        };
        let result = match result {
            Ok(answer) => whole(answer, required("outcome.checksum", checksum)?.try_into()?),
            failed => failed,
        };
        Ok(Self { lease: LeaseId::new(lease), busy: Duration::from_micros(busy_us), result })
    }
}

/// A result that is what its checksum says.
fn whole(answer: Answer, checksum: Digest) -> Result<Answer, Failure> {
    if Digest::of_answer(&answer) == checksum {
        return Ok(answer);
    }
    let message =
        "the result is not what its checksum says: it was damaged in memory or on its way".to_owned();
    Err(Failure { kind: FailureKind::Damaged, message })
}

impl From<ToWorker> for wire::ToWorker {
    fn from(message: ToWorker) -> Self {
        use wire::to_worker::Message;
        let message = match message {
            ToWorker::Welcome { worker, heartbeat } => Message::Welcome(wire::Welcome {
                worker: worker.get(),
                heartbeat_ms: u32::try_from(heartbeat.as_millis()).unwrap_or(u32::MAX),
            }),
            ToWorker::Keep { digest, tensor } => Message::Keep(wire::Keep {
                digest: Some(digest.into()),
                tensor: Some(tensor.as_ref().into()),
            }),
            ToWorker::Forget { digest } => Message::Forget(wire::Forget { digest: Some(digest.into()) }),
            ToWorker::Assign(Assignment { lease, work }) => {
                Message::Assign(wire::Assign { lease: lease.get(), work: Some(work.into()) })
            }
            ToWorker::Withdraw { lease, stop } => {
                Message::Withdraw(wire::Withdraw { lease: lease.get(), stop })
            }
            ToWorker::Leave => Message::Leave(wire::Leave {}),
            ToWorker::Serve { model } => Message::Serve(wire::Serve { model_hash: model.into() }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::ToWorker> for ToWorker {
    type Error = Error;

    fn try_from(message: wire::ToWorker) -> Result<Self, Error> {
        use wire::to_worker::Message;
        let wire::ToWorker { message } = message;
        Ok(match required("to_worker.message", message)? {
            Message::Welcome(wire::Welcome { worker, heartbeat_ms }) => {
                if heartbeat_ms == 0 {
                    return Err(Error::Range { field: "welcome.heartbeat_ms" });
                }
                let heartbeat = Duration::from_millis(heartbeat_ms.into());
                Self::Welcome { worker: WorkerId::new(worker), heartbeat }
            }
            Message::Keep(wire::Keep { digest, tensor }) => Self::Keep {
                digest: required("keep.digest", digest)?.try_into()?,
                tensor: Arc::new(required("keep.tensor", tensor)?.try_into()?),
            },
            Message::Forget(wire::Forget { digest }) => {
                Self::Forget { digest: required("forget.digest", digest)?.try_into()? }
            }
            Message::Assign(wire::Assign { lease, work }) => {
                let work = required("assign.work", work)?.try_into()?;
                Self::Assign(Assignment { lease: LeaseId::new(lease), work })
            }
            Message::Withdraw(wire::Withdraw { lease, stop }) => {
                Self::Withdraw { lease: LeaseId::new(lease), stop }
            }
            Message::Leave(wire::Leave {}) => Self::Leave,
            Message::Serve(wire::Serve { model_hash }) => Self::Serve { model: model_hash.try_into()? },
        })
    }
}
