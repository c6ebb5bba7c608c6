//! The Jobs service: users' requests in, the actor's answers out.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use tessera_proto::{
    JobId, JobSpec, limits,
    wire::{self, jobs_server::Jobs},
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{mpsc, watch},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::status::Error;
use crate::{actor::Handle, render::Source, threads};

/// Chunks of an artifact that are read ahead.
const READ_AHEAD: usize = 4;

/// Answers users.
#[derive(Debug)]
pub(crate) struct JobsService {
    actor: Handle,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

// === impl JobsService ===

impl JobsService {
    pub(crate) const fn new(actor: Handle) -> Self {
        Self { actor }
    }

    async fn take(&self, message: wire::SubmitRequest) -> Result<JobId, Error> {
        let wire::SubmitRequest { spec } = message;
        let spec = JobSpec::try_from(spec.ok_or(Error::Missing("spec"))?)?;
        // Decoded here, off the actor's thread: a bad file is refused before the job exists.
        let own = spec.clone();
        let read = move || Source::read(&own);
        let source = apart(read).await??;
        Ok(self.actor.submit(spec, source).await?)
    }

    async fn artifact(&self, message: wire::FetchRequest) -> Result<(File, u64), Error> {
        let (job, artifact) = message.try_into()?;
        let path: PathBuf = self.actor.fetch(job, artifact).await?;
        let open = || {
            let file = File::open(path)?;
            let total = file.metadata()?.len();
            Ok::<_, io::Error>((file, total))
        };
        Ok(apart(open).await??)
    }
}

#[tonic::async_trait]
impl Jobs for JobsService {
    type WatchStream = Answers<wire::JobStatus>;
    type FetchStream = Answers<wire::FetchChunk>;

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitResponse>, Status> {
        let job = self.take(request.into_inner()).await?;
        Ok(Response::new(wire::SubmitResponse { job: job.to_string() }))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let statuses = self.actor.watch(id(&request.into_inner().job)?).await.map_err(Error::from)?;
        // One status waits for the client; what changes meanwhile is seen in the next one.
        let (answers, stream) = mpsc::channel(1);
        tokio::spawn(until_final(statuses, answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn cancel(
        &self,
        request: Request<wire::CancelRequest>,
    ) -> Result<Response<wire::JobStatus>, Status> {
        let status = self.actor.cancel(id(&request.into_inner().job)?).await.map_err(Error::from)?;
        Ok(Response::new(status.into()))
    }

    async fn list(&self, _: Request<wire::ListRequest>) -> Result<Response<wire::ListResponse>, Status> {
        let jobs = self.actor.list().await.map_err(Error::from)?;
        Ok(Response::new(wire::ListResponse { jobs: jobs.into_iter().map(Into::into).collect() }))
    }

    async fn fetch(
        &self,
        request: Request<wire::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let (file, total) = self.artifact(request.into_inner()).await?;
        let (chunks, stream) = mpsc::channel(READ_AHEAD);
        tokio::spawn(read(file, total, chunks));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn workers(
        &self,
        _: Request<wire::WorkersRequest>,
    ) -> Result<Response<wire::WorkersResponse>, Status> {
        let workers = self.actor.workers().await.map_err(Error::from)?;
        Ok(Response::new(wire::WorkersResponse { workers: workers.into_iter().map(Into::into).collect() }))
    }
}

fn id(text: &str) -> Result<JobId, Error> {
    Ok(text.parse().map_err(tessera_proto::ConvertError::from)?)
}

/// All statuses up to and with the final one, after which the stream ends.
async fn until_final(
    mut statuses: watch::Receiver<tessera_proto::JobStatus>,
    answers: mpsc::Sender<Result<wire::JobStatus, Status>>,
) {
    loop {
        let status = statuses.borrow_and_update().clone();
        let last = status.state.is_final();
        if answers.send(Ok(status.into())).await.is_err() || last {
            return;
        }
        tokio::select! {
            changed = statuses.changed() => if changed.is_err() { return },
            // A client that hung up must not be remembered until the job's next change.
            () = answers.closed() => return,
        }
    }
}

/// Runs what reads or decodes a file.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    threads::compute(&Runtime::current(), work).await.map_err(|_| Error::Background)
}

/// Reads a file into chunks until it ends or nobody listens.
async fn read(file: File, total: u64, chunks: mpsc::Sender<Result<wire::FetchChunk, Status>>) {
    let file = Arc::new(file);
    loop {
        let file = Arc::clone(&file);
        let next = move || {
            let mut data = Vec::with_capacity(limits::FETCH_CHUNK);
            (&*file).take(limits::FETCH_CHUNK as u64).read_to_end(&mut data).map(|_| data)
        };
        let chunk = match apart(next).await {
            Ok(Ok(data)) if data.is_empty() => return,
            Ok(Ok(data)) => Ok(wire::FetchChunk { data: Bytes::from(data), total }),
            Ok(Err(error)) => Err(Error::from(error).into()),
            Err(error) => Err(error.into()),
        };
        let failed = chunk.is_err();
        if chunks.send(chunk).await.is_err() || failed {
            return;
        }
    }
}
