//! Hits, answered before anything is set in motion for them.
//!
//! Most requests ask plainly for what is fresh and in memory. [`Front`] answers those to proxied
//! paths where the server hands them in, with what the router and the layers behind it would say:
//! it counts and logs them as those would, and leaves everything else to them. That takes a third
//! of the instructions that the whole way takes for a hit.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, Version, header::VIA, request};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::Service};

use super::{
    access::Serves, backend::Backend, fields::Unkeyed, framing, limits::Limits, origin::Origin,
    patience::Answering, router::Route, server::Draining,
};
use crate::{
    cache::{CacheHandle, Hit},
    clock::Clock,
    log,
    metrics::Metrics,
    policy::Key,
};

/// Answers what it can at once.
#[derive(Clone, Debug)]
pub(super) struct Front {
    shared: Arc<Shared>,
    serves: Serves,
}

/// What it has to know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cache: CacheHandle<Backend>,
    pub(super) metrics: Metrics,
    pub(super) unkeyed: Unkeyed,
    pub(super) limits: Limits,
    pub(super) draining: Draining,
    /// Of larder's own paths.
    pub(super) prefix: String,
    pub(super) origin: Origin,
    /// How the key of each path at the origin begins.
    pub(super) start: String,
}

/// `inner`, with a [`Front`] before it.
#[derive(Debug)]
pub(super) struct Fronted<S> {
    front: Option<Front>,
    answering: Answering,
    inner: S,
}

/// The future of [`Fronted`].
pub(super) enum ResponseFuture<B> {
    AtOnce(Option<Response<Bytes>>),
    /// In a box: what is moved about for a hit is to be small.
    Long(Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>),
}

// === impl Front ===

impl Front {
    pub(super) fn new(shared: Shared) -> Self {
        Front {
            shared: Arc::new(shared),
            serves: Serves::All,
        }
    }

    /// The same, for what comes in there.
    pub(super) fn at(&self, serves: Serves) -> Option<Self> {
        (serves != Serves::Controls).then(|| Front {
            serves,
            ..self.clone()
        })
    }

    /// The response to a request without content, if it is at hand.
    fn answer(&self, head: &request::Parts) -> Option<Response<Bytes>> {
        let since = Clock::system().instant();
        let hit = self.hit(head)?;
        let body = hit.body.data().clone();
        let length = body.len() as u64;
        let response = hit.response(body);
        self.shared.metrics.hit_at_once(length, since);
        log::hit_at_once(head, response.status(), hit.ttl, length, since);
        Some(response)
    }

    fn hit(&self, head: &request::Parts) -> Option<Hit> {
        let Shared { limits, .. } = &*self.shared;
        let target = head.uri.path_and_query()?;
        let is_clear = target.as_str().len() as u64 <= limits.target
            && head.headers.len() <= limits.fields
            && matches!(head.version, Version::HTTP_11 | Version::HTTP_2)
            && framing::check_host(&head.uri, &head.headers, head.version).is_ok()
            && self.shared.leaves_alone(head)
            && !self.shared.draining.is_on();
        let is_own = Route::at(self.serves, &self.shared.prefix, target.path()).is_some();
        if !is_clear || is_own || !self.shared.origin.keeps(target.path()) {
            return None;
        }
        let hit = self.shared.cache.at_hand(head, |key| {
            key.push_str(&self.shared.start);
            key.push_str(target.as_str());
        })?;
        // Trailers are for bodies that have frames.
        hit.body.trailers().is_none().then_some(hit)
    }
}

impl Shared {
    /// How the key of each path at this origin begins.
    pub(super) fn start(origin: &Origin) -> Option<String> {
        let top = Key::of_uri(&origin.uri("/").ok()?);
        top.as_str().strip_suffix('/').map(str::to_owned)
    }

    /// Whether the request has no fields that are to be taken out of it, or counted.
    fn leaves_alone(&self, head: &request::Parts) -> bool {
        let concerns = |name: &HeaderName| name == VIA || self.unkeyed.is_one(name);
        !head.headers.keys().any(concerns)
    }
}

// === impl Fronted ===

impl<S> Fronted<S> {
    pub(super) fn new(front: Option<Front>, answering: Answering, inner: S) -> Self {
        Fronted {
            front,
            answering,
            inner,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Fronted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        if let Some(front) = &self.front
            && body.is_end_stream()
            && let Some(response) = front.answer(&head)
        {
            self.answering.came();
            return ResponseFuture::AtOnce(Some(response));
        }
        let answer = self.inner.call(Request::from_parts(head, body));
        ResponseFuture::Long(Box::pin(answer))
    }
}

// === impl ResponseFuture ===

impl<B> Future for ResponseFuture<B> {
    type Output = Result<Response<Either<Full<Bytes>, B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut *self {
            ResponseFuture::AtOnce(response) => {
                let response = response.take().expect("not polled after its end");
                Ok(response.map(|body| Either::Left(Full::new(body))))
            }
            ResponseFuture::Long(answer) => {
                let response = ready!(answer.as_mut().poll(cx))?;
                Ok(response.map(Either::Right))
            }
        })
    }
}
