//! The service that KEDA asks how many workers there shall be: a ScaledObject in; whether there is work, and how much, out.
//!
//! The measure is [`Figures::wanted`](crate::actor::Figures): tasks that are ready or running, and at least one per job that
//! needs a worker, so that a cluster without any gets its first.

use std::{collections::HashMap, pin::Pin, time::Duration};

use tessera_proto::wire::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef, external_scaler_server::ExternalScaler,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::status::Error;
use crate::actor::{self, Handle};

/// What the measure is called.
const METRIC: &str = "tessera-tasks";

/// Key of the trigger's metadata that says how many tasks one worker shall have.
const TARGET: &str = "target";

/// How often it is looked whether there is work, for those who want to hear of it.
const LOOK: Duration = Duration::from_secs(1);

/// Answers KEDA.
#[derive(Debug)]
pub(crate) struct ScalerService {
    actor: Handle,
}

type Activity = Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send>>;

// === impl ScalerService ===

impl ScalerService {
    pub(crate) const fn new(actor: Handle) -> Self {
        Self { actor }
    }
}

#[tonic::async_trait]
impl ExternalScaler for ScalerService {
    type StreamIsActiveStream = Activity;

    async fn is_active(&self, _: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let result = 0 < wanted(&self.actor).await.map_err(Error::from)?;
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let (answers, stream) = mpsc::channel(1);
        tokio::spawn(on_change(self.actor.clone(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let target = target(&request.into_inner().scaler_metadata)?;
        let spec = MetricSpec {
            metric_name: METRIC.to_owned(),
            target_size: whole(target.ceil()),
            target_size_float: target,
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let wanted = wanted(&self.actor).await.map_err(Error::from)?;
        let value = MetricValue {
            metric_name: request.into_inner().metric_name,
            metric_value: i64::try_from(wanted).unwrap_or(i64::MAX),
            metric_value_float: u32::try_from(wanted).map_or(f64::from(u32::MAX), f64::from),
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }
}

async fn wanted(actor: &Handle) -> Result<u64, actor::Error> {
    Ok(actor.figures().await?.wanted)
}

/// Says whether there is work, now and when that changes, until nobody listens or the coordinator stops.
async fn on_change(actor: Handle, answers: mpsc::Sender<Result<IsActiveResponse, Status>>) {
    let mut known = None;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = answers.closed() => return,
        }
        let Ok(wanted) = wanted(&actor).await else { return };
        let result = 0 < wanted;
        if known != Some(result) && answers.send(Ok(IsActiveResponse { result })).await.is_err() {
            return;
        }
        known = Some(result);
    }
}

/// How many tasks one worker shall have: above 0, and 1 where the trigger does not say.
fn target(metadata: &HashMap<String, String>) -> Result<f64, Error> {
    let Some(text) = metadata.get(TARGET) else { return Ok(1.0) };
    let target = text.parse().ok().filter(|target: &f64| target.is_finite() && 0.0 < *target);
    target.ok_or_else(|| Error::Target { text: text.clone() })
}

/// A number above 0 that has no fraction; what does not fit is the largest that does.
#[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates, which is what is wanted")]
fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_number_above_zero() {
        let of = |text: &str| target(&[(TARGET.to_owned(), text.to_owned())].into());
        assert_eq!(target(&HashMap::new()).unwrap().to_bits(), 1.0_f64.to_bits());
        assert_eq!(of("2.5").unwrap().to_bits(), 2.5_f64.to_bits());
        for text in ["", "0", "-1", "NaN", "inf", "many"] {
            let error = of(text).unwrap_err().to_string();
            assert_eq!(error, format!("target {text:?} of the trigger is no number above 0"));
        }
    }
}
