//! Responses made from what is stored, and the fields that tell what the cache did.

use std::fmt::Write;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header,
    header::{AGE, CACHE_STATUS, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER},
    request, response,
};

use super::{body::ResponseBody, core::Core, quick::Hit, recording::Reader, seconds};
use crate::{
    outcome::{Forward, Outcome},
    policy::{ByteRange, Head, Policy, Precondition, Reason, Selected, content_range},
    store::{Entry, Payload, Piece, random},
};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Answers a request with a stored response of this `age`, or with the part of it that the
/// request asks for, or with 304 or 412 by the request's own preconditions.
pub(super) fn entry<S, B>(
    core: &Core<S>,
    req: &request::Parts,
    entry: &Entry,
    age: u64,
    outcome: Outcome,
) -> Response<ResponseBody<B>> {
    let (head, payload) = (&*entry.head, &entry.body);
    let res = match unmet(&core.policy, req, head) {
        Some(res) => res,
        None => {
            let length = payload.len();
            match core.policy.select(req, head, length) {
                Selected::Whole => whole(req, head, payload),
                Selected::Parts(parts) => partial(req, head, payload, &parts),
                Selected::Unsatisfiable => unsatisfiable(length),
            }
        }
    };
    stored(core, res, entry, age, outcome)
}

/// Answers a plain request with a fresh stored response.
pub(super) fn hit<S, B>(core: &Core<S>, hit: Hit) -> Response<ResponseBody<B>> {
    let mut res = hit.response(ResponseBody::stored(&hit.body));
    let extensions = res.extensions_mut();
    if core.inspect.is_some() {
        extensions.insert(hit.body.verdict().clone());
    }
    extensions.insert(Outcome::hit(hit.ttl));
    res
}

/// Says of a response that was made of what is stored how old it is, and what the cache did.
fn stored<S, B>(
    core: &Core<S>,
    mut res: Response<B>,
    entry: &Entry,
    age: u64,
    outcome: Outcome,
) -> Response<B> {
    res.headers_mut().insert(AGE, seconds::age(age));
    if core.inspect.is_some() {
        res.extensions_mut().insert(entry.body.verdict().clone());
    }
    tell(&mut res, outcome);
    res
}

/// Answers a request with a response that is being received, of this `length` if that is known, or
/// with the part of it that the request asks for, as it comes. `res` is its head as it is to be
/// told. Who asks for several parts gets the whole (RFC 9110 §14.2): they need not come in order.
pub(super) fn live<B>(
    policy: &Policy,
    req: &request::Parts,
    head: &Head,
    mut res: Response<()>,
    reader: Reader,
    length: Option<u64>,
) -> Response<ResponseBody<B>> {
    let selected = length.map_or(Selected::Whole, |length| policy.select(req, head, length));
    let reader = match (selected, length) {
        (Selected::Unsatisfiable, Some(length)) => return unsatisfiable(length),
        (Selected::Parts(parts), Some(_)) if parts.len() == 1 => {
            let range = parts[0];
            *res.status_mut() = StatusCode::PARTIAL_CONTENT;
            let headers = res.headers_mut();
            headers.insert(CONTENT_RANGE, content_range(range, length));
            headers.insert(CONTENT_LENGTH, (range.last - range.first + 1).into());
            reader.only(range.first..range.last + 1)
        }
        _ => reader,
    };
    res.map(|()| ResponseBody::live(reader))
}

/// Answers a request with these ranges of what is stored of a response: all that it wants.
pub(super) fn part<S, B>(
    core: &Core<S>,
    req: &request::Parts,
    entry: &Entry,
    ranges: &[ByteRange],
    age: u64,
    outcome: Outcome,
) -> Response<ResponseBody<B>> {
    let (head, payload) = (&*entry.head, &entry.body);
    let mut res =
        unmet(&core.policy, req, head).unwrap_or_else(|| partial(req, head, payload, ranges));
    res.headers_mut().insert(AGE, seconds::age(age));
    tell(&mut res, outcome);
    res
}

/// 502: the origin answered something that does not go with what it was asked.
pub(super) fn senseless<B>(outcome: Outcome) -> Response<ResponseBody<B>> {
    let mut res = empty(StatusCode::BAD_GATEWAY);
    tell(&mut res, outcome);
    res
}

