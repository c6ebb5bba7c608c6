//! Models on their way to a coordinator: lists of files and bytes in, what it keeps out.

use bytes::Bytes;
use tessera_proto::{ContentHash, Manifest, ModelFile, RegisteredModel, wire};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{Client, Error, fault};

/// Pieces of a file that wait to be sent.
const AHEAD: usize = 4;

impl Client {
    /// The files of a model that the coordinator does not have, by their hashes.
    ///
    /// # Errors
    /// The coordinator refuses the model, or does not answer.
    pub(crate) async fn lacking(&mut self, manifest: &Manifest) -> Result<Vec<ContentHash>, Error> {
        let request = wire::LackingRequest { manifest: Some(manifest.into()) };
        let answer = self.models.lacking(request).await;
        let wire::LackingResponse { hashes } = answer.map_err(|status| self.fault(&status))?.into_inner();
        Ok(hashes.into_iter().map(ContentHash::try_from).collect::<Result<_, _>>()?)
    }

    /// Sends a file. Its bytes are asked of `pieces`, which the sender of ends when all were sent.
    ///
    /// # Errors
    /// The coordinator refuses it, or the connection breaks.
    pub(crate) async fn put(&mut self, file: &ModelFile, pieces: mpsc::Receiver<Bytes>) -> Result<(), Error> {
        use wire::put_request::Part;
        let head = Part::Head(wire::BlobHead { hash: file.hash.into(), size: file.size });
        let parts = tokio_stream::once(head).chain(ReceiverStream::new(pieces).map(Part::Data));
        let requests = parts.map(|part| wire::PutRequest { part: Some(part) });
        let answer = self.models.put(requests).await;
        let mut answers = answer.map_err(|status| self.fault(&status))?.into_inner();
        let answered = answers.message().await.map_err(|status| fault(&self.address, &status))?;
        answered.map(|wire::PutResponse {}| ()).ok_or(Error::Lost { address: self.address.clone() })
    }

    /// Gives a model its name, after all its files.
    ///
    /// # Errors
    /// A file is not there, or no answer.
    pub(crate) async fn register(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let request = wire::RegisterRequest { manifest: Some(manifest.into()) };
        self.models.register(request).await.map_err(|status| self.fault(&status))?;
        Ok(())
    }

    /// All models that the coordinator keeps.
    ///
    /// # Errors
    /// No answer.
    pub(crate) async fn models(&mut self) -> Result<Vec<RegisteredModel>, Error> {
        let answer = self.models.list(wire::ListModelsRequest {}).await;
        let answer = answer.map_err(|status| self.fault(&status))?;
        let wire::ListModelsResponse { models } = answer.into_inner();
        Ok(models.into_iter().map(RegisteredModel::try_from).collect::<Result<_, _>>()?)
    }

    /// Takes a model away. Returns how many bytes went with it.
    ///
    /// # Errors
    /// There is none of this name, or no answer.
    pub(crate) async fn remove_model(&mut self, name: String) -> Result<u64, Error> {
        let answer = self.models.remove(wire::RemoveModelRequest { name }).await;
        let answer = answer.map_err(|status| self.fault(&status))?;
        let wire::RemoveModelResponse { freed } = answer.into_inner();
        Ok(freed)
    }
}

/// A way for the pieces of a file.
pub(crate) fn pieces() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    mpsc::channel(AHEAD)
}
