//! Stored files on their way to a client: a file in, its bytes piece by piece out.

use bytes::Bytes;
use tessera_proto::limits;
use tokio::{runtime::Handle as Runtime, sync::mpsc};
use tonic::Status;

use super::status::Error;
use crate::{store::Stored, threads};

/// Pieces that are read ahead.
pub(super) const READ_AHEAD: usize = 4;

/// Runs what reads, writes or decodes a file.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    threads::compute(&Runtime::current(), work).await.map_err(|_| Error::Background)
}

/// Reads a file into pieces until it ends or nobody listens. `piece` makes one of bytes and the file's length.
pub(super) async fn read<T>(
    mut stored: Stored,
    piece: impl Fn(Bytes, u64) -> T + Send,
    pieces: mpsc::Sender<Result<T, Status>>,
) {
    let (mut offset, total) = (0, stored.total());
    loop {
        let next = move || {
            let data = stored.read(offset, limits::FETCH_CHUNK);
            (stored, data)
        };
        let data;
        (stored, data) = match apart(next).await {
            Ok(read) => read,
            Err(error) => return drop(pieces.send(Err(error.into())).await),
        };
        let data = match data {
            Ok(data) if data.is_empty() => return,
            Ok(data) => data,
            Err(error) => return drop(pieces.send(Err(Error::from(error).into())).await),
        };
        offset += data.len() as u64;
        if pieces.send(Ok(piece(Bytes::from(data), total))).await.is_err() {
            return;
        }
    }
}
