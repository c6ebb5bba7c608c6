//! The Models service: files of models in, named and kept; lists of them and their bytes, for workers, out.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tempfile::NamedTempFile;
use tessera_proto::{
    ContentHash, Manifest, RegisteredModel,
    manifest::MAX_FILE_BYTES,
    wire::{self, models_server::Models as Service},
};
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{
    pieces::{self, apart},
    status::Error,
};
use crate::{
    actor::Handle,
    store::{Models, ModelsError},
};

/// Blobs that are received at a time: each has a file open, and its own share of the disk.
const UPLOADS: usize = 8;

/// How long a blob may wait for the others to be received.
const TURN: Duration = Duration::from_secs(30);

/// How long the next piece of a blob may take.
const PIECE: Duration = Duration::from_secs(60);

/// How often it is looked which models other coordinators keep in the same place, or whether a place works again.
const LOOK: Duration = Duration::from_secs(10);

/// Keeps models.
#[derive(Debug)]
pub(crate) struct ModelsService {
    models: Models,
    actor: Handle,
    uploads: Arc<Semaphore>,
    /// One change at a time, so that the actor hears of the last one last.
    changes: Mutex<()>,
}

/// A blob under way.
struct Upload {
    file: NamedTempFile,
    hasher: blake3::Hasher,
    received: u64,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

// === impl ModelsService ===

impl ModelsService {
    pub(crate) fn new(models: Models, actor: Handle) -> Self {
        Self { models, actor, uploads: Arc::new(Semaphore::new(UPLOADS)), changes: Mutex::default() }
    }

    /// Does something with the models, on a thread that may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Models) -> Result<T, ModelsError> + Send + 'static,
    ) -> Result<T, Error> {
        let models = self.models.clone();
        Ok(apart(move || work(&models)).await??)
    }

    /// The same, after which the actor hears what models there are.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Models) -> Result<T, ModelsError> + Send + 'static,
    ) -> Result<T, Error> {
        let _turn = self.changes.lock().await;
        let (done, listed) = self.with(move |models| Ok((work(models)?, models.list()?))).await?;
        self.actor.models(listed).await?;
        Ok(done)
    }
}

#[tonic::async_trait]
impl Service for ModelsService {
    type PutStream = Answers<wire::PutResponse>;
    type GetStream = Answers<wire::Blob>;

    async fn lacking(
        &self,
        request: Request<wire::LackingRequest>,
    ) -> Result<Response<wire::LackingResponse>, Status> {
        let manifest = Manifest::try_from(request.into_inner()).map_err(Error::from)?;
        let hashes = self.with(move |models| models.lacking(&manifest)).await?;
        Ok(Response::new(wire::LackingResponse { hashes: hashes.into_iter().map(Bytes::from).collect() }))
    }

