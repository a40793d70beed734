//! `GET /proxy?url=U`: what the stack answers, put into a JSON envelope.
//!
//! The body is collected, as no status can be taken back once it is sent. What is JSON goes into
//! the envelope as it came: three pieces, one after the other.

use std::{convert::Infallible, fmt::Write, mem, pin::pin};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
    response,
};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::{BoxError, Service, ServiceExt};
use tower_http::decompression::Decompression;

use super::{
    body::Spliced,
    data,
    error::{self, ApiError},
    fields::{self, CACHE_STATUS, X_CACHE},
    limits::Bounds,
    rescue::{self, Rescued},
    room::{Place, Room},
    target::{Target, Targets},
};
use crate::{cache::Hit, outcome::Outcome, store::Verdict};

/// Fields of the client that are about the envelope, or that only the origin may see.
const NOT_SENT: [HeaderName; 7] = [
    header::HOST,
    header::ACCEPT_ENCODING,
    header::RANGE,
    header::EXPECT,
    header::TE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
];

/// Fields of the response that hold for the envelope too.
const PASSED_ON: [HeaderName; 11] = [
    header::AGE,
    header::CACHE_CONTROL,
    header::DATE,
    header::EXPIRES,
    header::LOCATION,
    header::RETRY_AFTER,
    header::VARY,
    header::VIA,
    header::WWW_AUTHENTICATE,
    X_CACHE,
    CACHE_STATUS,
];

/// Makes envelopes of what the inner service answers.
#[derive(Clone, Debug)]
pub(super) struct Envelope<S> {
    inner: S,
    targets: Targets,
    /// No body larger than this is put into an envelope.
    limit: usize,
    holds: Holds,
}

/// Which bodies count as held for `/proxy`, and where.
#[derive(Clone, Debug)]
pub(super) struct Holds {
    room: Room,
    /// Those of hits, too.
    hits: bool,
}

impl Holds {
    /// `hits` count where the store does not hold them in memory anyway.
    pub(super) fn new(bounds: &Bounds, hits: bool) -> Self {
        let room = Room::new(bounds);
        Holds { room, hits }
    }
}

impl<S> Envelope<S> {
    pub(super) fn new(inner: S, targets: Targets, limit: u64, holds: Holds) -> Self {
        Envelope {
            inner,
            targets,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            holds,
        }
    }

    /// The answer to the request of this head. `nothing` is a body for the request to the stack.
    pub(super) async fn answer<Q, B>(&self, head: request::Parts, nothing: Q) -> Response<Spliced>
    where
        S: Service<Request<Q>, Response = Response<B>, Error = Infallible> + Clone,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let request = match upstream_request(&self.targets, head, nothing) {
            Ok(request) => request,
            Err(error) => return error.into_response(),
        };
        // Compressed bodies are stored compressed: of one stored response, both forms are served.
        let readable = Decompression::new(
            self.inner
                .clone()
                .map_request(without_accept_encoding)
                .map_response(forget_verdict_of_encoded),
        );
        let Ok(response) = readable.oneshot(request).await;
        let (head, body) = response.into_parts();
        let rescued = head.extensions.get::<Rescued>().is_some();
        // What is decompressed has no exact size, and is not the store's.
        let stored = is_hit(&head) && body.size_hint().exact().is_some();
        let mut place = (!rescued && (self.holds.hits || !stored)).then(|| self.holds.room.place());
        match collect(body, self.limit, place.as_mut()).await {
            Ok(body) if rescued => Response::from_parts(head, Spliced::from(body)),
            Ok(body) => envelope(&head, body, place),
            Err(error) => with_cache_fields(error.into_response(), &head),
        }
    }
}

