//! Hits, answered before anything is set in motion for them.
//!
//! Most requests ask plainly for what is fresh and in memory. [`Front`] answers those, to proxied
//! paths and to `/proxy`, where the server hands them in, with what the router and the layers
//! behind it would say: it counts and logs them as those would, and leaves everything else to
//! them. With all that hyper does, such a hit takes some 16,000 instructions, and 31,000 by the
//! whole way; [without hyper](super::express), some 6,000.

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
use tokio::time::Instant;

use super::{
    access::Serves,
    backend::Backend,
    body::Spliced,
    config::Config,
    draining::Draining,
    envelope,
    express::{Due, Line},
    fields::{self, Unkeyed},
    framing,
    limits::Limits,
    origin::Origin,
    pace::Pace,
    patience::Answering,
    router::Route,
    target::{Target, Targets},
    unsent::Unsent,
    wire,
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

/// What goes into an envelope, and is larger, is left to hyper, which does not copy it.
const LARGEST: u64 = 16 * 1024;

/// `inner`, with a [`Front`] before it.
#[derive(Debug)]
pub(super) struct Fronted<S> {
    front: Option<Front>,
    answering: Answering,
    /// In HTTP/2.
    pace: Option<Pace>,
    /// In HTTP/1.
    line: Option<Line>,
    inner: S,
}

/// The future of [`Fronted`].
pub(super) struct ResponseFuture<B> {
    answer: Answer<B>,
    line: Option<Line>,
}

#[expect(clippy::large_enum_variant, reason = "a hit is to need no box")]
enum Answer<B> {
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
        let since = Clock::system().instant();
        let shared = &*self.shared;
        if !shared.has_clear_fields(head) {
            return None;
        }
        let (hit, envelope) = self.find(head, u64::MAX)?;
        let response = match envelope {
            Some(envelope) => envelope,
            None => hit.response(hit.body.data()?.clone().into()),
        };
        shared.count(head, &hit, response.body().len(), since);
        Some(response)
    }

    /// Writes it as HTTP/1.1 sends it. `head` is one that was answered from here, or differs from
    /// such a one in its target alone, which is a path.
    pub(super) fn write(&self, head: &request::Parts, out: &mut Unsent) -> bool {
        let since = Clock::system().instant();
        let Some((hit, envelope)) = self.find(head, LARGEST) else {
            return false;
        };
        let length = match (envelope, hit.body.data()) {
            (Some(envelope), _) => wire::response(out, &envelope),
            // Whether a response without content says how long it is depends on its status.
            (None, Some(data)) if !data.is_empty() => wire::hit(out, &hit, data),
            (None, _) => return false,
        };
        self.shared.count(head, &hit, length, since);
        true
    }

    /// What answers a request whose fields are clear; and through `/proxy` the envelope around no
    /// more than `most` bytes.
    fn find(&self, head: &request::Parts, most: u64) -> Option<(Hit, Option<Response<Spliced>>)> {
        let shared = &*self.shared;
        if !shared.has_clear_target(head) || shared.draining.is_on() {
            return None;
        }
        match Route::at(self.serves, &shared.prefix, head.uri.path()) {
            None => shared.proxied(head).map(|hit| (hit, None)),
            Some(Route::Proxy) => {
                let (hit, envelope) = shared.enveloped(head, most)?;
                Some((hit, Some(envelope)))
            }
            Some(_) => None,
        }
    }
}

impl Shared {
    /// Whether the request has no fields that larder answers for itself, or that are to be taken
    /// out, or counted.
    fn has_clear_fields(&self, head: &request::Parts) -> bool {
        // What else `Connection` names is to be taken out.
        let names_others = |value: &HeaderValue| {
            let is = |word: &[u8]| value.as_bytes().eq_ignore_ascii_case(word);
            !is(b"keep-alive") && !is(b"close")
        };
        let concerns = |(name, value): (&HeaderName, &HeaderValue)| {
            name == VIA || name == CONNECTION && names_others(value) || self.unkeyed.is_one(name)
        };
        head.headers.len() <= self.limits.fields
            && matches!(head.version, Version::HTTP_11 | Version::HTTP_2)
            && framing::check_host(&head.uri, &head.headers, head.version).is_ok()
            && !head.headers.iter().any(concerns)
    }

    /// Whether its target is one that larder takes.
    fn has_clear_target(&self, head: &request::Parts) -> bool {
        let target = head.uri.path_and_query();
        target.is_some_and(|target| {
            let target = target.as_str();
            target.len() as u64 <= self.limits.target && framing::is_path(target)
        })
    }

    /// Counts and logs a hit that was answered with so many bytes.
    fn count(&self, head: &request::Parts, hit: &Hit, bytes: u64, since: Instant) {
        let took = since.elapsed();
        self.metrics.hit_at_once(hit.body.len(), took);
        let told = (hit.head.status(), || hit.status());
        log::hit_at_once(head, told, bytes, took);
    }

    fn proxied(&self, head: &request::Parts) -> Option<Hit> {
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
        let is_whole = hit.body.data().is_some() && hit.body.trailers().is_none();
        is_whole.then_some(hit)
    }

    /// The same through `/proxy`.
    fn enveloped(&self, head: &request::Parts, most: u64) -> Option<(Hit, Response<Spliced>)> {
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
        if hit.body.len() > most {
            return None;
        }
        let response = envelope::of_hit(&hit)?;
        if known.is_none() && query.len() <= LONG {
            self.meanings.insert(query.into(), meaning);
        }
        Some((hit, response))
    }
}

// === impl Fronted ===

impl<S> Fronted<S> {
    /// In HTTP/2 there is a `pace`, in HTTP/1 a `line`.
    pub(super) fn new(
        front: Option<Front>,
        answering: Answering,
        (pace, line): (Option<Pace>, Option<Line>),
        inner: S,
    ) -> Self {
        Fronted {
            front,
            answering,
            pace,
            line,
            inner,
        }
    }
}

impl<S, B> Service<Request<Incoming>> for Fronted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body,
{
    type Response = Response<Due<Either<Spliced, B>>>;
    type Error = Infallible;
    type Future = ResponseFuture<B>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (head, body) = request.into_parts();
        let line = self.line.clone();
        let is_whole = body.is_end_stream();
        if let Some(line) = &line {
            line.came(is_whole);
        }
        if let Some(front) = &self.front
            && is_whole
            && let Some(response) = front.answer(&head)
        {
            self.answering.came();
            if let Some(pace) = &self.pace {
                pace.gave(response.body().len() as usize);
            }
            if let Some(line) = &line {
                line.knows(head);
            }
            let answer = Answer::AtOnce(Some(response));
            return ResponseFuture { answer, line };
        }
        let answer = self.inner.call(Request::from_parts(head, body));
        let answer = Answer::Long(Box::pin(answer));
        ResponseFuture { answer, line }
    }
}

// === impl ResponseFuture ===

impl<B: Body> Future for ResponseFuture<B> {
    type Output = Result<Response<Due<Either<Spliced, B>>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.answer {
            Answer::AtOnce(response) => {
                let response = response.take().expect("not polled after its end");
                response.map(Either::Left)
            }
            Answer::Long(answer) => ready!(answer.as_mut().poll(cx))?.map(Either::Right),
        };
        let line = self.line.take();
        Poll::Ready(Ok(response.map(|body| Due::new(body, line))))
    }
}