    async fn put(
        &self,
        request: Request<Streaming<wire::PutRequest>>,
    ) -> Result<Response<Self::PutStream>, Status> {
        let turn = timeout(TURN, Arc::clone(&self.uploads).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Error::BlobBusy { limit: UPLOADS }.into()) };
        let (answer, stream) = mpsc::channel(1);
        let models = self.models.clone();
        tokio::spawn(async move {
            let put = receive(&models, request.into_inner()).await;
            let answered = answer.send(put.map(|()| wire::PutResponse {})).await;
            drop((turn, answered));
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn register(
        &self,
        request: Request<wire::RegisterRequest>,
    ) -> Result<Response<wire::RegisterResponse>, Status> {
        let manifest = Manifest::try_from(request.into_inner()).map_err(Error::from)?;
        let (name, hash) = (manifest.name().to_owned(), manifest.hash());
        self.change(move |models| models.register(&manifest)).await?;
        tracing::info!(name, %hash, "a model is kept");
        Ok(Response::new(wire::RegisterResponse { hash: hash.into() }))
    }

    async fn list(
        &self,
        _: Request<wire::ListModelsRequest>,
    ) -> Result<Response<wire::ListModelsResponse>, Status> {
        let models: Vec<RegisteredModel> = self.with(Models::list).await?;
        Ok(Response::new(wire::ListModelsResponse { models: models.into_iter().map(Into::into).collect() }))
    }

    async fn remove(
        &self,
        request: Request<wire::RemoveModelRequest>,
    ) -> Result<Response<wire::RemoveModelResponse>, Status> {
        let wire::RemoveModelRequest { name } = request.into_inner();
        let removed = name.clone();
        let freed = self.change(move |models| models.remove(&removed)).await?;
        tracing::info!(name, freed, "a model is kept no more");
        Ok(Response::new(wire::RemoveModelResponse { freed }))
    }

    async fn manifest(
        &self,
        request: Request<wire::ManifestRequest>,
    ) -> Result<Response<wire::Manifest>, Status> {
        let wire::ManifestRequest { model } = request.into_inner();
        let find = move |models: &Models| {
            let named = match model.parse() {
                Ok(hash) => Some(hash),
                Err(_) => models.named(&model)?,
            };
            models.manifest(named.ok_or(ModelsError::Unknown { name: model })?)
        };
        let manifest = self.with(find).await?;
        Ok(Response::new((&manifest).into()))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        let wire::GetRequest { hash } = request.into_inner();
        let hash = ContentHash::try_from(hash).map_err(Error::from)?;
        let stored = self.with(move |models| models.blob(hash)).await?;
        let (pieces, stream) = mpsc::channel(pieces::READ_AHEAD);
        tokio::spawn(pieces::read(stored, |data, total| wire::Blob { data, total }, pieces));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Takes a blob; nothing is left of one that is not what its head says.
async fn receive(models: &Models, mut inbox: Streaming<wire::PutRequest>) -> Result<(), Status> {
    use wire::put_request::Part;
    let head = timeout(PIECE, inbox.message()).await;
    let Ok(Some(wire::PutRequest { part: Some(Part::Head(head)) })) =
        head.map_err(|_| Error::Missing("put.head"))?
    else {
        return Err(Error::Missing("put.head").into());
    };
    let wire::BlobHead { hash, size } = head;
    let hash = ContentHash::try_from(hash).map_err(Error::from)?;
    if MAX_FILE_BYTES < size {
        return Err(Error::BlobSize { size, limit: MAX_FILE_BYTES }.into());
    }
    let (begin, keep) = (models.clone(), models.clone());
    let file = apart(move || begin.begin(hash)).await?.map_err(Error::from)?;
    let mut upload = Upload { file, hasher: blake3::Hasher::new(), received: 0 };
    loop {
        let late = |_| Error::BlobLate { hash, seconds: PIECE.as_secs() };
        let data = match timeout(PIECE, inbox.message()).await.map_err(late)?? {
            None => break,
            Some(wire::PutRequest { part: Some(Part::Data(data)) }) => data,
            Some(_) => return Err(Error::Missing("put.data").into()),
        };
        let received = upload.received + data.len() as u64;
        if size < received {
            return Err(Error::BlobShort { hash, announced: size, received }.into());
        }
        upload = apart(move || upload.with(&data)).await?.map_err(ModelsError::from).map_err(Error::from)?;
    }
    let Upload { file, hasher, received } = upload;
    if received != size {
        return Err(Error::BlobShort { hash, announced: size, received }.into());
    }
    if hasher.finalize().as_bytes() != hash.bytes() {
        return Err(Error::BlobContent { hash }.into());
    }
    apart(move || keep.keep(file, hash)).await?.map_err(Error::from)?;
    Ok(())
}

// === impl Upload ===

impl Upload {
    /// The next bytes.
    fn with(mut self, data: &[u8]) -> std::io::Result<Self> {
        use std::io::Write as _;
        self.file.write_all(data)?;
        self.hasher.update(data);
        self.received += data.len() as u64;
        Ok(self)
    }
}

/// Tells the actor what models there are: at the start, and again and again where others change them too.
pub(crate) async fn keep_current(models: Models, actor: Handle, shared: bool) {
    let swept = models.clone();
    // Where we are not alone, what looks left behind may be another one's, just begun.
    if !shared && let Ok(Err(error)) = apart(move || swept.sweep()).await {
        tracing::warn!(%error, "what is left of blobs cannot be removed");
    }
    loop {
        let listed = models.clone();
        match apart(move || listed.list()).await {
            Ok(Ok(models)) => {
                if actor.models(models).await.is_err() || !shared {
                    return;
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the models cannot be listed"),
            Err(error) => tracing::warn!(%error, "the models cannot be listed"),
        }
        sleep(LOOK).await;
    }
}
