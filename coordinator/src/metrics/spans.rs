//! What OpenTelemetry collectors are told: ended tasks and jobs in; spans, sent in batches from a thread of their own, out.
//!
//! A job is a trace, whose id is the job's twice over: what is known of one finds the other, and the spans of a job that
//! outlived its coordinator stand under one root. Spans hold names of stages, workers and devices, and no prompt.

use std::{
    fmt,
    time::{Duration, Instant},
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use tessera_proto::{JobId, JobState};

use crate::{clock, report::TaskTimes};

/// How long a coordinator that ends waits for its last spans to be taken.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way to a collector; by default there is none, and nothing is told.
#[derive(Default)]
pub(crate) struct Spans {
    processor: Option<BatchSpanProcessor>,
}

// === impl Spans ===

impl Spans {
    /// To the collector that listens at a URL for OTLP over gRPC. Whether it does is seen when there is something to send;
    /// what it does not take is dropped, and nothing waits for it.
    ///
    /// # Errors
    /// The URL is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn to(collector: &str) -> Result<Self, ExporterBuildError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(collector);
        Ok(Self::over(exporter.build()?))
    }

    fn over(exporter: impl SpanExporter + 'static) -> Self {
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let service = Resource::builder().with_service_name("tessera-coordinator").with_attribute(version);
        processor.set_resource(&service.build());
        Self { processor: Some(processor) }
    }

    /// A task's result counts.
    pub(super) fn task(&self, job: JobId, times: &TaskTimes, (worker, device): (&str, &str)) {
        let Some(processor) = &self.processor else { return };
        let place = times.place;
        let mut attributes = vec![
            KeyValue::new("tessera.worker", worker.to_owned()),
            KeyValue::new("tessera.device", device.to_owned()),
            KeyValue::new("tessera.busy_ms", 1e3 * times.busy.as_secs_f64()),
            KeyValue::new("tessera.result_bytes", signed(times.bytes)),
        ];
        attributes.extend(place.tile.map(|tile| KeyValue::new("tessera.tile", i64::from(tile))));
        attributes.extend(place.step.map(|step| KeyValue::new("tessera.step", signed(step))));
        let id = SpanId::from(getrandom::u64().unwrap_or_default());
        let parents = (id, root(job));
        processor.on_end(span(job, parents, place.stage.name(), (times.sent, times.received), attributes));
    }

    /// A job is over.
    pub(super) fn job(
        &self,
        job: JobId,
        (age, now): (Duration, Instant),
        state: JobState,
        failure: Option<&str>,
    ) {
        let Some(processor) = &self.processor else { return };
        let attributes =
            vec![KeyValue::new("tessera.job", job.to_string()), KeyValue::new("tessera.state", state.name())];
        let mut span = span(job, (root(job), SpanId::INVALID), "job", (now, now), attributes);
        // It may have been submitted to an earlier coordinator, before this machine was started.
        span.start_time -= age;
        span.span_kind = SpanKind::Server;
        span.status = match (state, failure) {
            (JobState::Failed, failure) => Status::error(failure.unwrap_or_default().to_owned()),
            (JobState::Done, _) => Status::Ok,
            _ => Status::Unset,
        };
        processor.on_end(span);
    }

    /// Sends what is left, and ends. Takes a thread for so long.
    pub(super) fn end(&self) {
        if let Some(processor) = &self.processor
            && let Err(error) = processor.shutdown_with_timeout(FAREWELL)
        {
            tracing::warn!(%error, "the collector was not told of the last tasks and jobs");
        }
    }

    /// Whether anybody is told.
    pub(super) const fn is_told(&self) -> bool {
        self.processor.is_some()
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("told", &self.is_told()).finish()
    }
}

fn span(
    job: JobId,
    (id, parent): (SpanId, SpanId),
    name: &'static str,
    (begin, end): (Instant, Instant),
    attributes: Vec<KeyValue>,
) -> SpanData {
    let trace = TraceId::from(u128::from(job.get()) << 64 | u128::from(job.get()));
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: name.into(),
        start_time: clock::date(begin),
        end_time: clock::date(end),
        attributes,
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("tessera").build(),
    }
}

/// The span of the whole job.
fn root(job: JobId) -> SpanId {
    SpanId::from(job.get())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
