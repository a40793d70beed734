//! [`Cache`]: the tower service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use super::{
    answer,
    body::ResponseBody,
    core::Core,
    exchange::{Copier, Exchange},
    future::ResponseFuture,
    quick,
};
use crate::store::Store;

/// Answers from its store where the rules allow, and else from the service that it wraps.
///
/// It is always ready: the inner service is cloned, and the clone made ready, only when the
/// origin must be asked. So hits are served while the inner service is saturated.
pub struct Cache<I, S> {
    inner: I,
    core: Arc<Core<S>>,
    copier: Option<Copier>,
}

impl<I, S> Cache<I, S> {
    pub(super) fn new(inner: I, core: Arc<Core<S>>, copier: Option<Copier>) -> Self {
        Cache {
            inner,
            core,
            copier,
        }
    }
}

impl<I, S, Q, R> Service<Request<Q>> for Cache<I, S>
where
    S: Store,
    I: Service<Request<Q>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send + 'static,
    I::Error: Send + 'static,
    Q: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = I::Error;
    type Future = ResponseFuture<R, I::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<Q>) -> Self::Future {
        let (parts, body) = req.into_parts();
        if let Some(hit) = quick::hit(&self.core, &parts) {
            return ResponseFuture::quick(answer::hit(&self.core, hit));
        }
        let exchange = Box::new(Exchange {
            core: Arc::clone(&self.core),
            inner: self.inner.clone(),
            parts,
            body,
            copier: self.copier.clone(),
            is_spare: false,
        });
        ResponseFuture::long(exchange.run())
    }
}

impl<I: Clone, S> Clone for Cache<I, S> {
    fn clone(&self) -> Self {
        Cache {
            inner: self.inner.clone(),
            core: Arc::clone(&self.core),
            copier: self.copier.clone(),
        }
    }
}

impl<I: std::fmt::Debug, S> std::fmt::Debug for Cache<I, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
