//! §3: may it be stored, and for how long.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, Method, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_LOCATION, COOKIE, IF_RANGE, RANGE,
        TRANSFER_ENCODING, UPGRADE,
    },
    request,
};

use super::{
    Admit, Content, Digest, Head, Keep, Key, Policy, Reason, RequestDirectives, Source, Varies,
    list, reference,
    rules::{Rule, Witness},
    usual,
};

/// How long a response that can be validated is of use after it went stale.
const FOR_VALIDATION: Duration = Duration::from_secs(24 * 60 * 60);

/// How long any response that was fresh is of use after it went stale, to requests that accept
/// it so (`max-stale`, §5.2.1.2).
const FOR_THE_TOLERANT: Duration = Duration::from_secs(10 * 60);

/// Whether the cache has a part in a request.
pub(super) fn admit(req: &request::Parts, why: &mut impl Witness) -> Admit {
    let read = matches!(req.method, Method::GET | Method::HEAD);
    let content = Content::of(req);
    if let Some(Content::Unknown(reason)) = content {
        why.see(Rule::KnownContent, false);
        return Admit::Pass(reason);
    }
    if !why.see(Rule::Read, read || content.is_some()) {
        // An unknown method may be unsafe (§4.4).
        let is_safe = is_safe(&req.method) || req.method == Method::CONNECT;
        return if why.see(Rule::Safe, is_safe) {
            Admit::Pass(Reason::Method)
        } else {
            Admit::Invalidate
        };
    }
    let is_bare = !(asks_for_upgrade(&req.headers) || read && has_body(&req.headers));
    if !why.see(Rule::BareRequest, is_bare) {
        return Admit::Pass(Reason::RequestBody);
    }
    // Such a request might be answered from the store (§5.2.1.5), but nothing of it may be kept,
    // so nobody could share its answer. `only-if-cached` still may not go to the origin.
    let directives = RequestDirectives::parse(&req.headers);
    let is_sharable = !directives.no_store || directives.only_if_cached;
    if !why.see(Rule::SharableRequest, is_sharable) {
        return Admit::Pass(Reason::NoStore);
    }
    Admit::Lookup
}

/// Whether a method is registered as safe (RFC 9110 §9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "QUERY" | "REPORT" | "SEARCH"
    )
}

fn has_body(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    headers.contains_key(TRANSFER_ENCODING)
        || lengths.any(|length| list::digits(length.as_bytes()) != Some(0))
}

/// An offer of cleartext HTTP/2 is none that a cache could spoil (RFC 9113 §3.1).
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    list::members(headers, &UPGRADE).any(|protocol| !protocol.eq_ignore_ascii_case(b"h2c"))
}

/// Whether a response may be kept (§3), and for how long it is of use.
pub(super) fn keep(
    policy: &Policy,
    req: &request::Parts,
    head: &Head,
    now: SystemTime,
    why: &mut impl Witness,
) -> Keep {
    match check(policy, req, head, now, why) {
        Ok(keep) => Keep::For(keep),
        Err(reason) => Keep::No(reason),
    }
}

fn check(
    policy: &Policy,
    req: &request::Parts,
    head: &Head,
    now: SystemTime,
    why: &mut impl Witness,
) -> Result<Duration, Reason> {
    check_method(req, head, why)?;
    check_secrecy(req, head, why)?;
    check_status(head, why)?;
    check_provoked(req, head, why)?;
    check_part(req, head, why)?;
    let keep = use_from(policy, head, now);
    why.require(Rule::OfUse, !keep.is_zero(), Reason::NoFreshness)?;
    Ok(keep)
}

fn check_method(req: &request::Parts, head: &Head, why: &mut impl Witness) -> Result<(), Reason> {
    let storable = match req.method {
        Method::GET => true,
        Method::POST => answers_get(req, head),
        _ => Digest::of(req).is_some(), // RFC 10008 §2.7
    };
    why.require(Rule::StorableMethod, storable, Reason::Method)
}

/// Whether the response to a POST is what a GET of the same target would bring (RFC 9110 §9.3.3).
fn answers_get(req: &request::Parts, head: &Head) -> bool {
    let target = Key::of(req);
    head.status() == StatusCode::OK
        && is_explicit(head)
        && head
            .headers()
            .get(CONTENT_LOCATION)
            .and_then(|location| reference::resolve(&target, location))
            .is_some_and(|location| location == target)
}