/// The answer to a request for what is at hand, if that is JSON.
pub(super) fn of_hit(hit: &Hit) -> Option<Response<Spliced>> {
    let head = &hit.head;
    let data = data::at_hand(head.headers(), hit.body.verdict(), hit.body.data()?)?;
    if head.status() != StatusCode::OK {
        return None;
    }
    let before = Bytes::from_static(br#"{"success": true, "source": "cache", "data": "#);
    let mut response = around(StatusCode::OK, before, data, head.headers());
    hit.tell(response.headers_mut());
    Some(response)
}

/// Whether a client's field is not sent on.
pub(super) fn is_not_sent(name: &HeaderName, at_origin: bool) -> bool {
    NOT_SENT.contains(name)
        // The client's conditions are about the envelope, which has no validators.
        || name.as_str().starts_with("if-")
        || name.as_str().starts_with("content-")
        || !at_origin && (name == header::AUTHORIZATION || name == header::COOKIE)
}

/// The request to the stack that a request for `/proxy` means.
fn upstream_request<Q>(
    targets: &Targets,
    head: request::Parts,
    nothing: Q,
) -> Result<Request<Q>, ApiError> {
    fields::refuse_loop(&head.headers)?;
    let Target { uri, at_origin } = targets.resolve(head.uri.query())?;
    let mut headers = head.headers;
    fields::remove_those(&mut headers, |name| is_not_sent(name, at_origin));
    let mut request = Request::new(nothing);
    *request.version_mut() = head.version;
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The decompressing layer asks for what it can undo; the cache would take that for the client's
/// wish, and keep a variant for it.
fn without_accept_encoding<Q>(mut request: Request<Q>) -> Request<Q> {
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    request
}

/// The verdict is about the bytes as they are stored.
fn forget_verdict_of_encoded<B>(mut response: Response<B>) -> Response<B> {
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        response.extensions_mut().remove::<Verdict>();
    }
    response
}

/// All of `body`, up to `limit` bytes, in its `place` if it needs one.
async fn collect<B>(body: B, limit: usize, mut place: Option<&mut Place>) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let too_large = || {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_too_large",
            format!("The upstream's answer is larger than {limit} bytes (--max-object)."),
        )
    };
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(too_large());
    }
    let mut grow = |size| match &mut place {
        Some(place) => place.grow(size),
        None => Ok(()),
    };
    grow(declared)?;
    let mut body = pin!(Limited::new(body, limit));
    let (mut pieces, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(),
            false => broken(&*error),
        })?;
        if let Ok(piece) = frame.into_data() {
            size += piece.len() as u64;
            grow(size)?;
            pieces.push(piece);
        }
    }
    Ok(match &mut pieces[..] {
        [whole] => mem::take(whole),
        pieces => pieces.concat().into(),
    })
}

/// Why a body cannot be had: it broke off, or what came is not what its coding makes of anything.
fn broken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> ApiError {
    match error.is::<std::io::Error>() {
        true => ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_undecodable",
            "The upstream's answer is not in the content coding that it names.",
        ),
        false => rescue::describe(error),
    }
}

/// What of `body` goes into the envelope, in its `place` if it needs one.
fn placed(head: &response::Parts, body: Bytes, place: Option<Place>) -> Result<Bytes, ApiError> {
    let data = data::of(&head.headers, head.extensions.get(), body)?;
    let Some(mut place) = place else {
        return Ok(data);
    };
    // Text is longer within JSON.
    place.grow(data.len() as u64)?;
    Ok(place.hold(data))
}

fn is_hit(head: &response::Parts) -> bool {
    let outcome = head.extensions.get::<Outcome>();
    outcome.is_some_and(|outcome| outcome.hit)
}

/// The envelope around a response of the upstream.
fn envelope(head: &response::Parts, body: Bytes, place: Option<Place>) -> Response<Spliced> {
    let data = match placed(head, body, place) {
        Ok(data) => data,
        Err(error) => return with_cache_fields(error.into_response(), head),
    };
    let hit = is_hit(head);
    let source = if hit { "cache" } else { "upstream" };
    // Nobody has asked it whether something still holds.
    let senseless = head.status == StatusCode::NOT_MODIFIED;
    let failed = senseless || head.status.is_client_error() || head.status.is_server_error();
    let mut before = format!(r#"{{"success": {}, "source": "{source}", "#, !failed);
    if failed {
        let message = format!("The upstream answered {}.", head.status);
        let error = ApiError::new(head.status, "upstream_status", message);
        // Writing to a string does not fail.
        let _ = write!(before, r#""error": {}, "#, error.to_json());
    }
    before.push_str(r#""data": "#);
    let mut response = around(status(head.status), before.into(), data, &head.headers);
    let word = HeaderValue::from_static(if hit { "HIT" } else { "MISS" });
    response.headers_mut().insert(X_CACHE, word);
    with_outcome(response, head)
}

/// The envelope, with what holds for it too of the response's fields.
fn around(status: StatusCode, before: Bytes, data: Bytes, of: &HeaderMap) -> Response<Spliced> {
    let body = Spliced::new(before, data, Bytes::from_static(b"}"));
    let mut response = error::in_pieces(status, "application/json", body);
    pass_on(&PASSED_ON, of, response.headers_mut());
    response
}

/// The upstream's status, where a response of that status can have a body.
fn status(upstream: StatusCode) -> StatusCode {
    match upstream {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => StatusCode::OK,
        StatusCode::NOT_MODIFIED => StatusCode::BAD_GATEWAY,
        status => status,
    }
}

/// An error in place of a response: what the cache did with that one is still told.
fn with_cache_fields(mut response: Response<Spliced>, head: &response::Parts) -> Response<Spliced> {
    pass_on(
        &[X_CACHE, CACHE_STATUS],
        &head.headers,
        response.headers_mut(),
    );
    with_outcome(response, head)
}

/// Logs learn from the response what the cache did.
fn with_outcome(mut response: Response<Spliced>, head: &response::Parts) -> Response<Spliced> {
    if let Some(outcome) = head.extensions.get::<Outcome>() {
        response.extensions_mut().insert(outcome.clone());
    }
    response
}

fn pass_on(names: &[HeaderName], from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if names.contains(name) {
            to.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
