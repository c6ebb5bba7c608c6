//! The Jobs service: users' requests in, the actor's answers out.

use std::pin::Pin;

use tessera_proto::{
    JobId, JobSpec,
    wire::{self, jobs_server},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{
    elsewhere::Elsewhere,
    pieces::{self, apart},
    status::Error,
};
use crate::{
    actor::Handle,
    render::Source,
    security::{Caller, Credential, Role},
    store::{Jobs, Stored},
};

/// Answers users.
#[derive(Debug)]
pub(crate) struct JobsService {
    actor: Handle,
    elsewhere: Elsewhere,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

// === impl JobsService ===

impl JobsService {
    /// `table`: the jobs of all coordinators, where there are others.
    pub(crate) fn new(actor: Handle, table: Option<Jobs>) -> Self {
        Self { elsewhere: Elsewhere::new(actor.clone(), table), actor }
    }

    async fn take(&self, message: wire::SubmitRequest, caller: Option<&Credential>) -> Result<JobId, Error> {
        let wire::SubmitRequest { spec } = message;
        let mut spec = spec.ok_or(Error::Missing("spec"))?;
        if let Some(Credential { name, .. }) = caller.filter(|caller| caller.role == Role::Submit) {
            if !spec.user.is_empty() && spec.user != *name {
                return Err(Error::User { name: name.clone(), asked: spec.user });
            }
            spec.user.clone_from(name);
        }
        let spec = JobSpec::try_from(spec)?;
        // Decoded here, off the actor's thread: a bad file is refused before the job exists.
        let own = spec.clone();
        let read = move || Source::read(&own);
        let source = apart(read).await??;
        Ok(self.actor.submit(spec, source).await?)
    }

    /// Whether a caller may do to a job what its owner may.
    async fn own(&self, job: JobId, caller: Option<&Credential>) -> Result<(), Error> {
        let Some(Credential { name, .. }) = caller.filter(|caller| caller.role != Role::Admin) else {
            return Ok(());
        };
        let is_owner = self.actor.watch(job).await?.borrow().user == *name;
        if is_owner { Ok(()) } else { Err(Error::NotOwner { job, name: name.clone() }) }
    }

    async fn artifact(
        &self,
        message: wire::FetchRequest,
        caller: Option<&Credential>,
    ) -> Result<Stored, Error> {
        let (job, artifact) = message.try_into()?;
        self.elsewhere.look_for(job).await?;
        self.own(job, caller).await?;
        let fetch = self.actor.fetch(job, artifact).await?;
        Ok(apart(move || fetch.open()).await??)
    }
}

#[tonic::async_trait]
impl jobs_server::Jobs for JobsService {
    type WatchStream = Answers<wire::JobStatus>;
    type FetchStream = Answers<wire::FetchChunk>;

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitResponse>, Status> {
        let caller = caller(&request);
        let job = self.take(request.into_inner(), caller.as_ref()).await?;
        Ok(Response::new(wire::SubmitResponse { job: job.to_string() }))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let job = id(&request.into_inner().job)?;
        self.elsewhere.look_for(job).await?;
        let statuses = self.actor.watch(job).await.map_err(Error::from)?;
        // One status waits for the client; what changes meanwhile is seen in the next one.
        let (answers, stream) = mpsc::channel(1);
        tokio::spawn(until_final(statuses, answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn cancel(
        &self,
        request: Request<wire::CancelRequest>,
    ) -> Result<Response<wire::JobStatus>, Status> {
        let caller = caller(&request);
        let job = id(&request.into_inner().job)?;
        self.elsewhere.look_for(job).await?;
        self.own(job, caller.as_ref()).await?;
        let status = self.actor.cancel(job).await.map_err(Error::from)?;
        Ok(Response::new(status.into()))
    }

    async fn list(&self, _: Request<wire::ListRequest>) -> Result<Response<wire::ListResponse>, Status> {
        let jobs = self.actor.list().await.map_err(Error::from)?;
        Ok(Response::new(wire::ListResponse { jobs: jobs.into_iter().map(Into::into).collect() }))
    }

    async fn show(
        &self,
        request: Request<wire::ShowRequest>,
    ) -> Result<Response<wire::ShowResponse>, Status> {
        let caller = caller(&request);
        let job = id(&request.into_inner().job)?;
        self.elsewhere.look_for(job).await?;
        let (history, report) = self.actor.show(job).await.map_err(Error::from)?;
        // A report tells what was asked for.
        let is_own = self.own(job, caller.as_ref()).await.is_ok();
        let report = report.filter(|_| is_own).and_then(|report| report.to_json().ok());
        Ok(Response::new(history.into_wire(report.unwrap_or_default())))
    }

    async fn fetch(
        &self,
        request: Request<wire::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let caller = caller(&request);
        let stored = self.artifact(request.into_inner(), caller.as_ref()).await?;
        let (chunks, stream) = mpsc::channel(pieces::READ_AHEAD);
        let chunk = |data, total| wire::FetchChunk { data, total };
        tokio::spawn(pieces::read(stored, chunk, chunks));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn workers(
        &self,
        _: Request<wire::WorkersRequest>,
    ) -> Result<Response<wire::WorkersResponse>, Status> {
        let workers = self.actor.workers().await.map_err(Error::from)?;
        Ok(Response::new(wire::WorkersResponse { workers: workers.into_iter().map(Into::into).collect() }))
    }

    async fn drain(
        &self,
        request: Request<wire::DrainRequest>,
    ) -> Result<Response<wire::DrainResponse>, Status> {
        let wire::DrainRequest { worker } = request.into_inner();
        let workers = self.actor.drain(worker).await.map_err(Error::from)?;
        Ok(Response::new(wire::DrainResponse { workers: workers.into_iter().map(Into::into).collect() }))
    }
}

/// Who calls, where that is asked.
fn caller<T>(request: &Request<T>) -> Option<Credential> {
    request.extensions().get::<Caller>().map(|caller| caller.credential.clone())
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