fn check_secrecy(req: &request::Parts, head: &Head, why: &mut impl Witness) -> Result<(), Reason> {
    let directives = head.directives();
    let shared = directives.is_shared();
    let has = |field| req.headers.contains_key(field);
    // Who says `must-understand` means `no-store` for those who do not (§5.2.2.3).
    let no_store = directives.no_store && !directives.must_understand;
    let no_store = no_store || RequestDirectives::parse(&req.headers).no_store;
    why.require(Rule::NoStore, !no_store, Reason::NoStore)?;
    why.require(Rule::Private, !directives.private, Reason::Private)?;
    let selectable = *head.varies() != Varies::Always;
    why.require(Rule::VaryStar, selectable, Reason::VaryStar)?;
    let anybodys = !has(AUTHORIZATION) || shared || directives.must_revalidate;
    why.require(Rule::Authorization, anybodys, Reason::Authorization)?;
    // An answer to who brings no credentials must not reach those who do.
    let anybodys = !matches!(head.status().as_u16(), 401 | 407) || shared;
    why.require(Rule::Unauthorized, anybodys, Reason::Authorization)?;
    why.require(Rule::Cookie, !has(COOKIE) || shared, Reason::Cookie)?;
    let anybodys = !head.sets_cookie || shared;
    why.require(Rule::SetCookie, anybodys, Reason::SetCookie)
}

fn check_status(head: &Head, why: &mut impl Witness) -> Result<(), Reason> {
    let (status, directives) = (head.status(), head.directives());
    // What it means depends on the ranges of the request.
    let satisfiable = status != StatusCode::RANGE_NOT_SATISFIABLE;
    why.require(Rule::Satisfiable, satisfiable, Reason::Partial)?;
    let is_final = !matches!(status.as_u16(), ..200 | 304 | 412);
    why.require(Rule::Final, is_final, Reason::Status)?;
    let understood = !directives.must_understand || is_understood(status);
    why.require(Rule::Understood, understood, Reason::Status)?;
    let has_lifetime = !head.stored.lifetime.duration.is_zero();
    let is_error = status.is_client_error() || status.is_server_error();
    let allowed = if is_error {
        // An error is kept for the time that it is fresh; nobody asks whether it still holds.
        has_lifetime && may_be_cached_silently(head)
    } else {
        may_be_cached_silently(head)
    };
    why.require(Rule::Kept, allowed || is_explicit(head), Reason::Status)
}

/// An error that a client can provoke by what no key holds is not for all others: it is kept only
/// where the origin says for how long, and where nothing unusual was asked.
fn check_provoked(req: &request::Parts, head: &Head, why: &mut impl Witness) -> Result<(), Reason> {
    if !matches!(
        head.status().as_u16(),
        400 | 405 | 408 | 413 | 414 | 431 | 500..
    ) {
        return Ok(());
    }
    let unprovoked = is_explicit(head) && usual::is_usual(&req.headers, head.varies());
    why.require(Rule::Unprovoked, unprovoked, Reason::Status)
}

/// A part is stored as if it were an incomplete 200 (§3.3), if it is one part and was asked for.
/// To a request with `If-Range` it may lack fields that the client has (RFC 9110 §15.3.7).
fn check_part(req: &request::Parts, head: &Head, why: &mut impl Witness) -> Result<(), Reason> {
    let partial = head.status() == StatusCode::PARTIAL_CONTENT;
    let usable = head.part.is_some()
        && req.headers.contains_key(RANGE)
        && !req.headers.contains_key(IF_RANGE);
    why.require(Rule::UsablePart, !partial || usable, Reason::Partial)
}

/// Whether the origin itself states how long it is fresh.
fn is_explicit(head: &Head) -> bool {
    use Source::{Expires, MaxAge, SharedMaxAge};
    matches!(head.stored.lifetime.source, SharedMaxAge | MaxAge | Expires)
}

fn may_be_cached_silently(head: &Head) -> bool {
    head.directives().public || is_heuristically_cacheable(head.status())
}

/// Statuses that may be kept though nobody says for how long (RFC 9110 §15.1).
pub(super) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Final statuses of RFC 9110 whose caching needs nothing that is not done here.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=411 | 413..=415 | 417 | 421 | 422 | 426
            | 500..=505
    )
}

/// For how long it is of use: as it is, then stale as far as that is allowed, or for validation.
pub(super) fn use_from(policy: &Policy, head: &Head, now: SystemTime) -> Duration {
    let directives = head.directives();
    let ttl = head.ttl(now);
    let fresh = if directives.no_cache { 0 } else { ttl.max(0) };
    let stale = if directives.forbids_stale() {
        0
    } else {
        let tolerated = (ttl > 0).then_some(FOR_THE_TOLERANT);
        let windows = [
            policy.revalidate_window(head),
            policy.error_window(head),
            tolerated,
        ];
        let window = windows.into_iter().flatten().max().unwrap_or_default();
        ttl.saturating_add(i64::try_from(window.as_secs()).unwrap_or(i64::MAX))
    };
    let validated = if head.has_validator() {
        ttl.max(0).saturating_add(FOR_VALIDATION.as_secs() as i64)
    } else {
        0
    };
    let seconds = fresh.max(stale).max(validated);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests;
