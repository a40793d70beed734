//! Hits, answered before anything is set in motion for them.
//!
//! Most requests ask plainly for what is fresh and in memory. [`Front`] answers those, to proxied
//! paths and to `/proxy`, where the server hands them in, with what the router and the layers
//! behind it would say: it counts and logs them as those would, and leaves everything else to
//! them. With all that hyper does, such a hit takes some 16,000 instructions, and 31,000 by the
//! whole way.

use std::{
    borrow::Cow,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderName, HeaderValue, Request, Response, Version,
    header::{CONNECTION, HOST, VIA},
    request,
    uri::PathAndQuery,
};
use http_body::Body;
use http_body_util::Either;
use hyper::{body::Incoming, service::Service};
use quick_cache::sync::Cache;

use super::{
    access::Serves,
    backend::Backend,
    body::Spliced,
    config::Config,
    envelope,
    fields::{self, Unkeyed},
    framing,
    limits::Limits,
    origin::Origin,
    pace::Pace,
    patience::Answering,
    router::Route,
    server::Draining,
    target::{Target, Targets},
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
struct Shared {
    cache: CacheHandle<Backend>,
    metrics: Metrics,
    unkeyed: Unkeyed,
    limits: Limits,
    draining: Draining,
    /// Of larder's own paths.
    prefix: String,
    /// The origin, and how the key of each path there begins.
    origin: Option<(Origin, String)>,
    targets: Targets,
    /// What queries of `/proxy` mean that were answered from here: it takes longer to find out
    /// than all the rest.
    meanings: Cache<Box<str>, Arc<Meaning>>,
}

/// What is asked for through `/proxy`.
#[derive(Debug)]
struct Meaning {
    key: Key,
    at_origin: bool,
}

/// So many queries of `/proxy` are kept in mind.
const QUERIES: usize = 4096;

/// A longer one is not.
const LONG: usize = 256;

/// `inner`, with a [`Front`] before it.
#[derive(Debug)]
pub(super) struct Fronted<S> {
    front: Option<Front>,
    answering: Answering,
    pace: Option<Pace>,
    inner: S,
}

/// The future of [`Fronted`].
#[expect(clippy::large_enum_variant, reason = "a hit is to need no box")]
pub(super) enum ResponseFuture<B> {
    AtOnce(Option<Response<Spliced>>),
    Long(Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>),
}

// === impl Front ===

impl Front {
    pub(super) fn new(
        config: &Config,
        (cache, metrics): (CacheHandle<Backend>, Metrics),
        draining: Draining,
    ) -> Self {
        let origin = config.origin.clone().and_then(|origin| {
            let top = Key::of_uri(&origin.uri(&PathAndQuery::from_static("/")).ok()?);
            let start = top.as_str().strip_suffix('/')?.to_owned();
            Some((origin, start))
        });
        let shared = Shared {
            cache,
            metrics,
            unkeyed: Unkeyed::new(config),
            limits: config.limits.clone(),
            draining,
            prefix: config.prefix.clone(),
            origin,
            targets: Targets::new(config),
            meanings: Cache::new(QUERIES),
        };
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
    fn answer(&self, head: &request::Parts) -> Option<Response<Spliced>> {
        let shared = &*self.shared;
        let since = Clock::system().instant();
        if !shared.is_clear(head) {
            return None;
        }
        let (hit, response) = match Route::at(self.serves, &shared.prefix, head.uri.path()) {
            None => shared.proxied(head)?,
            Some(Route::Proxy) => shared.enveloped(head)?,
            Some(_) => return None,
        };
        let took = since.elapsed();
        let length = hit.body.len();
        shared.metrics.hit_at_once(length, took);
        log::hit_at_once(head, &response, response.body().len(), took);
        Some(response)
    }
}

impl Shared {
    /// Whether the request is one that needs no answer of larder's own, and has no fields that
    /// are to be taken out of it, or counted.
    fn is_clear(&self, head: &request::Parts) -> bool {
        // What else `Connection` names is to be taken out.
        let names_others = |value: &HeaderValue| {
            let is = |word: &[u8]| value.as_bytes().eq_ignore_ascii_case(word);
            !is(b"keep-alive") && !is(b"close")
        };
        let concerns = |(name, value): (&HeaderName, &HeaderValue)| {
            name == VIA || name == CONNECTION && names_others(value) || self.unkeyed.is_one(name)
        };
        let target = head.uri.path_and_query();
        target.is_some_and(|target| {
            let target = target.as_str();
            target.len() as u64 <= self.limits.target && framing::is_path(target)
        }) && head.headers.len() <= self.limits.fields
            && matches!(head.version, Version::HTTP_11 | Version::HTTP_2)
            && framing::check_host(&head.uri, &head.headers, head.version).is_ok()
            && !head.headers.iter().any(concerns)
            && !self.draining.is_on()
    }

    fn proxied(&self, head: &request::Parts) -> Option<(Hit, Response<Spliced>)> {
        let (origin, start) = self.origin.as_ref()?;
        let target = head.uri.path_and_query()?;
        if !origin.keeps(target.path()) {
            return None;
        }
        let hit = self.cache.at_hand(head, |key| {
            key.push_str(start);
            key.push_str(target.as_str());
        })?;
        // Trailers are for bodies that have frames.
        let data = hit.body.data().filter(|_| hit.body.trailers().is_none())?;
        let response = hit.response(data.clone().into());
        Some((hit, response))
    }

    /// The same through `/proxy`.
    fn enveloped(&self, head: &request::Parts) -> Option<(Hit, Response<Spliced>)> {
        let query = head.uri.query()?;
        let known = self.meanings.get(query);
        let meaning = match &known {
            Some(meaning) => Arc::clone(meaning),
            None => {
                let Target { uri, at_origin } = self.targets.resolve(Some(query)).ok()?;
                let key = Key::of_uri(&uri);
                Arc::new(Meaning { key, at_origin })
            }
        };
        let is_not_sent = |name: &HeaderName| envelope::is_not_sent(name, meaning.at_origin);
        let mut others = head.headers.keys().filter(|name| *name != HOST);
        let asked = match others.any(is_not_sent) {
            true => {
                let mut asked = head.clone();
                fields::remove_those(&mut asked.headers, is_not_sent);
                Cow::Owned(asked)
            }
            false => Cow::Borrowed(head),
        };
        let hit = self
            .cache
            .at_hand(&asked, |key| key.push_str(meaning.key.as_str()))?;
        let response = envelope::of_hit(&hit)?;
        if known.is_none() && query.len() <= LONG {
            self.meanings.insert(query.into(), meaning);
        }
        Some((hit, response))
    }
}

// === impl Fronted ===

impl<S> Fronted<S> {
    /// In HTTP/2 there is a `pace`.
    pub(super) fn new(
        front: Option<Front>,
        answering: Answering,
        pace: Option<Pace>,
        inner: S,
    ) -> Self {
        Fronted {
            front,
            answering,
            pace,
            inner,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Fronted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Either<Spliced, B>>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        if let Some(front) = &self.front
            && body.is_end_stream()
            && let Some(response) = front.answer(&head)
        {
            self.answering.came();
            if let Some(pace) = &self.pace {
                pace.gave(response.body().len() as usize);
            }
            return ResponseFuture::AtOnce(Some(response));
        }
        let answer = self.inner.call(Request::from_parts(head, body));
        ResponseFuture::Long(Box::pin(answer))
    }
}

// === impl ResponseFuture ===

impl<B> Future for ResponseFuture<B> {
    type Output = Result<Response<Either<Spliced, B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut *self {
            ResponseFuture::AtOnce(response) => {
                let response = response.take().expect("not polled after its end");
                Ok(response.map(Either::Left))
            }
            ResponseFuture::Long(answer) => {
                let response = ready!(answer.as_mut().poll(cx))?;
                Ok(response.map(Either::Right))
            }
        })
    }
}
