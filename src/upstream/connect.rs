//! The connector that hyper's client is given: dialling and TLS under one timeout, and
//! connections that know whether they have answered before.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

use super::{
    dial::BoxFuture,
    error::{BoxError, ErrorKind, Failure},
    proxy::{Proxies, Reach},
};

/// Dialling, with TLS on top where the crate is built with it.
#[cfg(feature = "tls")]
pub(super) type Transport = hyper_rustls::HttpsConnector<Reach>;
/// Dialling, with TLS on top where the crate is built with it.
#[cfg(not(feature = "tls"))]
pub(super) type Transport = Reach;

#[derive(Clone)]
pub(super) struct Connector {
    pub(super) transport: Transport,
    /// Bounds attempts that go on in the background after their request was served otherwise.
    pub(super) timeout: Option<Duration>,
    pub(super) proxies: Proxies,
}

/// A connection with a mark that hyper's client hands back beside responses and errors.
pub(super) struct Stream<T> {
    io: T,
    mark: Mark,
    /// The other side is a proxy, and takes requests with whole URIs.
    to_proxy: bool,
}

/// Whether a connection has answered a request before.
#[derive(Clone, Default)]
pub(super) struct Mark(Arc<AtomicBool>);

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = Stream<<Transport as Service<Uri>>::Response>;
    type Error = Failure;
    type Future = BoxFuture<Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let to_proxy = self.proxies.reads(&uri);
        // The transport is always ready: dialling is, and TLS adds nothing to wait for.
        let connecting = self.transport.call(uri);
        Box::pin(async move {
            let connected = match timeout {
                None => connecting.await,
                Some(limit) => tokio::time::timeout(limit, connecting).await.map_err(|_| {
                    Failure::new(ErrorKind::Timeout, format!("no connection in {limit:?}"))
                })?,
            };
            match connected {
                Ok(io) => Ok(Stream {
                    io,
                    mark: Mark::default(),
                    to_proxy,
                }),
                Err(error) => Err(failure(error)),
            }
        })
    }
}

/// What dialling did not object to failed in TLS.
fn failure(error: impl Into<BoxError>) -> Failure {
    match error.into().downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(error) => Failure::caused(ErrorKind::Tls, "the TLS handshake failed", error),
    }
}

// === impl Mark ===

impl Mark {
    /// Notes an answer on the connection whose extras are in `extensions`.
    pub(super) fn answered(extensions: &mut Extensions) {
        if let Some(Mark(answered)) = extensions.remove() {
            answered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether `connection` has answered a request before.
    pub(super) fn has_answered(connection: &Connected) -> bool {
        let mut extensions = Extensions::new();
        connection.get_extras(&mut extensions);
        extensions
            .get()
            .is_some_and(|Mark(answered)| answered.load(Ordering::Relaxed))
    }
}

// === impl Stream ===

impl<T: Connection> Connection for Stream<T> {
    fn connected(&self) -> Connected {
        let connected = self.io.connected().proxy(self.to_proxy);
        connected.extra(self.mark.clone())
    }
}

impl<T: Read + Unpin> Read for Stream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Stream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
