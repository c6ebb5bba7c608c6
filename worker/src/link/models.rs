//! The models that a coordinator keeps: hashes in, lists of files and their bytes out.

use std::time::Duration;

use bytes::Bytes;
use tessera_proto::{
    ContentHash, ConvertError, Manifest, limits,
    wire::{self, models_client::ModelsClient},
};
use tokio::time::timeout;
use tonic::{Status, Streaming, transport::Channel};

/// How long an answer, and each piece of a file, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A coordinator's models.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    client: ModelsClient<Channel>,
}

/// A file's bytes, piece by piece.
#[derive(Debug)]
pub(crate) struct Pieces {
    stream: Streaming<wire::Blob>,
}

/// Why the coordinator did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It has its reasons, or the connection broke.
    #[error("the coordinator did not give it: {message}")]
    Refused {
        /// What it says.
        message: String,
    },
    /// It says nothing.
    #[error("the coordinator sent nothing for {} s", PATIENCE.as_secs())]
    Silent,
    /// A message that makes no sense.
    #[error("the coordinator sent something unexpected: {0}")]
    Message(#[from] ConvertError),
}

// === impl Library ===

impl Library {
    /// The models at the other end of a channel.
    pub(super) fn new(channel: Channel) -> Self {
        let client = ModelsClient::new(channel)
            .max_decoding_message_size(limits::MODELS_MESSAGE)
            .max_encoding_message_size(limits::MODELS_MESSAGE);
        Self { client }
    }

    /// The files of a model.
    ///
    /// # Errors
    /// It is not kept there, or its list of files is none that we take.
    pub(crate) async fn manifest(&mut self, model: ContentHash) -> Result<Manifest, Error> {
        let request = wire::ManifestRequest { model: model.to_string() };
        let answer = within(self.client.manifest(request)).await?;
        Ok(answer.into_inner().try_into()?)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// It is not kept there.
    pub(crate) async fn blob(&mut self, hash: ContentHash) -> Result<Pieces, Error> {
        let answer = within(self.client.get(wire::GetRequest { hash: hash.into() })).await?;
        Ok(Pieces { stream: answer.into_inner() })
    }
}

// === impl Pieces ===

impl Pieces {
    /// The next bytes; `None` when no more come.
    ///
    /// # Errors
    /// The connection broke, or nothing comes.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = within(self.stream.message()).await?;
        Ok(piece.map(|wire::Blob { data, total: _ }| data))
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
    let answer = timeout(PATIENCE, answer).await.map_err(|_| Error::Silent)?;
    answer.map_err(|status| Error::Refused { message: status.message().to_owned() })
}
