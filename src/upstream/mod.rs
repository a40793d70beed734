//! The upstream: hyper's client as a tower service.
//!
//! [`Upstream`] sends a request to the host that its absolute URI names, over pooled HTTP/1.1 and
//! HTTP/2 connections. To hyper's client it adds what a proxy needs: timeouts, a guard on the
//! addresses that are dialled, hop-by-hop fields removed on both ways, one retry where a kept
//! connection turned out to be closed, and errors that say whose fault it was. Interim responses
//! (1xx) go to those who listen for them, with [`Interims`]. [`Proxies`] lead through a proxy.
//!
//! ```no_run
//! use bytes::Bytes;
//! use http_body_util::Empty;
//! use larder::upstream::Upstream;
//! use std::time::Duration;
//! use tower::ServiceExt;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let upstream = Upstream::builder()
//!     .timeout(Duration::from_secs(30))
//!     .trust("localhost", 3000) // may lead to loopback; other hosts may not
//!     .build();
//! let request = http::Request::get("http://localhost:3000/").body(Empty::<Bytes>::new())?;
//! let response = upstream.oneshot(request).await?;
//! # Ok(()) }
//! ```

mod body;
mod builder;
mod connect;
mod dial;
mod error;
mod exchange;
mod fields;
mod guard;
mod interim;
mod proxy;
#[cfg(feature = "tls")]
pub mod tls;

use std::{
    fmt,
    future::{self, Future},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use tower::Service;

pub use self::{
    body::Body,
    builder::Builder,
    error::{Error, ErrorKind},
    guard::is_public,
    interim::{Interim, Interims},
    proxy::{Proxies, ProxyUrl},
};
use self::{
    body::RequestBody,
    connect::Connector,
    dial::BoxFuture,
    error::BoxError,
    exchange::{Exchange, Outgoing},
};

/// Sends requests to the hosts that their URIs name.
///
/// Always ready, and a clone is one `Arc`: all clones share one pool of connections.
#[derive(Clone)]
pub struct Upstream {
    exchange: Arc<Exchange>,
}

/// The future of [`Upstream`].
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture {
    inner: BoxFuture<Result<Response<Body>, Error>>,
}

// === impl Upstream ===

impl Upstream {
    /// How to set one up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn new(
        client: Client<Connector, RequestBody>,
        timeout: Option<Duration>,
        proxies: Proxies,
    ) -> Self {
        let exchange = Exchange {
            client,
            timeout,
            proxies,
        };
        Upstream {
            exchange: Arc::new(exchange),
        }
    }
}

impl<B> Service<Request<B>> for Upstream
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let exchange = Arc::clone(&self.exchange);
        ResponseFuture {
            inner: match Outgoing::new(request) {
                Ok(outgoing) => Box::pin(exchange.run(outgoing)),
                Err(error) => Box::pin(future::ready(Err(error))),
            },
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
