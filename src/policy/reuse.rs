//! §4: may it answer this request now.

use std::time::{Duration, SystemTime};

use http::{HeaderName, Method, request};

use super::{
    Head, Policy, Reason, RequestDirectives, Reuse,
    rules::{Rule, Witness},
};

pub(super) fn only_if_cached(req: &request::Parts) -> bool {
    RequestDirectives::parse(&req.headers).only_if_cached
}

/// Whether nothing in a request bears on how a stored response is used: it is a GET without
/// directives, conditions, ranges, content or an upgrade.
pub(super) fn is_plain(req: &request::Parts) -> bool {
    let bears = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "cache-control"
                | "content-length"
                | "if-match"
                | "if-modified-since"
                | "if-none-match"
                | "if-range"
                | "if-unmodified-since"
                | "pragma"
                | "range"
                | "transfer-encoding"
                | "upgrade"
        )
    };
    req.method == Method::GET && !req.headers.keys().any(bears)
}

/// What [`reuse`] says to a plain request, if that is `Fresh`: the age, and the time to live.
pub(super) fn reuse_plainly(head: &Head, now: SystemTime) -> Option<(u64, i64)> {
    let age = head.age(now);
    let ttl = head.ttl_at(age);
    (ttl > 0 && !head.directives().no_cache).then_some((age, ttl))
}

/// Whether a stored response answers a request, and how.
pub(super) fn reuse(
    policy: &Policy,
    head: &Head,
    req: &request::Parts,
    now: SystemTime,
    why: &mut impl Witness,
) -> Reuse {
    let wanted = RequestDirectives::parse(&req.headers);
    let (age, ttl) = (head.age(now), head.ttl(now));
    if !why.see(Rule::StoredNoCache, !head.directives().no_cache) {
        return Reuse::Validate {
            fresh: false,
            reason: Reason::NoCache,
        };
    }
    let fresh = ttl > 0;
    if !why.see(Rule::AskedNoCache, !wanted.no_cache) {
        return Reuse::Validate {
            fresh,
            reason: Reason::NoCache,
        };
    }
    if why.see(Rule::Fresh, fresh) {
        let accepted = why.see(Rule::MaxAge, accepts_age(&wanted, head, age))
            && why.see(Rule::MinFresh, accepts_ttl(&wanted, ttl));
        return if accepted {
            Reuse::Fresh { age, ttl }
        } else {
            Reuse::Validate {
                fresh,
                reason: Reason::RequestDirective,
            }
        };
    }
    if may_be_stale(&wanted, head, age, why) {
        let staleness = Duration::from_secs(ttl.unsigned_abs());
        let within = |window: Option<Duration>| window.is_some_and(|window| staleness <= window);
        if why.see(Rule::MaxStale, within(wanted.max_stale)) {
            return Reuse::Fresh { age, ttl };
        }
        // A client that says how stale it accepts does not accept staler ones.
        if why.see(Rule::NoMaxStale, wanted.max_stale.is_none())
            && why.see(
                Rule::WhileRevalidate,
                within(policy.revalidate_window(head)),
            )
        {
            return Reuse::StaleWhileRevalidate { age, ttl };
        }
    }
    Reuse::Validate {
        fresh,
        reason: Reason::Stale,
    }
}

/// Whether a stored response stands in for an origin that failed (RFC 5861 §4): when itself, the
/// request, or the cache's own setting says so.
pub(super) fn stale_if_error(
    policy: &Policy,
    head: &Head,
    req: &request::Parts,
    now: SystemTime,
) -> Option<(u64, i64)> {
    let wanted = RequestDirectives::parse(&req.headers);
    if wanted.no_cache || head.directives().forbids_stale() {
        return None;
    }
    let window = policy.error_window(head).max(wanted.stale_if_error)?;
    let ttl = head.ttl(now);
    let staleness = Duration::from_secs(ttl.min(0).unsigned_abs());
    (staleness <= window).then(|| (head.age(now), ttl))
}

/// `max-age` (§5.2.1.1). Of a fresh `immutable` response nothing newer can be had, so that a
/// reload, which says `max-age=0`, need not ask for it (RFC 8246 §2).
fn accepts_age(wanted: &RequestDirectives, head: &Head, age: u64) -> bool {
    match wanted.max_age {
        None => true,
        Some(_) if head.directives().immutable => true,
        // Zero asks for validation, be the response ever so young.
        Some(limit) => !limit.is_zero() && age <= limit.as_secs(),
    }
}

/// `min-fresh` (§5.2.1.3).
fn accepts_ttl(wanted: &RequestDirectives, ttl: i64) -> bool {
    wanted
        .min_fresh
        .is_none_or(|wanted| Duration::from_secs(ttl.unsigned_abs()) >= wanted)
}

/// Whether neither the response (§4.2.4) nor the request forbids to serve it stale.
fn may_be_stale(wanted: &RequestDirectives, head: &Head, age: u64, why: &mut impl Witness) -> bool {
    let young = wanted.max_age.is_none_or(|limit| age <= limit.as_secs());
    why.see(Rule::MaxAgeOfStale, young)
        && why.see(Rule::NoMinFresh, wanted.min_fresh.is_none())
        && why.see(Rule::MayBeStale, !head.directives().forbids_stale())
}

#[cfg(test)]
mod tests;
