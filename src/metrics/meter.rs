//! What is counted of one exchange: of a request through the cache, and of one to the upstream.

use std::sync::Arc;

use http::{StatusCode, response};
use tokio::time::Instant;

use super::{registry::Counters, sharded::Counter};
use crate::{
    body_end::{End, OnEnd},
    clock::Clock,
    outcome::{Forward, Outcome},
};

/// Counts exchanges of one sort.
pub trait Meter {
    /// What is known between the request and the head of its response. Dropped unused when the
    /// caller goes away before that.
    type Open: Open;

    /// An exchange begins.
    fn begin(&self) -> Self::Open;
}

/// An exchange whose response head is awaited.
pub trait Open {
    /// Told of the end of the response's body.
    type Body;

    /// The head came.
    fn answered(self, head: &response::Parts) -> Self::Body;

    /// An error came instead.
    fn failed(self);
}

/// Counts requests through the cache.
#[derive(Clone, Debug)]
pub struct CacheMeter(pub(super) Arc<Counters>);

/// A request at the cache, counted as a miss if nothing else becomes of it.
#[derive(Debug)]
pub struct CacheOpen {
    counters: Arc<Counters>,
    since: Instant,
    counted: bool,
}

/// A response from the cache on its way to the client.
#[derive(Debug)]
pub struct CacheBody {
    counters: Arc<Counters>,
    hit: bool,
}

/// Counts requests to the upstream.
#[derive(Clone, Debug)]
pub struct UpstreamMeter(pub(super) Arc<Counters>);

/// A request at the upstream.
#[derive(Debug)]
pub struct UpstreamOpen {
    counters: Arc<Counters>,
    since: Instant,
    answered: bool,
}

/// A response from the upstream on its way to the cache.
#[derive(Debug)]
pub struct UpstreamBody(Arc<Counters>);

// === impl CacheMeter ===

impl Meter for CacheMeter {
    type Open = CacheOpen;

    fn begin(&self) -> CacheOpen {
        self.0.in_flight.inc();
        CacheOpen {
            counters: Arc::clone(&self.0),
            since: Clock::system().instant(),
            counted: false,
        }
    }
}

impl Open for CacheOpen {
    type Body = CacheBody;

    fn answered(mut self, head: &response::Parts) -> CacheBody {
        self.counted = true;
        let counters = &self.counters;
        let outcome = head.extensions.get::<Outcome>();
        let hit = outcome.is_some_and(|outcome| outcome.hit);
        if hit {
            counters.hits.inc();
        } else {
            counters.misses.inc();
        }
        let durations = &counters.durations;
        let duration = match outcome {
            None => &durations.miss,
            Some(outcome) => {
                let stale = is_stale(outcome);
                let revalidated = is_revalidated(outcome);
                count_if(stale, &counters.stale);
                count_if(revalidated, &counters.revalidations);
                count_if(outcome.collapsed, &counters.collapsed);
                count_if(outcome.stored, &counters.stored);
                match outcome {
                    _ if stale => &durations.stale,
                    _ if hit => &durations.hit,
                    _ if revalidated => &durations.revalidated,
                    _ if outcome.collapsed => &durations.collapsed,
                    _ => &durations.miss,
                }
            }
        };
        duration.observe(self.since.elapsed());
        CacheBody {
            counters: Arc::clone(counters),
            hit,
        }
    }

    fn failed(self) {
        self.counters.errors.inc();
        self.counters.durations.error.observe(self.since.elapsed());
    }
}

fn count_if(happened: bool, counter: &Counter) {
    if happened {
        counter.inc();
    }
}

/// A stale response as it was stored: it may be served so, or stands in for an origin that failed.
fn is_stale(outcome: &Outcome) -> bool {
    let is_news = outcome.stored || outcome.forward_status == Some(StatusCode::NOT_MODIFIED);
    outcome.ttl.is_some_and(|ttl| ttl <= 0) && !is_news
}

/// A stale response that the origin said is still good (RFC 9211 §2.2, §2.3).
fn is_revalidated(outcome: &Outcome) -> bool {
    outcome.forward == Some(Forward::Stale)
        && outcome.forward_status == Some(StatusCode::NOT_MODIFIED)
}

impl Drop for CacheOpen {
    fn drop(&mut self) {
        if !self.counted {
            self.counters.misses.inc();
            self.counters.in_flight.dec();
        }
    }
}

impl<E> OnEnd<E> for CacheBody {
    fn on_end(self, _: End, bytes: u64, _: Option<&E>) {
        let source = if self.hit {
            &self.counters.bytes_from_cache
        } else {
            &self.counters.bytes_fetched
        };
        source.inc_by(bytes);
        self.counters.in_flight.dec();
    }
}

// === impl UpstreamMeter ===

impl Meter for UpstreamMeter {
    type Open = UpstreamOpen;

    fn begin(&self) -> UpstreamOpen {
        self.0.upstream.requests.inc();
        self.0.upstream.in_flight.inc();
        UpstreamOpen {
            counters: Arc::clone(&self.0),
            since: Clock::system().instant(),
            answered: false,
        }
    }
}

impl Open for UpstreamOpen {
    type Body = UpstreamBody;

    fn answered(mut self, head: &response::Parts) -> UpstreamBody {
        self.answered = true;
        let upstream = &self.counters.upstream;
        let class = usize::from(head.status.as_u16() / 100);
        // A status beyond 599 is of no class that anybody watches.
        if let Some(responses) = upstream.responses.get(class - 1) {
            responses.inc();
        }
        upstream.durations.observe(self.since.elapsed());
        UpstreamBody(Arc::clone(&self.counters))
    }

    fn failed(self) {
        self.counters.upstream.errors.inc();
    }
}

impl Drop for UpstreamOpen {
    fn drop(&mut self) {
        if !self.answered {
            self.counters.upstream.in_flight.dec();
        }
    }
}

impl<E> OnEnd<E> for UpstreamBody {
    fn on_end(self, end: End, bytes: u64, _: Option<&E>) {
        let upstream = &self.0.upstream;
        upstream.bytes.inc_by(bytes);
        if end == End::Failed {
            upstream.errors.inc();
        }
        upstream.in_flight.dec();
    }
}
