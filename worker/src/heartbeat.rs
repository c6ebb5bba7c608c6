//! The worker's signs of life: a period in, heartbeats out, whatever the device is doing.

use std::time::Duration;

use tessera_proto::FromWorker;
use tokio::{sync::mpsc, time};

/// Sends a heartbeat every `period` until the stream is closed.
pub(crate) async fn beat(period: Duration, stream: mpsc::Sender<FromWorker>) {
    let mut ticks = time::interval(period);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if stream.send(FromWorker::Heartbeat).await.is_err() {
            return;
        }
    }
}
