//! The way to a coordinator: domain types in, its answers as domain types out.
//!
//! Wire types and gRPC status codes are named here and nowhere else in this crate.

mod bearer;
mod models;

use std::time::Duration;

use tessera_proto::{
    Artifact, ConvertError, JobHistory, JobId, JobSpec, JobStatus, WorkerStatus, limits,
    wire::{self, jobs_client::JobsClient, models_client::ModelsClient},
};
use tonic::{
    Code, Status, Streaming,
    service::interceptor::InterceptedService,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use bearer::Bearer;
pub(crate) use models::pieces;

use crate::{
    access::{Access, Target},
    address::Address,
    exit::Failure,
};

/// How long a coordinator may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How often a silent connection is tried, and how long an answer may take: a host that is cut off is noticed in
/// their sum.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection to a coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: Address,
    jobs: JobsClient<InterceptedService<Channel, Bearer>>,
    models: ModelsClient<InterceptedService<Channel, Bearer>>,
}

/// A job's states, as they change.
#[derive(Debug)]
pub(crate) struct Statuses {
    address: Address,
    stream: Streaming<wire::JobStatus>,
}

/// An artifact's bytes, piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    address: Address,
    stream: Streaming<wire::FetchChunk>,
    received: u64,
    total: Option<u64>,
}

/// Why a coordinator did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing answers, or nothing that speaks gRPC.
    #[error("no coordinator answers at {address}: is `tessera coordinator` running there?")]
    Unreachable {
        /// Where.
        address: Address,
    },
    /// Its name has no address.
    #[error(
        "{address} names no machine that this one knows: take its address, or the name that the network knows"
    )]
    UnknownHost {
        /// Where.
        address: Address,
    },
    /// What answers does not speak with us.
    #[error("what answers at {address} hung up: is it a coordinator, and does it ask for https://?")]
    HungUp {
        /// Where.
        address: Address,
    },
    /// What answers is not whom we were told of.
    #[error("what answers at {address} is not trusted: {message}")]
    Untrusted {
        /// Where.
        address: Address,
        /// Why.
        message: String,
    },
    /// A token that no header can carry.
    #[error("the token cannot be used: it is one line of letters, digits and dashes")]
    Token,
    /// The coordinator cannot do it now.
    #[error("{message}")]
    NotNow {
        /// Its sentence.
        message: String,
    },
    /// A gRPC server that does not know our calls.
    #[error(
        "what answers at {address} does not know this call: install the same release of tessera on both sides"
    )]
    OtherRelease {
        /// Where.
        address: Address,
    },
    /// The connection broke in the middle.
    #[error(
        "the connection to the coordinator at {address} broke: `tessera jobs` says what became of the job once it is back"
    )]
    Lost {
        /// Where.
        address: Address,
    },
    /// The coordinator finds fault with the request.
    #[error("{message}")]
    Refused {
        /// Its sentence.
        message: String,
    },
    /// The coordinator has a fault of its own.
    #[error("the coordinator at {address} failed: {message}")]
    Coordinator {
        /// Where.
        address: Address,
        /// Its sentence.
        message: String,
    },
    /// An answer that our contract does not allow.
    #[error("the coordinator's answer makes no sense: {0}")]
    Answer(#[from] ConvertError),
    /// An artifact that ended early.
    #[error("the coordinator sent {received} of {total} bytes")]
    Short {
        /// Bytes received.
        received: u64,
        /// Bytes announced.
        total: u64,
    },
}

// === impl Client ===

impl Client {
    /// Connects to the coordinator at `address`, which asks for nothing.
    ///
    /// # Errors
    /// Nothing answers there.
    pub(crate) async fn connect(address: &Address) -> Result<Self, Error> {
        Self::reach(&Target { address: address.clone(), access: Access::default() }).await
    }

