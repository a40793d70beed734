//! The rules of a shared HTTP cache (RFC 9111), as pure functions.
//!
//! Everything a question needs goes in as an argument (request and response heads, `now`), and
//! every answer is an enum that carries what is needed to act on it. Nothing here reads a clock,
//! touches a store, waits, or sees a body.

mod content;
mod date;
mod directives;
mod etag;
mod explain;
mod freshness;
mod head;
mod hop;
mod invalidation;
mod key;
mod list;
mod part;
mod purge;
mod range;
mod reason;
mod reference;
mod reuse;
mod rules;
mod search;
mod storing;
mod structured;
mod tags;
#[cfg(test)]
mod testing;
mod usual;
mod validation;
mod vary;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, request, response};

use self::date::MAX_DELTA;
use self::freshness::Exchange;
pub(crate) use self::head::apart;
#[cfg(feature = "proxy")]
pub(crate) use self::hop::named;
pub use self::{
    content::{Content, Digest},
    directives::{RequestDirectives, ResponseDirectives},
    explain::{Limit, Stated, Step},
    freshness::{Lifetime, Source},
    head::{Head, StoredHead},
    hop::remove_hop_by_hop,
    key::Key,
    part::{Part, content_range},
    purge::Purge,
    range::{ByteRange, Selected},
    reason::Reason,
    search::{Rule, Search},
    vary::{Fields, Selection, Varies, Vary},
};

/// The settings of a cache, and the questions one may ask it.
#[derive(Clone, Debug)]
pub struct Policy {
    silent: Silent,
    cap: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    key_headers: Vec<HeaderName>,
}

/// How long a response lives whose origin states no lifetime.
#[derive(Clone, Copy, Debug)]
enum Silent {
    /// This long, where its status allows (see [`Policy::ttl`]).
    For(Duration),
    /// RFC 9111 §4.2.2: a tenth of the time since it was last modified.
    Heuristic,
}

/// What to do with a request, before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Look for a stored response.
    Lookup,
    /// Forward it: the cache has no part in it.
    Pass(Reason),
    /// Forward it: the method is unsafe, and a successful answer makes the cache forget
    /// (RFC 9111 §4.4), see [`Policy::invalidated`].
    Invalidate,
}

/// Whether a stored response may answer a request now (RFC 9111 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As it is.
    Fresh {
        /// The response's current age, in seconds: the value of `Age`.
        age: u64,
        /// Seconds until it is stale; negative where the request accepts it stale (`max-stale`).
        ttl: i64,
    },
    /// As it is, while it is fetched anew behind the client's back (RFC 5861 §3).
    StaleWhileRevalidate {
        /// The response's current age, in seconds.
        age: u64,
        /// Seconds until it is stale: negative.
        ttl: i64,
    },
    /// Not before the origin was asked. `fresh` tells whether it was the request's own
    /// directives that demanded it, and not the response's age.
    Validate {
        /// The stored response is fresh, and the request insists.
        fresh: bool,
        /// Why.
        reason: Reason,
    },
}

/// Whether a response may be kept (RFC 9111 §3), and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Keep it in the store for so long: while it is fresh, and after that while it is of use
    /// to validation or may be served stale.
    For(Duration),
    /// Do not store it.
    No(Reason),
}

/// What the client's own preconditions make of a stored response (RFC 9110 §13.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer with the response itself.
    Proceed,
    /// 304: the client has it.
    NotModified,
    /// 412: the client's `If-Match` or `If-Unmodified-Since` does not hold.
    Failed,
}

impl Default for Policy {
    /// Sixty seconds for a response that states no lifetime, and no cap on those that do.
    fn default() -> Self {
        Policy::new(Silent::For(Duration::from_secs(60)), None)
    }
}

impl Policy {
    /// `ttl` is the lifetime of a response whose origin states none, and the longest that any
    /// response lives in this cache; shorter explicit lifetimes are always honoured. As all times
    /// here, it is 2^31 seconds at most (RFC 9111 §1.2.2).
    pub fn ttl(ttl: Duration) -> Self {
        let ttl = ttl.min(MAX_DELTA);
        Policy::new(Silent::For(ttl), Some(ttl))
    }

    /// Only what the origin says, with the heuristic of RFC 9111 §4.2.2 where it says nothing.
    pub fn origin() -> Self {
        Policy::new(Silent::Heuristic, None)
    }

