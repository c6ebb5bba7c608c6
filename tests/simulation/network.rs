//! gRPC over turmoil's network: a port in, a stream of connections out; an endpoint in, a channel out.

use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tessera_worker::LinkError;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri, server::Connected};
use tower::service_fn;
use turmoil::net::{TcpListener, TcpStream};

/// Where the coordinator listens.
pub(crate) const PORT: u16 = 7878;

/// The coordinator's URL; `coordinator` is its name in the simulation.
pub(crate) const URL: &str = "http://coordinator:7878";

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted(TcpStream);

/// Connections to this host's port, as they come.
pub(crate) async fn listen() -> io::Result<ReceiverStream<io::Result<Accepted>>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let (connections, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
            if connections.send(accepted).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}

/// Opens a channel, as [`Endpoint::connect`] does over the system's network.
pub(crate) async fn connect(endpoint: Endpoint) -> Result<Channel, LinkError> {
    let dial = |uri: Uri| async move {
        let host = uri.host().unwrap_or_default().to_owned();
        TcpStream::connect((host, uri.port_u16().unwrap_or(PORT))).await.map(TokioIo::new)
    };
    let channel = endpoint.connect_with_connector(service_fn(dial)).await;
    channel.map_err(|_| LinkError::Unreachable { url: URL.to_owned() })
}

// === impl Accepted ===

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