    /// Connects to a coordinator, and shows it what it asks for.
    ///
    /// # Errors
    /// Nothing answers there, or nothing that is trusted.
    pub(crate) async fn reach(Target { address, access }: &Target) -> Result<Self, Error> {
        let bearer = Bearer::of(access.token.as_deref()).map_err(|_| Error::Token)?;
        let mut endpoint = Endpoint::from(address.uri());
        let unreachable = |error| match tessera_worker::distrust(&error) {
            Some(message) => Error::Untrusted { address: address.clone(), message },
            None if is_about_names(&error) => Error::UnknownHost { address: address.clone() },
            None => Error::Unreachable { address: address.clone() },
        };
        if let Some(ca) = &access.ca {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .initial_stream_window_size(limits::STREAM_WINDOW)
            .initial_connection_window_size(limits::CONNECTION_WINDOW)
            .max_frame_size(limits::FRAME)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .connect()
            .await
            .map_err(unreachable)?;
        let models = ModelsClient::with_interceptor(channel.clone(), bearer.clone())
            .max_decoding_message_size(limits::MODELS_MESSAGE)
            .max_encoding_message_size(limits::MODELS_MESSAGE);
        let jobs = JobsClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(limits::JOBS_MESSAGE)
            .max_encoding_message_size(limits::JOBS_MESSAGE);
        Ok(Self { address: address.clone(), jobs, models })
    }

    /// Hands a job in.
    ///
    /// # Errors
    /// The coordinator refuses the job, or does not answer.
    pub(crate) async fn submit(&mut self, spec: JobSpec) -> Result<JobId, Error> {
        let request = wire::SubmitRequest { spec: Some(spec.into()) };
        let answer = self.jobs.submit(request).await;
        let wire::SubmitResponse { job } = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(job.parse().map_err(ConvertError::from)?)
    }

    /// The job's state at once, then at every change, until its final one.
    ///
    /// # Errors
    /// There is no such job, or no answer.
    pub(crate) async fn watch(&mut self, job: JobId) -> Result<Statuses, Error> {
        let request = wire::WatchRequest { job: job.to_string() };
        let answer = self.jobs.watch(request).await;
        let stream = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(Statuses { address: self.address.clone(), stream })
    }

    /// The job's state now.
    ///
    /// # Errors
    /// There is no such job, or no answer.
    pub(crate) async fn status(&mut self, job: JobId) -> Result<JobStatus, Error> {
        let lost = Error::Lost { address: self.address.clone() };
        self.watch(job).await?.next().await?.ok_or(lost)
    }

    /// What has happened to a job, and the report so far of one that runs.
    ///
    /// # Errors
    /// There is no such job, or no answer.
    pub(crate) async fn show(&mut self, job: JobId) -> Result<(JobHistory, Option<Vec<u8>>), Error> {
        let answer = self.jobs.show(wire::ShowRequest { job: job.to_string() }).await;
        let shown = answer.map_err(|status| self.fault(&status))?.into_inner();
        let report = Some(shown.report.to_vec()).filter(|report| !report.is_empty());
        Ok((shown.into(), report))
    }

    /// Ends a job.
    ///
    /// # Errors
    /// There is no such job, or no answer.
    pub(crate) async fn cancel(&mut self, job: JobId) -> Result<JobStatus, Error> {
        let request = wire::CancelRequest { job: job.to_string() };
        let answer = self.jobs.cancel(request).await;
        let status = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(status.try_into()?)
    }

    /// All jobs that the coordinator remembers.
    ///
    /// # Errors
    /// No answer.
    pub(crate) async fn jobs(&mut self) -> Result<Vec<JobStatus>, Error> {
        let answer = self.jobs.list(wire::ListRequest {}).await;
        let wire::ListResponse { jobs } = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(jobs.into_iter().map(JobStatus::try_from).collect::<Result<_, _>>()?)
    }

    /// All workers that are connected.
    ///
    /// # Errors
    /// No answer.
    pub(crate) async fn workers(&mut self) -> Result<Vec<WorkerStatus>, Error> {
        let answer = self.jobs.workers(wire::WorkersRequest {}).await;
        let wire::WorkersResponse { workers } = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(workers.into_iter().map(WorkerStatus::try_from).collect::<Result<_, _>>()?)
    }

    /// Tells workers of a number or name to finish what they have and go.
    ///
    /// # Errors
    /// There is no such worker, or no answer.
    pub(crate) async fn drain(&mut self, worker: String) -> Result<Vec<WorkerStatus>, Error> {
        let answer = self.jobs.drain(wire::DrainRequest { worker }).await;
        let wire::DrainResponse { workers } = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(workers.into_iter().map(WorkerStatus::try_from).collect::<Result<_, _>>()?)
    }

    /// The bytes of a finished job's artifact.
    ///
    /// # Errors
    /// There is no such job or artifact, or no answer.
    pub(crate) async fn fetch(&mut self, job: JobId, artifact: Artifact) -> Result<Pieces, Error> {
        let request =
            wire::FetchRequest { job: job.to_string(), artifact: wire::Artifact::from(artifact).into() };
        let answer = self.jobs.fetch(request).await;
        let stream = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(Pieces { address: self.address.clone(), stream, received: 0, total: None })
    }

    /// A call that never got its answer found no coordinator.
    fn fault(&self, status: &Status) -> Error {
        match fault(&self.address, status) {
            Error::Lost { address } if address.is_encrypted() => Error::Unreachable { address },
            Error::Lost { address } => Error::HungUp { address },
            other => other,
        }
    }
}

// === impl Statuses ===

impl Statuses {
    /// The next state; `None` after the final one.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn next(&mut self) -> Result<Option<JobStatus>, Error> {
        let message = self.stream.message().await;
        let status = message.map_err(|status| fault(&self.address, &status))?;
        Ok(status.map(JobStatus::try_from).transpose()?)
    }
}

