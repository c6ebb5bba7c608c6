//! How many workers there shall be, as KEDA asks: over gRPC, with KEDA's own names.

use std::time::Duration;

use tessera_proto::wire::externalscaler::{
    GetMetricsRequest, IsActiveResponse, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use tessera_tests::{cluster::Cluster, process::Signal};
use tonic::{Code, Streaming, transport::Channel};

type Keda = ExternalScalerClient<Channel>;

async fn keda(cluster: &Cluster) -> Keda {
    ExternalScalerClient::connect(cluster.url().to_owned()).await.expect("the coordinator listens")
}

fn workers(metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ScaledObjectRef {
        name: "farm-tessera-worker".to_owned(),
        namespace: "prod".to_owned(),
        scaler_metadata: metadata.collect(),
    }
}

/// What KEDA's polls learn: whether there is work, and how much.
async fn asked(keda: &mut Keda) -> (bool, f64) {
    let active = keda.is_active(workers(&[])).await.expect("an answer").into_inner().result;
    let request = GetMetricsRequest {
        scaled_object_ref: Some(workers(&[])),
        metric_name: "s0-tessera-tasks".to_owned(),
    };
    let values = keda.get_metrics(request).await.expect("an answer").into_inner().metric_values;
    assert_eq!(values.len(), 1, "{values:?}");
    assert_eq!(values[0].metric_name, "s0-tessera-tasks");
    #[expect(clippy::cast_precision_loss, reason = "a few hundred tasks")]
    let whole = values[0].metric_value as f64;
    assert_eq!(whole, values[0].metric_value_float);
    (active, values[0].metric_value_float)
}

async fn next(activity: &mut Streaming<IsActiveResponse>) -> bool {
    let next = tokio::time::timeout(Duration::from_secs(60), activity.message());
    next.await.expect("it changes").expect("the stream goes on").expect("the stream goes on").result
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_wanted_while_there_are_tasks() {
    let mut cluster = Cluster::start(&[]);
    let mut keda = keda(&cluster).await;
    let mut activity = keda.stream_is_active(workers(&[])).await.expect("a stream").into_inner();
    assert!(!next(&mut activity).await, "nothing to do is said at once");
    assert_eq!(asked(&mut keda).await, (false, 0.0));

    // Without a worker there is no plan yet, and no task: the first worker is wanted all the same.
    let job = "submit house --width 128 --height 128 --steps 4 --hires-steps 10 --scale 4 --tile 16 --overlap 4 --seed 7";
    let submitted = cluster.run(&job.split(' ').collect::<Vec<_>>());
    assert_eq!(submitted.code, Some(0), "{submitted:?}");
    assert!(next(&mut activity).await);
    assert_eq!(asked(&mut keda).await, (true, 1.0));

    cluster.add_worker("sim:20", None);
    let mut most = 0.0_f64;
    loop {
        let (active, wanted) = asked(&mut keda).await;
        most = most.max(wanted);
        if !active {
            break;
        }
        if wanted < 1.0 {
            // It has ended between the two questions.
            assert_eq!(asked(&mut keda).await, (false, 0.0));
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // 64 x 64 latent px in tiles of 16 that overlap by 4 are 5 x 5 tiles.
    assert!((20.0..=26.0).contains(&most), "{most} tasks at most");
    assert!(!next(&mut activity).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_says_how_many_tasks_a_worker_shall_have() {
    let cluster = Cluster::start(&[]);
    let mut keda = keda(&cluster).await;
    for (metadata, target, whole) in
        [(vec![], 1.0, 1), (vec![("target", "2.5"), ("scalerAddress", "x:1")], 2.5, 3)]
    {
        let specs =
            keda.get_metric_spec(workers(&metadata)).await.expect("an answer").into_inner().metric_specs;
        assert_eq!(specs.len(), 1, "{specs:?}");
        assert_eq!((specs[0].metric_name.as_str(), specs[0].target_size), ("tessera-tasks", whole));
        assert_eq!(specs[0].target_size_float, target);
    }
    let refused = keda.get_metric_spec(workers(&[("target", "none")])).await.expect_err("it is no number");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "target \"none\" of the trigger is no number above 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_stops_does_not_wait_for_keda() {
    let mut cluster = Cluster::start(&[]);
    let mut activity =
        keda(&cluster).await.stream_is_active(workers(&[])).await.expect("a stream").into_inner();
    assert!(!next(&mut activity).await);
    cluster.coordinator.signal(Signal::Interrupt);
    let ended = tokio::task::spawn_blocking(move || {
        let Cluster { coordinator, .. } = cluster;
        coordinator.wait(Duration::from_secs(10))
    });
    let ended = ended.await.expect("it ends");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("were cut"), "{ended:?}");
}