    fn new(silent: Silent, cap: Option<Duration>) -> Self {
        Policy {
            silent,
            cap,
            stale_while_revalidate: None,
            stale_if_error: None,
            key_headers: Vec::new(),
        }
    }

    /// Takes every response to vary by these request fields, whether it says so or not: what is
    /// stored says it in `Vary`.
    pub fn key_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.key_headers.extend(names);
        self
    }

    /// For how long a stale response is served while it is fetched anew, when its origin does
    /// not say (RFC 5861 §3). Not at all, unless set.
    pub fn default_stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window.min(MAX_DELTA));
        self
    }

    /// For how long a stale response stands in for an origin that fails, when the origin does
    /// not say (RFC 5861 §4). Not at all, unless set.
    pub fn default_stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window.min(MAX_DELTA));
        self
    }

    fn revalidate_window(&self, head: &Head) -> Option<Duration> {
        let stated = head.directives().stale_while_revalidate;
        stated.or(self.stale_while_revalidate)
    }

    fn error_window(&self, head: &Head) -> Option<Duration> {
        head.directives().stale_if_error.or(self.stale_if_error)
    }

    /// Whether the request may be answered from the cache, is none of the cache's business, or
    /// makes it forget.
    pub fn admit(&self, req: &request::Parts) -> Admit {
        storing::admit(req, &mut ())
    }

    /// Whether nothing in the request bears on how a stored response is used: then it is looked
    /// up, its own preconditions and ranges need no thought, and [`Policy::reuse_plainly`] says
    /// whether a response is fresh.
    pub fn is_plain(&self, req: &request::Parts) -> bool {
        reuse::is_plain(req)
    }

    /// The age, and the time to live, that [`Policy::reuse`] finds in a response that is fresh to
    /// a [plain](Policy::is_plain) request, in seconds.
    pub fn reuse_plainly(&self, head: &Head, now: SystemTime) -> Option<(u64, i64)> {
        reuse::reuse_plainly(head, now)
    }

    /// Whether the request forbids to ask the origin (`only-if-cached`, RFC 9111 §5.2.1.7):
    /// without a usable stored response it is answered with 504.
    pub fn only_if_cached(&self, req: &request::Parts) -> bool {
        reuse::only_if_cached(req)
    }

    /// What is remembered of a response besides its bytes: its end-to-end fields, and its age
    /// and lifetime as reckoned from `sent` (when the request left) and `received` (when the
    /// response's head arrived).
    pub fn head(
        &self,
        _req: &request::Parts,
        res: &response::Parts,
        sent: SystemTime,
        received: SystemTime,
    ) -> Head {
        let exchange = Exchange { sent, received };
        freshness::head(self, (res.status, res.version), &res.headers, exchange)
    }

    /// Whether this response to this request may be kept, and for how long from `now`.
    pub fn keep(&self, req: &request::Parts, head: &Head, now: SystemTime) -> Keep {
        storing::keep(self, req, head, now, &mut ())
    }

    /// Whether this stored response may answer this request now. The selecting header fields
    /// (`Vary`) are the caller's to compare.
    pub fn reuse(&self, head: &Head, req: &request::Parts, now: SystemTime) -> Reuse {
        reuse::reuse(self, head, req, now, &mut ())
    }

    /// Whether this stale response may stand in for an origin that failed (RFC 5861 §4), and
    /// then its age in seconds and its (negative) time to live.
    pub fn stale_if_error(
        &self,
        head: &Head,
        req: &request::Parts,
        now: SystemTime,
    ) -> Option<(u64, i64)> {
        reuse::stale_if_error(self, head, req, now)
    }

    /// Replaces the request's own conditions by those that validate `stored` (RFC 9111 §4.3.1);
    /// without a stored response, only takes them out, so that the answer can be stored whole.
    /// Returns whether the request is conditional now.
    pub fn make_conditional(&self, headers: &mut HeaderMap, stored: Option<&Head>) -> bool {
        validation::make_conditional(headers, stored)
    }

    /// The stored head, freshened by a 304 (RFC 9111 §3.2, §4.3.4), or `None` when the 304 is
    /// about another representation and the stored one must be fetched anew.
    pub fn freshen(
        &self,
        stored: &Head,
        _req: &request::Parts,
        not_modified: &response::Parts,
        sent: SystemTime,
        received: SystemTime,
    ) -> Option<Head> {
        validation::freshen(self, stored, not_modified, Exchange { sent, received })
    }

    /// The stored head, of a representation of `len` bytes if that is known, freshened by the
    /// response to a HEAD (RFC 9111 §4.3.5), or `None` when that tells that it is out of date.
    pub fn freshen_by_head(
        &self,
        stored: &Head,
        len: Option<u64>,
        res: &response::Parts,
        sent: SystemTime,
        received: SystemTime,
    ) -> Option<Head> {
        validation::freshen_by_head(self, stored, len, res, Exchange { sent, received })
    }

    /// What the client's own preconditions make of `head`.
    pub fn precondition(&self, req: &request::Parts, head: &Head) -> Precondition {
        validation::precondition(req, head)
    }

    /// Which bytes of a stored 200 of `len` bytes the request wants (RFC 9110 §14).
    pub fn select(&self, req: &request::Parts, head: &Head, len: u64) -> Selected {
        range::select(req, head, len)
    }

    /// Whether a full answer of this status, though it is not stored, tells that what is stored for
    /// the request is out of date (RFC 9111 §4.3.3); that it is not for its asker alone is the
    /// caller's to know.
    pub fn displaces(&self, req: &request::Parts, status: StatusCode) -> bool {
        validation::displaces(req, status)
    }

    /// Names the [key headers](Policy::key_headers) in the `Vary` of a response.
    pub(crate) fn name_key_headers(&self, headers: &mut HeaderMap) {
        if !self.key_headers.is_empty() {
            Varies::parse_with(headers, &self.key_headers);
        }
    }

    /// Whether the request says nothing beside its key but what requests usually say, so that an
    /// origin that fails at it would fail at others, too.
    pub fn is_usual(&self, req: &request::Parts) -> bool {
        usual::is_usual(&req.headers, &Varies::No)
    }

    /// Whether the request wants all bytes, though it says so as a range (`bytes=0-`): the whole
    /// may be fetched for it at no greater cost.
    pub fn is_range_of_all(&self, req: &request::Parts) -> bool {
        range::is_of_all(req)
    }

    /// The ranges that the request wants, if a stored part holds all of them.
    pub fn select_held(&self, req: &request::Parts, head: &Head) -> Option<Vec<ByteRange>> {
        range::select_held(req, head)
    }

    /// The head of a part of which `len` bytes were received, to store it with; a part that is
    /// the whole becomes a 200. `None` when it cannot be stored.
    pub fn received(&self, part: &Head, len: u64) -> Option<Head> {
        part::received(part, len)
    }

    /// The head of two parts joined (RFC 9111 §3.4), if they may be. What is whole is a 200.
    pub fn combine(&self, stored: &Head, new: &Head) -> Option<Head> {
        part::combine(self, stored, new)
    }

    /// Whether two parts are of the same representation, by their strong validators.
    pub fn are_of_one(&self, one: &Head, other: &Head) -> bool {
        part::are_of_one(one, other)
    }

    /// Makes a request ask for what a stored part lacks to be whole, on condition that it is
    /// still a part of the same. Answers whether it can be completed so.
    pub fn ask_for_rest(&self, headers: &mut HeaderMap, part: &Head) -> bool {
        part::ask_for_rest(headers, part)
    }

    /// The head as if its lifetime ended at `now`, and for how long it is of use after that;
    /// `None` when it is of none.
    pub fn expire(&self, head: &Head, now: SystemTime) -> Option<(Head, Duration)> {
        let head = freshness::expire(head, now);
        let keep = storing::use_from(self, &head, now);
        (!keep.is_zero()).then_some((head, keep))
    }

    /// The keys that this response to an unsafe request makes the cache forget (RFC 9111 §4.4).
    pub fn invalidated(&self, req: &request::Parts, res: &response::Parts) -> Vec<Key> {
        invalidation::invalidated(req, res)
    }

    /// The groups, of the origin of the request, that this response to it makes the cache forget
    /// (`Cache-Group-Invalidation`, RFC 9875 §3): none unless its method is unsafe.
    pub fn invalidated_groups(&self, req: &request::Parts, res: &response::Parts) -> Vec<String> {
        invalidation::groups(req, res)
    }
}