// === impl Pieces ===

impl Pieces {
    /// The next bytes; `None` when all have come.
    ///
    /// # Errors
    /// The connection broke, or the artifact ended early.
    pub(crate) async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        let message = self.stream.message().await;
        let piece = message.map_err(|status| fault(&self.address, &status))?;
        let Some(wire::FetchChunk { data, total }) = piece else {
            let total = self.total.unwrap_or(0);
            let whole = self.received == total;
            return if whole { Ok(None) } else { Err(Error::Short { received: self.received, total }) };
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(length);
        self.total = Some(total);
        Ok(Some(data))
    }
}

/// Whether a connection failed because the host's name has no address.
fn is_about_names(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.into_iter().any(|cause| cause.to_string().contains("failed to lookup address"))
}

/// What a gRPC status means to us, and who can mend it.
fn fault(address: &Address, status: &Status) -> Error {
    let address = address.clone();
    // A status that our own side made of a broken connection carries that error; one that was sent carries none.
    if std::error::Error::source(status).is_some() {
        return Error::Lost { address };
    }
    let message = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated => Error::Refused { message },
        Code::ResourceExhausted | Code::Aborted => Error::NotNow { message },
        Code::Unimplemented => Error::OtherRelease { address },
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => Error::Lost { address },
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Error::Coordinator { address, message },
    }
}

// === impl Error ===

impl Error {
    /// Whether the same question may be answered later: the coordinator is gone, or going, at the moment.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::HungUp { .. } | Self::Lost { .. } | Self::Short { .. }
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownHost { .. }
            | Error::HungUp { .. }
            | Error::Untrusted { .. }
            | Error::Token
            | Error::OtherRelease { .. }
            | Error::Refused { .. } => Self::usage(error),
            Error::Unreachable { .. }
            | Error::NotNow { .. }
            | Error::Lost { .. }
            | Error::Coordinator { .. }
            | Error::Answer(_)
            | Error::Short { .. } => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn failure(code: Code) -> Failure {
        let address = "127.0.0.1:7878".parse().unwrap();
        fault(&address, &Status::new(code, "the sentence")).into()
    }

    #[test]
    fn the_coordinators_sentence_is_kept() {
        let refused = failure(Code::InvalidArgument);
        assert_eq!((refused.exit, refused.sentence()), (Exit::Usage, "the sentence".to_owned()));
        let broken = failure(Code::Internal);
        assert_eq!(broken.exit, Exit::Failed);
        assert_eq!(broken.sentence(), "the coordinator at http://127.0.0.1:7878 failed: the sentence");
        assert_eq!(failure(Code::Unimplemented).exit, Exit::Usage);
        assert_eq!(failure(Code::ResourceExhausted).exit, Exit::Failed, "there may be room another time");
    }

    #[tokio::test]
    async fn a_port_without_a_coordinator_is_one_sentence() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: Address = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let failure = Failure::from(Client::connect(&address).await.unwrap_err());
        assert_eq!(failure.exit, Exit::Failed);
        let expected =
            format!("no coordinator answers at {address}: is `tessera coordinator` running there?");
        assert_eq!(failure.sentence(), expected);
    }
}
