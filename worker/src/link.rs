//! The worker's stream to the coordinator: tasks in, outcomes and heartbeats out.

mod models;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tessera_proto::{
    ContentHash, ConvertError, Digest, FromWorker, Hello, Outcome, ToWorker, limits,
    wire::{self, fleet_client::FleetClient},
};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::transport::{Channel, Endpoint};

use crate::{
    device::{Device, Gone, Order},
    heartbeat,
};

pub(crate) use models::{Error as LibraryError, Library};

/// Messages that wait to be sent: outcomes of the tasks in hand, and heartbeats.
const OUTBOX: usize = 8;

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a stream could not be opened, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be read.
    #[error("{url:?} is not a coordinator's URL, which looks like http://host:7878")]
    Url {
        /// The URL received.
        url: String,
    },
    /// Nobody answers.
    #[error("no coordinator answers at {url}")]
    Unreachable {
        /// The URL.
        url: String,
    },
    /// What answers is not whom we were told of.
    #[error("what answers at {url} is not trusted: {message}")]
    Untrusted {
        /// The URL.
        url: String,
        /// Why.
        message: String,
    },
    /// A token that no header can carry.
    #[error("the token cannot be used: it is one line of letters, digits and dashes")]
    Token,
    /// No key could be made.
    #[error("no key can be made: {message}")]
    Key {
        /// Why.
        message: String,
    },
    /// A certificate cannot be kept.
    #[error("the certificate cannot be kept in {}: {error}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The coordinator has sent the worker away.
    #[error("drained")]
    Drained,
    /// The coordinator does not want this worker.
    #[error("the coordinator refuses this worker: {message}")]
    Refused {
        /// Its reason.
        message: String,
    },
    /// The stream broke.
    #[error("the stream to the coordinator broke: {message}")]
    Broken {
        /// What the transport says.
        message: String,
    },
    /// A message that makes no sense.
    #[error("the coordinator sent something unexpected: {0}")]
    Message(#[from] ConvertError),
    /// A kept tensor that is not what its name says.
    #[error("the coordinator sent a tensor whose content is not {expected:?}")]
    Digest {
        /// Its name.
        expected: Digest,
    },
    /// A worker that gets a model was told to get another one.
    #[error("the coordinator asked for two models at a time")]
    Twice,
    /// A worker that gets no models was told to.
    #[error("the coordinator asked for a model, though this worker fetches none")]
    Unasked,
    /// The first message was not a welcome.
    #[error("the coordinator did not say welcome")]
    NoWelcome,
    /// The device's loop panicked.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// An open stream, welcomed.
#[derive(Debug)]
pub(crate) struct Link {
    outbox: mpsc::Sender<FromWorker>,
    inbox: tonic::Streaming<wire::ToWorker>,
    library: Library,
    /// Tasks that were not answered yet.
    in_hand: usize,
}

/// Why tasks are not passed on any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The coordinator has hung up.
    HungUp,
    /// It wants this model to be served instead.
    Serve {
        /// The model.
        model: ContentHash,
    },
}

// === impl Link ===

impl Link {
    /// Dials the coordinator, says hello and waits for the welcome.
    pub(crate) async fn open<F>(
        url: &str,
        connect: impl Fn(Endpoint) -> F,
        hello: Hello,
    ) -> Result<Self, Error>
    where
        F: Future<Output = Result<Channel, Error>>,
    {
        let channel = connect(endpoint(url)?).await?;
        let library = Library::new(channel.clone());
        let mut client = FleetClient::new(channel)
            .max_decoding_message_size(limits::FLEET_MESSAGE)
            .max_encoding_message_size(limits::FLEET_MESSAGE);
        let (outbox, messages) = mpsc::channel(OUTBOX);
        outbox.try_send(FromWorker::Hello(Box::new(hello))).expect("a new channel has room");
        let messages = ReceiverStream::new(messages).map(wire::FromWorker::from);
        let mut inbox = client.attend(messages).await.map_err(refused)?.into_inner();
        let Some(ToWorker::Welcome { worker, heartbeat }) = next(&mut inbox).await? else {
            return Err(Error::NoWelcome);
        };
        tracing::info!(%worker, "attending");
        tokio::spawn(heartbeat::beat(heartbeat, outbox.clone()));
        Ok(Self { outbox, inbox, library, in_hand: 0 })
    }

    /// The models of the coordinator at the other end.
    pub(crate) fn library(&self) -> Library {
        self.library.clone()
    }

    /// Says hello anew: the worker serves another model from now on, or has found that it cannot.
    pub(crate) async fn renew(&self, hello: Hello) {
        // A stream that is closed is noticed where it is read.
        let _ = self.outbox.send(FromWorker::Hello(Box::new(hello))).await;
    }

