//! [`Query`]: the service that reads what a QUERY asks.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tokio::time::timeout;
use tower::Service;

use super::{
    body::{Gathering, QueryBody},
    future::ResponseFuture,
};
use crate::policy::{Content, Reason};

/// For how long a content is waited for. What comes later goes on as it comes, under the patience
/// of whoever it goes to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts what a QUERY asks among its extensions, as a [`Content`].
#[derive(Clone, Debug)]
pub struct Query<S> {
    inner: S,
    limit: usize,
}

impl<S> Query<S> {
    pub(super) fn new(inner: S, limit: usize) -> Self {
        Query { inner, limit }
    }
}

impl<S, Q> Service<Request<Q>> for Query<S>
where
    S: Service<Request<QueryBody<Q>>> + Clone + Send + 'static,
    S::Future: Send,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<Q>) -> Self::Future {
        if req.method().as_str() != "QUERY" {
            return ResponseFuture::direct(self.inner.call(req.map(QueryBody::untouched)));
        }
        // The one that is ready, and not its copy.
        let copy = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, copy);
        let limit = self.limit;
        ResponseFuture::gathering(async move { inner.call(read(req, limit).await).await })
    }
}

/// The same request, with what it asks.
async fn read<Q: Body<Data = Bytes>>(req: Request<Q>, limit: usize) -> Request<QueryBody<Q>> {
    let (mut parts, body) = req.into_parts();
    let mut gathering = Gathering::new(body);
    let fits = timeout(PATIENCE, gathering.gather(limit)).await;
    let fits = fits.unwrap_or(true); // as far as it came
    let content = match gathering.content() {
        _ if !fits => Content::Unknown(Reason::QueryTooLarge),
        Some(content) => Content::read(&parts.headers, content),
        None => Content::Unknown(Reason::QueryUnclear),
    };
    parts.extensions.insert(content);
    Request::from_parts(parts, gathering.into_body())
}
