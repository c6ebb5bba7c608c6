//! Connections from strangers: a listener in; connections that must come to the point, and no more than we can bear, out.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::{Connected, TcpIncoming};

/// Connections at a time: each holds at most the window of a connection, see [`tessera_proto::limits`].
const CONNECTIONS: usize = 4096;

/// Of these, ones whose caller has not been admitted yet.
const STRANGERS: usize = 512;

/// How long a caller may take for its first call that is admitted; slow networks shake hands in a few seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that has come in.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    peer: Peer,
    /// Until when it must have been admitted; `None` = it is.
    patience: Option<Pin<Box<Sleep>>>,
    _room: OwnedSemaphorePermit,
}

/// Whose connection a call came by.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: Option<SocketAddr>,
    /// Its place among the strangers, as long as it is one.
    stranger: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

/// The connections of a listener.
///
/// Accepted sockets have Nagle's algorithm on by themselves: a small reply behind another one would wait 40 ms.
pub(crate) fn accepted(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    limited(listener, (CONNECTIONS, STRANGERS), PATIENCE)
}

fn limited(
    listener: TcpListener,
    (connections, strangers): (usize, usize),
    patience: Duration,
) -> impl Stream<Item = io::Result<Connection>> {
    let (all, strange) = (Arc::new(Semaphore::new(connections)), Arc::new(Semaphore::new(strangers)));
    TcpIncoming::from(listener).with_nodelay(Some(true)).filter_map(move |accepted| {
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        let address = stream.peer_addr().ok();
        let room =
            Arc::clone(&all).try_acquire_owned().ok().zip(Arc::clone(&strange).try_acquire_owned().ok());
        let Some((room, stranger)) = room else {
            tracing::warn!(?address, connections, strangers, "too many connections: one was closed");
            return None;
        };
        let peer = Peer { address, stranger: Arc::new(Mutex::new(Some(stranger))) };
        Some(Ok(Connection { stream, peer, patience: Some(Box::pin(sleep(patience))), _room: room }))
    })
}

// === impl Peer ===

impl Peer {
    /// Where it is.
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// A call of it was admitted: it may stay.
    pub(super) fn admit(&self) {
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn is_stranger(&self) -> bool {
        self.stranger.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// One that has just come.
    #[cfg(test)]
    pub(super) fn stranger() -> Self {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().ok();
        Self { address: None, stranger: Arc::new(Mutex::new(permit)) }
    }
}

// === impl Connection ===

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(patience) = &mut self.patience {
            let over = patience.as_mut().poll(context).is_ready();
            if !self.peer.is_stranger() {
                self.patience = None;
            } else if over {
                tracing::warn!(address = ?self.peer.address, "a connection without an admitted call was closed");
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn accepted_sockets_do_not_hold_small_messages_back() {
        let (listener, address) = listen().await;
        let mut connections = std::pin::pin!(accepted(listener));
        let _client = TcpStream::connect(address).await.unwrap();
        assert!(connections.next().await.unwrap().unwrap().stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_caller_that_drips_is_cut_off_and_one_that_is_admitted_is_not() {
        let (listener, address) = listen().await;
        let mut connections = std::pin::pin!(limited(listener, (9, 9), SHORT));
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut slow = connections.next().await.unwrap().unwrap();
        let drip = async {
            while client.write_all(b"x").await.is_ok() {
                sleep(SHORT / 5).await;
            }
        };
        let read = async {
            let mut bytes = [0; 64];
            loop {
                if let Err(error) = slow.read(&mut bytes).await {
                    drop(slow);
                    return error.kind();
                }
            }
        };
        let (kind, ()) = tokio::join!(read, drip);
        assert_eq!(kind, io::ErrorKind::TimedOut);

        let mut client = TcpStream::connect(address).await.unwrap();
        let mut friend = connections.next().await.unwrap().unwrap();
        friend.connect_info().admit();
        sleep(3 * SHORT).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(friend.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn more_connections_than_bearable_are_closed_at_once() {
        let (listener, address) = listen().await;
        let mut connections = std::pin::pin!(limited(listener, (3, 1), Duration::from_secs(60)));
        let _one = TcpStream::connect(address).await.unwrap();
        let one = connections.next().await.unwrap().unwrap();
        let mut two = TcpStream::connect(address).await.unwrap();
        let accepting = connections.next();
        let closed = async { two.read(&mut [0; 8]).await };
        tokio::select! {
            _ = accepting => panic!("a second stranger came in"),
            read = closed => assert!(matches!(read, Ok(0) | Err(_)), "{read:?}"),
        }
        one.connect_info().admit();
        let _three = TcpStream::connect(address).await.unwrap();
        connections.next().await.unwrap().unwrap();
    }
}
