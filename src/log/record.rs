//! What is remembered of an exchange until it is logged, and the events themselves.

use std::{fmt::Display, time::Duration};

#[cfg(feature = "proxy")]
use http::{HeaderValue, request};
use http::{Method, StatusCode, Uri, response};
use tokio::time::Instant;
use tracing::{Level, enabled, info, warn};

use super::redact::redact;
use crate::{
    body_end::{End, OnEnd},
    clock::Clock,
    outcome::Outcome,
};

/// The target of the events about requests.
pub const REQUEST: &str = "larder::request";
/// The target of the events about the upstream.
pub const UPSTREAM: &str = "larder::upstream";

/// Whose exchanges are logged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Requests,
    Upstream,
}

/// An exchange that is under way. Nothing is formatted before there is an event to write.
#[derive(Debug)]
pub(super) struct Record {
    kind: Kind,
    method: Method,
    uri: Uri,
    since: Instant,
    status: Option<StatusCode>,
    outcome: Option<Outcome>,
    told: bool,
}

/// Logs a hit that no layer has seen, as [`LogLayer::requests`](super::LogLayer::requests) does:
/// its status, and what its `Cache-Status` says, which is only asked for if somebody wants it.
#[cfg(feature = "proxy")]
pub(crate) fn hit_at_once(
    request: &request::Parts,
    (status, cache): (StatusCode, impl FnOnce() -> HeaderValue),
    bytes: u64,
    took: Duration,
) {
    if !enabled!(target: REQUEST, Level::INFO) {
        return;
    }
    let cache = cache();
    let line = Line {
        method: &request.method,
        uri: &request.uri,
        status: Some(status),
        outcome: Some("HIT"),
        cache: cache.to_str().ok(),
        bytes,
        took,
    };
    line.write(End::Complete, None);
}

/// The event of a request.
struct Line<'a> {
    method: &'a Method,
    uri: &'a Uri,
    status: Option<StatusCode>,
    outcome: Option<&'static str>,
    cache: Option<&'a str>,
    bytes: u64,
    took: Duration,
}

impl Line<'_> {
    fn write(&self, end: End, error: Option<String>) {
        let end = match end {
            End::Complete => None,
            End::Failed => Some("failed"),
            End::Dropped => Some("dropped"),
        };
        info!(
            target: REQUEST,
            method = self.method.as_str(),
            target = &*redact(target(self.uri)),
            status = self.status.map(|status| status.as_u16()),
            outcome = self.outcome,
            cache = self.cache,
            bytes = self.bytes,
            duration_ms = milliseconds(self.took),
            end,
            error,
            "request"
        );
    }
}

/// Path and query: what of the request's target holds no userinfo of its own.
fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |target| target.as_str())
}

/// To the microsecond.
fn milliseconds(took: Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}

/// The exchange after its response head; `None` when nobody listens.
#[derive(Debug)]
pub struct Answered(pub(super) Option<Record>);

// === impl Record ===

impl Record {
    /// `None` when neither a failure nor, all the more, a success would be written.
    pub(super) fn begin(kind: Kind, method: &Method, uri: &Uri) -> Option<Self> {
        let listened = match kind {
            Kind::Requests => enabled!(target: REQUEST, Level::WARN),
            Kind::Upstream => enabled!(target: UPSTREAM, Level::WARN),
        };
        listened.then(|| Record {
            kind,
            method: method.clone(),
            uri: uri.clone(),
            since: Clock::system().instant(),
            status: None,
            outcome: None,
            told: false,
        })
    }

    pub(super) fn answered(mut self, head: &response::Parts) -> Self {
        self.status = Some(head.status);
        match self.kind {
            Kind::Requests => self.outcome = head.extensions.get().cloned(),
            Kind::Upstream => info!(
                target: UPSTREAM,
                host = self.host(),
                method = self.method.as_str(),
                path = &*redact(self.uri.path()),
                status = head.status.as_u16(),
                duration_ms = self.milliseconds(),
                "upstream answered"
            ),
        }
        self
    }

    pub(super) fn failed(mut self, error: &impl Display) {
        self.told = true;
        match self.kind {
            Kind::Requests => warn!(
                target: REQUEST,
                method = self.method.as_str(),
                target = &*redact(target(&self.uri)),
                error = format_args!("{error:#}"),
                duration_ms = self.milliseconds(),
                "request failed"
            ),
            Kind::Upstream => warn!(
                target: UPSTREAM,
                host = self.host(),
                method = self.method.as_str(),
                path = &*redact(self.uri.path()),
                error = format_args!("{error:#}"),
                duration_ms = self.milliseconds(),
                "upstream failed"
            ),
        }
    }

    fn ended(mut self, end: End, bytes: u64, error: Option<&dyn Display>) {
        let error = error.map(|error| format!("{error:#}"));
        match self.kind {
            Kind::Requests => self.request(end, bytes, error),
            Kind::Upstream if end == End::Failed => warn!(
                target: UPSTREAM,
                host = self.host(),
                method = self.method.as_str(),
                path = &*redact(self.uri.path()),
                status = self.status.map(|status| status.as_u16()),
                bytes,
                error,
                duration_ms = self.milliseconds(),
                "upstream broke off"
            ),
            Kind::Upstream => {}
        }
        self.told = true;
    }

    fn request(&self, end: End, bytes: u64, error: Option<String>) {
        if !enabled!(target: REQUEST, Level::INFO) {
            return;
        }
        let cache = self.outcome.as_ref().map(ToString::to_string);
        let line = Line {
            method: &self.method,
            uri: &self.uri,
            status: self.status,
            outcome: self.outcome.as_ref().map(Outcome::word),
            cache: cache.as_deref(),
            bytes,
            took: self.since.elapsed(),
        };
        line.write(end, error);
    }

    /// Host and port.
    fn host(&self) -> &str {
        let authority = self.uri.authority().map_or("", |host| host.as_str());
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }

    fn milliseconds(&self) -> f64 {
        milliseconds(self.since.elapsed())
    }
}

impl Drop for Record {
    /// The caller went away before there was a response.
    fn drop(&mut self) {
        if !self.told && matches!(self.kind, Kind::Requests) {
            self.request(End::Dropped, 0, None);
        }
    }
}

// === impl Answered ===

impl<E: Display> OnEnd<E> for Answered {
    fn on_end(self, end: End, bytes: u64, error: Option<&E>) {
        if let Some(record) = self.0 {
            record.ended(end, bytes, error.map(|error| error as &dyn Display));
        }
    }
}
