//! A worker that answers nonsense, or whose answers are damaged on their way: in a thread of its own, over the real wire.

use std::{thread, time::Duration};

use tessera_proto::{
    Answer, FromWorker, Hello, ModelFacts, Outcome, Tensor, ToWorker, Work,
    wire::{self, fleet_client::FleetClient},
};
use tessera_tests::{cluster::Cluster, report};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{SIMULATED, start, undisturbed};

/// What is wrong with the answers.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// They have another shape.
    Shape,
    /// They are the tiles themselves, one bit of which changes after the checksum was taken.
    Bit,
}

/// Attends until the coordinator hangs up, and answers every task so.
async fn lie(url: String, lie: Lie) {
    let (says, messages) = tokio::sync::mpsc::channel(8);
    let hello = Hello::serving("liar", "sim:0", ModelFacts::simulated());
    says.send(FromWorker::Hello(Box::new(hello))).await.expect("a receiver");
    let mut fleet = FleetClient::connect(url).await.expect("the coordinator listens");
    let messages = ReceiverStream::new(messages).map(wire::FromWorker::from).map(move |mut message| {
        if lie == Lie::Bit {
            damage(&mut message);
        }
        message
    });
    let mut hears = fleet.attend(messages).await.expect("it is welcome").into_inner();
    while let Ok(Some(message)) = hears.message().await {
        match ToWorker::try_from(message).expect("a message") {
            ToWorker::Welcome { heartbeat, .. } => {
                let says = says.clone();
                tokio::spawn(async move {
                    while says.send(FromWorker::Heartbeat).await.is_ok() {
                        tokio::time::sleep(heartbeat).await;
                    }
                });
            }
            ToWorker::Assign(assignment) => {
                let tensor = match assignment.work {
                    Work::Denoise { tiles, .. } if lie == Lie::Bit => tiles,
                    _ => Tensor::new([1], vec![f32::NAN]).expect("one value"),
                };
                let result = Ok(Answer::Tensors(vec![tensor]));
                let outcome = Outcome { lease: assignment.lease, busy: Duration::ZERO, result };
                if says.send(FromWorker::Outcome(outcome)).await.is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}

fn damage(message: &mut wire::FromWorker) {
    let Some(wire::from_worker::Message::Outcome(outcome)) = &mut message.message else { return };
    let Some(wire::outcome::Result::Tensors(tensors)) = &mut outcome.result else { return };
    let mut bytes = tensors.tensors[0].data.to_vec();
    bytes[0] ^= 1;
    tensors.tensors[0].data = bytes.into();
}

#[test]
fn a_worker_that_answers_nonsense_is_shut_out() {
    is_shut_out(Lie::Shape);
}

#[test]
fn a_worker_whose_answers_are_damaged_is_shut_out() {
    is_shut_out(Lie::Bit);
}

fn is_shut_out(how: Lie) {
    let expected = undisturbed("sim:0", None, SIMULATED);
    let cluster = Cluster::start(&[]).with_workers(&["sim:30", "sim:30"], None);
    let url = cluster.url().to_owned();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(lie(url, how));
    });
    while !cluster.worker_names().contains(&"liar".to_owned()) {
        thread::sleep(Duration::from_millis(20));
    }
    let rendered = start(&cluster, SIMULATED).rendered();
    assert_eq!(rendered.hash(), expected);
    let listed = cluster.run(&["workers", "--json"]);
    let workers: Vec<_> = listed.stdout.lines().map(report::parse).collect();
    let liar = workers.iter().find(|worker| worker["name"] == "liar").expect("it stays");
    assert_eq!(liar["quarantine"], "3 results of it were refused that other workers gave well", "{liar}");
    assert!(workers.iter().all(|worker| worker["name"] == "liar" || worker["quarantine"].is_null()));
    let shown = cluster.run(&["workers"]).stdout;
    assert!(shown.contains("quarantined: 3 results"), "{shown}");
}
