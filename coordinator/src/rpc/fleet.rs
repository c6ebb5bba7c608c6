//! The Fleet service: a worker's stream in, the actor's messages for it out.

use std::pin::Pin;

use tessera_proto::{
    FromWorker, Hello, WorkerId,
    wire::{self, fleet_server::Fleet},
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::status::Error;
use crate::{actor::Handle, clock};

/// Messages that wait for a worker: its tasks in hand with their conditioning, and withdrawals.
const OUTBOX: usize = 1024;

/// Attends to workers.
#[derive(Debug)]
pub(crate) struct FleetService {
    actor: Handle,
}

// === impl FleetService ===

impl FleetService {
    pub(crate) const fn new(actor: Handle) -> Self {
        Self { actor }
    }
}

#[tonic::async_trait]
impl Fleet for FleetService {
    type AttendStream = Pin<Box<dyn Stream<Item = Result<wire::ToWorker, Status>> + Send>>;

    async fn attend(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let mut inbox = request.into_inner();
        let hello = hello(&mut inbox).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let worker = self.actor.enlist(hello, outbox).await.map_err(Error::from)?;
        tokio::spawn(listen(self.actor.clone(), worker, inbox));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(|message| Ok(message.into())))))
    }
}

/// The first message of a stream, which must be a hello.
async fn hello(inbox: &mut Streaming<wire::FromWorker>) -> Result<Hello, Status> {
    let first = inbox.message().await?.ok_or(Error::Missing("hello"))?;
    match FromWorker::try_from(first).map_err(Error::from)? {
        FromWorker::Hello(hello) => Ok(hello),
        _ => Err(Error::Missing("hello").into()),
    }
}

/// Passes on what a worker says until its stream ends.
async fn listen(actor: Handle, worker: WorkerId, mut inbox: Streaming<wire::FromWorker>) {
    loop {
        let message = match inbox.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(%worker, %status, "a worker's stream broke");
                break;
            }
        };
        let heard = clock::now();
        let told = match FromWorker::try_from(message) {
            Ok(message) => actor.said(worker, message, heard).await,
            Err(error) => {
                // Nothing that it says can be trusted: its tasks go elsewhere.
                tracing::warn!(%worker, %error, "a worker sent a bad message");
                break;
            }
        };
        if told.is_err() {
            return;
        }
    }
    // A coordinator that is stopping needs not be told.
    let _ = actor.gone(worker).await;
}