/// 502: what the request waited for failed, and was not only its own to fail.
pub(super) fn failed<B>(why: Forward) -> Response<ResponseBody<B>> {
    let outcome = Outcome {
        collapsed: true,
        detail: Some(Reason::Failed.word()),
        ..Outcome::forwarded(why)
    };
    senseless(outcome)
}

/// 503: as many wait for the fetch as may.
pub(super) fn too_many<B>(why: Forward) -> Response<ResponseBody<B>> {
    let mut res = empty(StatusCode::SERVICE_UNAVAILABLE);
    res.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
    let outcome = Outcome {
        detail: Some(Reason::Waiting.word()),
        ..Outcome::forwarded(why)
    };
    tell(&mut res, outcome);
    res
}

/// 504 (§5.2.1.7): nothing usable is stored, and the origin must not be asked.
pub(super) fn only_if_cached<B>() -> Response<ResponseBody<B>> {
    let mut res = empty(StatusCode::GATEWAY_TIMEOUT);
    let outcome = Outcome {
        detail: Some(Reason::OnlyIfCached.word()),
        ..Outcome::default()
    };
    tell(&mut res, outcome);
    res
}

/// Answers with 304 or 412 where the request's own preconditions say so of a response that has
/// this head.
pub(super) fn unmet<B>(
    policy: &Policy,
    req: &request::Parts,
    head: &Head,
) -> Option<Response<ResponseBody<B>>> {
    match policy.precondition(req, head) {
        Precondition::Proceed => None,
        Precondition::NotModified => Some(respond(
            StatusCode::NOT_MODIFIED,
            head.not_modified_headers(),
            ResponseBody::empty(),
        )),
        Precondition::Failed => Some(empty(StatusCode::PRECONDITION_FAILED)),
    }
}

/// A response with the stored head, and `body` as its body.
pub(super) fn with_head<T>(head: &Head, body: T) -> Response<T> {
    respond(head.status(), head.headers().clone(), body)
}

/// A response of this status without fields or body.
fn empty<B>(status: StatusCode) -> Response<ResponseBody<B>> {
    respond(status, HeaderMap::new(), ResponseBody::empty())
}

/// The inner service's response as it is.
pub(super) fn passed<B>(parts: response::Parts, body: B) -> Response<ResponseBody<B>> {
    Response::from_parts(parts, ResponseBody::inner(body))
}

/// Says in `X-Cache`, in `Cache-Status` (RFC 9211) and in the extensions what the cache did.
pub(super) fn tell<B>(res: &mut Response<B>, outcome: Outcome) {
    let headers = res.headers_mut();
    tell_status(headers, status(&outcome));
    headers.insert(X_CACHE, HeaderValue::from_static(outcome.word()));
    res.extensions_mut().insert(outcome);
}

/// Says it in the slot of stored fields, or behind what others say.
pub(super) fn tell_status(headers: &mut HeaderMap, status: HeaderValue) {
    match headers.entry(CACHE_STATUS) {
        header::Entry::Vacant(none) => drop(none.insert(status)),
        header::Entry::Occupied(mut lines) => match lines.iter_mut().next_back() {
            Some(slot) if *slot == Head::SLOT => *slot = status,
            _ => lines.append(status),
        },
    }
}

fn status(outcome: &Outcome) -> HeaderValue {
    match outcome.ttl {
        Some(ttl) if *outcome == Outcome::hit(ttl) => hit_status(ttl),
        _ => written(outcome),
    }
}

/// What `Cache-Status` says of a hit that stays fresh for so many seconds.
pub(super) fn hit_status(ttl: i64) -> HeaderValue {
    seconds::hit(ttl).unwrap_or_else(|| written(&Outcome::hit(ttl)))
}

fn written(outcome: &Outcome) -> HeaderValue {
    let mut text = String::with_capacity(64); // most are shorter
    write!(text, "{outcome}").expect("writing to a String does not fail");
    HeaderValue::try_from(text).expect("tokens and numbers only")
}

