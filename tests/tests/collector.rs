//! What an OpenTelemetry collector is told, by one that listens.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, status::StatusCode},
};
use tessera_tests::{
    cluster::Cluster,
    process::{Running, Signal},
    program,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

const LIMIT: Duration = Duration::from_secs(60);

/// Hands on what it is told.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("nobody listens any more"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector's URL, and what it is told.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (told, heard) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let service = Server::builder().add_service(TraceServiceServer::new(Collector(told)));
    tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
    (url, heard)
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, Value> {
    let value = |pair: &KeyValue| Some((pair.key.clone(), pair.value.clone()?.value?));
    of.iter().filter_map(value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_told_of_a_job_and_of_each_of_its_tasks() {
    let (url, mut heard) = collector().await;
    let drawn = tokio::task::spawn_blocking(move || {
        let cluster = Cluster::start(&["--otlp", &url]).with_workers(&["sim:5", "sim:5"], None);
        let words =
            ["submit", "a secret lighthouse", "--width", "128", "--height", "128", "--steps", "4", "--watch"];
        let drawn = cluster.run(&words);
        assert_eq!(drawn.code, Some(0), "{drawn:?}");
        let shown = cluster.run(&["show", drawn.stdout.split_whitespace().next().expect("an id"), "--json"]);
        // A coordinator that ends tells what is left to tell.
        let Cluster { mut coordinator, workers: _workers, .. } = cluster;
        coordinator.signal(Signal::Interrupt);
        let ended = coordinator.wait(LIMIT);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        (drawn.stdout, shown.stdout)
    });
    let (drawn, shown) = drawn.await.expect("a job");
    let job = drawn.split_whitespace().next().expect("an id").to_owned();

    let mut spans: Vec<Span> = Vec::new();
    while !spans.iter().any(|span| span.name == "job") {
        let request = tokio::time::timeout(LIMIT, heard.recv()).await.expect("in time").expect("a request");
        for resource in request.resource_spans {
            let named = attributes(&resource.resource.expect("who tells").attributes);
            assert_eq!(named["service.name"], Value::StringValue("tessera-coordinator".to_owned()));
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    assert!(!format!("{spans:?}").contains("secret"), "no prompt is told");
    let number = u64::from_str_radix(&job, 16).expect("digits").to_be_bytes();
    assert!(spans.iter().all(|span| span.trace_id == [number, number].concat()), "one trace: the job's");
    let (roots, tasks): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.name == "job");
    let [root] = roots[..] else { panic!("{} roots", roots.len()) };
    assert_eq!((root.span_id.as_slice(), root.parent_span_id.as_slice()), (&number[..], &[][..]));
    assert_eq!(root.status.as_ref().map(|status| status.code()), Some(StatusCode::Ok));
    assert_eq!(attributes(&root.attributes)["tessera.job"], Value::StringValue(job));

    let ran: u64 = report_tasks(&shown);
    assert_eq!(tasks.len() as u64, ran, "a span for each task");
    for task in &tasks {
        assert_eq!(task.parent_span_id, number, "{task:?}");
        // Two readings of the clock are a little apart.
        assert!(root.start_time_unix_nano <= task.start_time_unix_nano + 1_000_000, "{task:?}");
        assert!(task.start_time_unix_nano < task.end_time_unix_nano, "{task:?}");
        let named = attributes(&task.attributes);
        assert_eq!(named["tessera.device"], Value::StringValue("sim:5".to_owned()));
        let least = if task.name == "base" { 4.0 } else { 0.0 };
        assert!(matches!(named["tessera.busy_ms"], Value::DoubleValue(busy) if least < busy), "{task:?}");
    }
    let steps: Vec<_> = tasks.iter().filter(|task| task.name == "base").collect();
    assert_eq!(steps.len(), 4, "a call for each step");
}

/// Tasks that ran, as the job's report says.
fn report_tasks(shown: &str) -> u64 {
    let shown: serde_json::Value = serde_json::from_str(shown).expect("JSON");
    let stages = shown["report"]["stages"].as_array().or_else(|| shown["stages"].as_array());
    let tasks = stages.expect("stages").iter().filter_map(|stage| stage["tasks"].as_u64());
    tasks.sum()
}

#[test]
fn a_url_where_no_collector_can_be_is_refused() {
    let mut command = program::command();
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--otlp", "nonsense with blanks"]);
    let state = tempfile::tempdir().expect("a folder");
    let ended = Running::start(command.arg("--state").arg(state.path())).wait(LIMIT);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.error().contains("--otlp \"nonsense with blanks\" is no URL"), "{ended:?}");
}
