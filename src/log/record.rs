//! What is remembered of an exchange until it is logged, and the events themselves.

use std::fmt::Display;

use http::{Method, StatusCode, Uri, response};
#[cfg(feature = "proxy")]
use http::{Response, request};
use tokio::time::Instant;
use tracing::{Level, enabled, field, info, warn};

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

/// Logs a hit that no layer has seen, as [`LogLayer::requests`](super::LogLayer::requests) does.
#[cfg(feature = "proxy")]
pub(crate) fn hit_at_once<B>(
    request: &request::Parts,
    response: &Response<B>,
    ttl: i64,
    bytes: u64,
    since: Instant,
) {
    if !enabled!(target: REQUEST, Level::INFO) {
        return;
    }
    let record = Record {
        kind: Kind::Requests,
        method: request.method.clone(),
        uri: request.uri.clone(),
        since,
        status: Some(response.status()),
        outcome: Some(Outcome::hit(ttl)),
        told: false,
    };
    record.ended(End::Complete, bytes, None);
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
                target = &*redact(self.target()),
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
        let end = match end {
            End::Complete => None,
            End::Failed => Some("failed"),
            End::Dropped => Some("dropped"),
        };
        info!(
            target: REQUEST,
            method = self.method.as_str(),
            target = &*redact(self.target()),
            status = self.status.map(|status| status.as_u16()),
            outcome = self.outcome.as_ref().map(Outcome::word),
            cache = self.outcome.as_ref().map(field::display),
            bytes,
            duration_ms = self.milliseconds(),
            end,
            error,
            "request"
        );
    }

    /// Path and query: what of the request's target holds no userinfo of its own.
    fn target(&self) -> &str {
        let target = self.uri.path_and_query();
        target.map_or("", |target| target.as_str())
    }

    /// Host and port.
    fn host(&self) -> &str {
        let authority = self.uri.authority().map_or("", |host| host.as_str());
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }

    /// Since the request, to the microsecond.
    fn milliseconds(&self) -> f64 {
        self.since.elapsed().as_micros() as f64 / 1e3
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