/// Adds the key to what was told.
pub(super) fn show<B>(res: &mut Response<B>, key: &str) {
    let Some(outcome) = res.extensions_mut().get_mut::<Outcome>() else {
        return;
    };
    outcome.key = Some(key.into());
    let status = HeaderValue::try_from(outcome.to_string());
    if let header::Entry::Occupied(mut lines) = res.headers_mut().entry(CACHE_STATUS)
        && let (Some(own), Ok(status)) = (lines.iter_mut().next_back(), status)
    {
        *own = status;
    }
}

fn respond<T>(status: StatusCode, headers: HeaderMap, body: T) -> Response<T> {
    let mut res = Response::new(body);
    *res.status_mut() = status;
    *res.headers_mut() = headers;
    res
}

fn whole<B>(req: &request::Parts, head: &Head, payload: &Payload) -> Response<ResponseBody<B>> {
    if req.method != Method::HEAD {
        return with_head(head, ResponseBody::stored(payload));
    }
    let mut res = with_head(head, ResponseBody::empty());
    if payload.trailers().is_none() && head.status() != StatusCode::NO_CONTENT {
        let length = HeaderValue::from(payload.len());
        res.headers_mut().insert(CONTENT_LENGTH, length);
    }
    res
}

/// 206 (RFC 9110 §15.3.7): one part as it is, several as `multipart/byteranges`.
fn partial<B>(
    req: &request::Parts,
    head: &Head,
    payload: &Payload,
    parts: &[ByteRange],
) -> Response<ResponseBody<B>> {
    let mut headers = head.headers().clone();
    let (first, complete) = match head.part() {
        Some(part) => (part.range.first, part.complete),
        None => (0, Some(payload.len())),
    };
    let pieces = parts.iter().map(|part| slice(payload, first, part));
    let pieces = match parts {
        [part] => {
            headers.insert(CONTENT_RANGE, content_range(*part, complete));
            pieces.collect()
        }
        parts => {
            let ranges = parts.iter().map(|part| content_range(*part, complete));
            multipart(&mut headers, ranges.zip(pieces))
        }
    };
    let length: u64 = pieces.iter().map(Piece::len).sum();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let body = if req.method == Method::HEAD {
        ResponseBody::empty()
    } else {
        ResponseBody::pieces(pieces)
    };
    respond(StatusCode::PARTIAL_CONTENT, headers, body)
}

fn multipart(
    headers: &mut HeaderMap,
    parts: impl Iterator<Item = (HeaderValue, Piece)>,
) -> Vec<Piece> {
    let boundary = format!("larder-{:016x}", random());
    let kind = format!("multipart/byteranges; boundary={boundary}");
    let kind = HeaderValue::try_from(kind).expect("letters and digits only");
    let kind = headers.insert(CONTENT_TYPE, kind);
    headers.remove(CONTENT_RANGE); // each part has its own

    let mut pieces = Vec::with_capacity(parts.size_hint().0 * 2 + 1);
    for (range, data) in parts {
        let mut opening = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(kind) = &kind {
            opening.extend_from_slice(b"Content-Type: ");
            opening.extend_from_slice(kind.as_bytes());
            opening.extend_from_slice(b"\r\n");
        }
        opening.extend_from_slice(b"Content-Range: ");
        opening.extend_from_slice(range.as_bytes());
        opening.extend_from_slice(b"\r\n\r\n");
        pieces.push(Piece::Here(opening.into()));
        pieces.push(data);
    }
    let end = format!("\r\n--{boundary}--\r\n");
    pieces.push(Piece::Here(end.into()));
    pieces
}

/// The bytes of a part that lies within a body whose own first byte is the `first`.
fn slice(payload: &Payload, first: u64, part: &ByteRange) -> Piece {
    let place = |at: u64| at.saturating_sub(first);
    payload.part(place(part.first)..place(part.last.saturating_add(1)))
}

fn unsatisfiable<B>(length: u64) -> Response<ResponseBody<B>> {
    let mut res = empty(StatusCode::RANGE_NOT_SATISFIABLE);
    let range = HeaderValue::try_from(format!("bytes */{length}"));
    let range = range.expect("digits and ASCII only");
    res.headers_mut().insert(CONTENT_RANGE, range);
    res
}
