//! §4.2: how long a response is fresh, and how old it is.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{
        ACCEPT_RANGES, AGE, CONTENT_LENGTH, DATE, EXPIRES, LAST_MODIFIED, SET_COOKIE,
        TRANSFER_ENCODING,
    },
};

use super::{
    Head, Part, Policy, ResponseDirectives, Rule, Silent, StoredHead, Varies,
    date::{self, MAX_DELTA},
    directives, head, hop, list, storing,
};

/// A freshness lifetime (RFC 9111 §4.2.1), counted from age 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long.
    pub duration: Duration,
    /// Who says so.
    pub source: Source,
}

/// Where a lifetime comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// `s-maxage`.
    SharedMaxAge,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// A tenth of the time since `Last-Modified` (§4.2.2).
    Heuristic,
    /// The cache's own setting for responses that state none ([`Policy::ttl`](super::Policy::ttl)).
    Configured,
    /// Nobody: it is stale from the start.
    None,
}

/// When a response was asked for, and when its head came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) sent: SystemTime,
    pub(super) received: SystemTime,
}

/// The head of a response that has just arrived with these fields: without those that are not
/// stored (§3.1).
pub(super) fn head(
    policy: &Policy,
    (status, version): (StatusCode, Version),
    headers: &HeaderMap,
    exchange: Exchange,
) -> Head {
    let received = exchange.received;
    let directives = ResponseDirectives::parse(headers);
    let date = origin_date(headers, received);
    let initial_age = initial_age(headers, date, exchange);
    let named = hop::named(headers);
    let is_named = |name: &HeaderName| named.contains(name) || directives.unstored.contains(name);
    // With a transfer coding the length, if there is one, is not to be trusted (RFC 9112 §6.3).
    let is_coded = headers.contains_key(TRANSFER_ENCODING);
    let mut kept = head::apart(headers, |name| {
        !(crate::hop::is_hop_by_hop(name)
            || hop::is_for_proxy(name)
            || is_named(name)
            || *name == SET_COOKIE
            || *name == AGE
            || *name == DATE && date.is_none()
            || *name == CONTENT_LENGTH && is_coded)
    });
    if date.is_none() {
        kept.insert(DATE, date::format(received)); // RFC 9110 §6.6.1
    }
    let varies = Varies::parse_with(&mut kept, &policy.key_headers);
    if status == StatusCode::OK && !kept.contains_key(ACCEPT_RANGES) {
        // Of what is stored whole, any range can be had (RFC 9110 §14.3).
        kept.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let lifetime = lifetime(policy, status, &kept, &directives, initial_age, received);
    kept.insert(AGE, initial_age.as_secs().into());
    head::add_slots(&mut kept);
    Head {
        varies,
        search: Rule::parse(&kept),
        part: Part::of(status, &kept),
        sets_cookie: headers.contains_key(SET_COOKIE) && !is_named(&SET_COOKIE),
        directives,
        lines: head::Lines::default(),
        stored: StoredHead {
            status,
            version,
            headers: kept,
            received,
            initial_age,
            lifetime,
        },
    }
}

/// The same head, with no lifetime left at `now`.
pub(super) fn expire(head: &Head, now: SystemTime) -> Head {
    let mut head = head.clone();
    let age = Duration::from_secs(head.age(now));
    let lifetime = &mut head.stored.lifetime;
    lifetime.duration = lifetime.duration.min(age);
    head
}

/// `corrected_initial_age` (§4.2.3), in whole seconds.
fn initial_age(headers: &HeaderMap, date: Option<SystemTime>, exchange: Exchange) -> Duration {
    let Exchange { sent, received } = exchange;
    let apparent_age = date.map_or(Duration::ZERO, |date| date::since(received, date));
    let response_delay = date::since(received, sent);
    let corrected_age = age(headers).saturating_add(response_delay);
    apparent_age.max(corrected_age).min(MAX_DELTA)
}

/// What `Age` says. Of several values the first counts, and one that is not a number is ignored
/// (§5.1).
fn age(headers: &HeaderMap) -> Duration {
    let line = headers.get(AGE).map_or(&b""[..], |line| line.as_bytes());
    let first = list::pieces(line, b',').next().unwrap_or_default();
    let seconds = list::digits(first).unwrap_or_default();
    Duration::from_secs(seconds).min(MAX_DELTA)
}

fn origin_date(headers: &HeaderMap, received: SystemTime) -> Option<SystemTime> {
    date::parse(headers.get(DATE)?, received)
}

/// The lifetime that the origin states, or what stands in for it; in any case not longer than
/// this cache may keep it (§4.2.1, §4.2.2).
fn lifetime(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    initial_age: Duration,
    received: SystemTime,
) -> Lifetime {
    let (duration, source) = stated(policy, status, headers, directives, initial_age, received);
    Lifetime {
        duration: duration.min(cap(policy, initial_age)),
        source,
    }
}

/// The longest lifetime of a response that arrived with this age.
pub(super) fn cap(policy: &Policy, initial_age: Duration) -> Duration {
    policy
        .cap
        .map_or(Duration::MAX, |cap| initial_age.saturating_add(cap))
}

/// The lifetime that the origin states, or what stands in for it, and where it comes from.
pub(super) fn stated(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    initial_age: Duration,
    received: SystemTime,
) -> (Duration, Source) {
    if let Some(age) = directives.s_maxage {
        (age, Source::SharedMaxAge)
    } else if let Some(age) = directives.max_age {
        (age, Source::MaxAge)
    } else if directives.target.is_none() && headers.contains_key(EXPIRES) {
        (until_expiry(headers, received), Source::Expires)
    } else {
        silent(policy, status, headers, directives, initial_age, received)
    }
}

/// Of several `Expires` the first to come counts; one that cannot be read, `0` above all, has
/// passed already (§5.3).
fn until_expiry(headers: &HeaderMap, received: SystemTime) -> Duration {
    let date = origin_date(headers, received).unwrap_or(received);
    headers
        .get_all(EXPIRES)
        .iter()
        .map(|line| {
            date::parse(line, received).map_or(Duration::ZERO, |end| date::since(end, date))
        })
        .min()
        .unwrap_or_default()
}

fn silent(
    policy: &Policy,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    initial_age: Duration,
    received: SystemTime,
) -> (Duration, Source) {
    let none = (Duration::ZERO, Source::None);
    // It has no meaning in a response (§5.4), but whoever sends it does not wish for a guess.
    if directives::is_pragma_no_cache(headers) {
        return none;
    }
    match policy.silent {
        // 206 is as the 200 that it is a part of (§3.3).
        Silent::For(ttl) if matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308) => {
            (initial_age.saturating_add(ttl), Source::Configured)
        }
        Silent::Heuristic if directives.public || storing::is_heuristically_cacheable(status) => {
            let modified = headers
                .get(LAST_MODIFIED)
                .and_then(|at| date::parse(at, received));
            let date = origin_date(headers, received).unwrap_or(received);
            modified.map_or(none, |modified| {
                let tenth = date::since(date, modified).as_secs() / 10;
                (Duration::from_secs(tenth), Source::Heuristic)
            })
        }
        Silent::For(_) | Silent::Heuristic => none,
    }
}

#[cfg(test)]
mod tests;