    /// Passes tasks to the device and its outcomes back until the coordinator hangs up or wants another model.
    pub(crate) async fn serve(
        &mut self,
        device: &Device,
        outcomes: &mut mpsc::Receiver<Outcome>,
    ) -> Result<Word, Error> {
        self.serve_while(device, outcomes, |_| true).await.map(|word| word.unwrap_or(Word::HungUp))
    }

    /// The same until all tasks in hand are answered: `None` then.
    pub(crate) async fn finish(
        &mut self,
        device: &Device,
        outcomes: &mut mpsc::Receiver<Outcome>,
    ) -> Result<Option<Word>, Error> {
        self.serve_while(device, outcomes, |in_hand| 0 < in_hand).await
    }

    /// Reads on while there is no device: nothing is sent to it meanwhile.
    pub(crate) async fn hold(&mut self) -> Result<Word, Error> {
        loop {
            match next(&mut self.inbox).await? {
                None => return Ok(Word::HungUp),
                Some(ToWorker::Leave) => return Err(Error::Drained),
                Some(ToWorker::Serve { .. }) => return Err(Error::Twice),
                Some(_) => {}
            }
        }
    }

    async fn serve_while(
        &mut self,
        device: &Device,
        outcomes: &mut mpsc::Receiver<Outcome>,
        goes_on: impl Fn(usize) -> bool,
    ) -> Result<Option<Word>, Error> {
        while goes_on(self.in_hand) {
            let message = tokio::select! {
                // An outcome makes room for what the messages ask for, and there are few.
                biased;
                outcome = outcomes.recv() => {
                    let outcome = outcome.ok_or(Gone)?;
                    self.in_hand = self.in_hand.saturating_sub(1);
                    if self.outbox.send(FromWorker::Outcome(outcome)).await.is_err() {
                        return Ok(Some(Word::HungUp));
                    }
                    continue;
                }
                message = next(&mut self.inbox) => message?,
            };
            let order = match message {
                None => return Ok(Some(Word::HungUp)),
                Some(ToWorker::Serve { model }) => return Ok(Some(Word::Serve { model })),
                Some(ToWorker::Welcome { .. }) => continue,
                Some(ToWorker::Keep { digest, tensor }) if Digest::of(&tensor) == digest => {
                    Order::Keep { digest, tensor: Arc::unwrap_or_clone(tensor) }
                }
                Some(ToWorker::Keep { digest, .. }) => return Err(Error::Digest { expected: digest }),
                Some(ToWorker::Forget { digest }) => Order::Forget { digest },
                Some(ToWorker::Assign(assignment)) => {
                    self.in_hand += 1;
                    Order::Run(assignment)
                }
                Some(ToWorker::Withdraw { lease, stop }) => Order::Withdraw { lease, stop },
                Some(ToWorker::Leave) => return Err(Error::Drained),
            };
            device.tell(order)?;
        }
        Ok(None)
    }

    /// Says goodbye, finishes the task in hand and waits for the coordinator to hang up.
    pub(crate) async fn leave(
        mut self,
        device: &Device,
        outcomes: &mut mpsc::Receiver<Outcome>,
    ) -> Result<(), Error> {
        // A coordinator that is gone needs no goodbye.
        let _ = self.outbox.send(FromWorker::Goodbye).await;
        loop {
            match self.serve(device, outcomes).await {
                // It is on its way.
                Err(Error::Drained) | Ok(Word::Serve { .. }) => {}
                ended => return ended.map(drop),
            }
        }
    }
}

/// Asks for a certificate with a request for one (PEM), for a host of this name; the answer is PEM.
pub(crate) async fn enroll(
    channel: Channel,
    (request, name): (String, String),
    token: Option<&str>,
) -> Result<String, Error> {
    let mut request = tonic::Request::new(wire::EnrollRequest { request, name });
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
        request.metadata_mut().insert("authorization", value);
    }
    let answer = FleetClient::new(channel).enroll(request).await.map_err(refused)?;
    let wire::EnrollResponse { certificate } = answer.into_inner();
    Ok(certificate)
}

// === impl Error ===

impl Error {
    /// Whether it may be gone at the next attempt.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::NoWelcome | Self::Twice)
    }
}

fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| Error::Url { url: url.to_owned() })?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::FRAME)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(20)))
}

async fn next(inbox: &mut tonic::Streaming<wire::ToWorker>) -> Result<Option<ToWorker>, Error> {
    match inbox.message().await {
        Ok(Some(message)) => Ok(Some(message.try_into()?)),
        Ok(None) => Ok(None),
        Err(status) => Err(refused(status)),
    }
}

/// A worker that is refused should not come back as it is; a broken stream is worth another try.
fn refused(status: tonic::Status) -> Error {
    use tonic::Code::{
        FailedPrecondition, InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented,
    };
    let message = status.message().to_owned();
    match status.code() {
        FailedPrecondition | InvalidArgument | PermissionDenied | Unauthenticated | Unimplemented => {
            Error::Refused { message }
        }
        _ => Error::Broken { message },
    }
}
