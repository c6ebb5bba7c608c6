//! The Fleet service: a worker's stream in, the actor's messages for it out.

use std::{pin::Pin, sync::Arc, time::Duration};

use tessera_proto::{
    FromWorker, Hello, WorkerId,
    wire::{self, fleet_server::Fleet},
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::status::Error;
use crate::{
    actor::Handle,
    clock,
    security::{Caller, Security},
};

/// Messages that wait for a worker: its tasks in hand with their conditioning, and withdrawals.
const OUTBOX: usize = 1024;

/// How often it is looked whether a worker's certificate still holds.
const LOOK: Duration = Duration::from_secs(5);

/// Attends to workers.
#[derive(Debug)]
pub(crate) struct FleetService {
    actor: Handle,
    /// Where certificates come from, if callers need any.
    security: Option<Arc<Security>>,
}

// === impl FleetService ===

impl FleetService {
    pub(crate) const fn new(actor: Handle, security: Option<Arc<Security>>) -> Self {
        Self { actor, security }
    }

    async fn certify(&self, request: Request<wire::EnrollRequest>) -> Result<String, Error> {
        let caller = request.extensions().get::<Caller>().map(|caller| caller.credential.clone());
        let (security, caller) = self.security.as_ref().zip(caller).ok_or(Error::NoSecurity)?;
        let wire::EnrollRequest { request, name } = request.into_inner();
        let Security { authority, registry } = security.as_ref();
        let certificate = registry.certify(authority, (&caller, &name), &request).await?;
        tracing::info!(name, token = caller.id, "a worker got a certificate");
        Ok(certificate)
    }
}

#[tonic::async_trait]
impl Fleet for FleetService {
    type AttendStream = Pin<Box<dyn Stream<Item = Result<wire::ToWorker, Status>> + Send>>;

    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        let certificate = self.certify(request).await?;
        Ok(Response::new(wire::EnrollResponse { certificate }))
    }

    async fn attend(
        &self,
        request: Request<Streaming<wire::FromWorker>>,
    ) -> Result<Response<Self::AttendStream>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let mut inbox = request.into_inner();
        let hello = hello(&mut inbox).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let worker = self.actor.enlist(hello, outbox).await.map_err(Error::from)?;
        let shut_out = shut_out(self.security.clone().zip(caller));
        let (actor, listening) = (self.actor.clone(), listen(self.actor.clone(), worker, inbox));
        tokio::spawn(async move {
            tokio::select! {
                () = listening => {}
                why = shut_out => tracing::warn!(%worker, why, "a worker was cut off"),
            }
            // A coordinator that is stopping needs not be told.
            let _ = actor.gone(worker).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(|message| Ok(message.into())))))
    }
}

/// The first message of a stream, which must be a hello.
async fn hello(inbox: &mut Streaming<wire::FromWorker>) -> Result<Hello, Status> {
    let first = inbox.message().await?.ok_or(Error::Missing("hello"))?;
    match FromWorker::try_from(first).map_err(Error::from)? {
        FromWorker::Hello(hello) => Ok(*hello),
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
}

/// Waits until a worker's certificate is good no more, and says why; for ever where none is asked for.
async fn shut_out(guarded: Option<(Arc<Security>, Caller)>) -> &'static str {
    let Some((security, Caller { hash, .. })) = guarded else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        match security.registry.find(hash).await {
            Ok(Some(credential)) if credential.revoked => return "its certificate was revoked",
            Ok(None) => return "its certificate is not known any more",
            // It renews what ends when it comes back; a store that fails is no reason to lose workers.
            Ok(Some(_)) | Err(_) => {}
        }
    }
}
