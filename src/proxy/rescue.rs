//! Errors to statuses: 403, 408, 502 and 504, here and nowhere else.
//!
//! Below, services fail with typed errors. Above, there are only responses; those that were made
//! here carry [`Rescued`], so that they are passed on as they are.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service, util::Oneshot};

use super::{
    body::Spliced,
    error::ApiError,
    fields::{CACHE_STATUS, X_CACHE},
};
use crate::{
    outcome::{Forward, Outcome},
    upstream::{self, ErrorKind},
};

/// Marks a response that larder made in place of one that it could not get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rescued;

/// Wraps services in [`Rescue`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RescueLayer;

/// Turns the inner service's errors into responses.
#[derive(Clone, Debug)]
pub(super) struct Rescue<S> {
    inner: S,
}

pin_project! {
    /// The future of [`Rescue`].
    pub(super) struct ResponseFuture<F> {
        // What the cache would have said, had it been able to.
        forward: Forward,
        // The response may have no body.
        head: bool,
        #[pin]
        inner: F,
    }
}

/// What failed, in an error or in what caused it, as an error of larder's own.
pub(super) fn describe(error: &(dyn Error + 'static)) -> ApiError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<upstream::Error>() {
            return describe_kind(error.kind());
        }
        cause = error.source();
    }
    describe_kind(ErrorKind::Broken)
}

fn describe_kind(kind: ErrorKind) -> ApiError {
    let (status, code, message) = match kind {
        ErrorKind::Request => (
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The request cannot be sent on, or its body broke off.",
        ),
        ErrorKind::Stalled => return ApiError::stalled(),
        ErrorKind::Refused => (
            StatusCode::FORBIDDEN,
            "address_not_allowed",
            "The host has a private, loopback or otherwise special address, \
                 and larder was not told to trust it.",
        ),
        ErrorKind::Resolve => (
            StatusCode::BAD_GATEWAY,
            "upstream_unresolved",
            "The upstream's name does not resolve to an address.",
        ),
        ErrorKind::Connect => (
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            "The upstream cannot be reached.",
        ),
        ErrorKind::Proxy => (
            StatusCode::BAD_GATEWAY,
            "upstream_proxy",
            "The proxy that larder fetches through (--upstream-proxy) cannot be reached, \
                 or refuses to lead there.",
        ),
        ErrorKind::Tls => (
            StatusCode::BAD_GATEWAY,
            "upstream_tls",
            "No TLS connection could be made to the upstream: \
                 its certificate may be one that larder does not trust (--tls-ca).",
        ),
        ErrorKind::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "The upstream did not answer in time.",
        ),
        ErrorKind::Protocol => (
            StatusCode::BAD_GATEWAY,
            "upstream_protocol",
            "The upstream's answer is not HTTP that larder understands.",
        ),
        ErrorKind::Broken => (
            StatusCode::BAD_GATEWAY,
            "upstream_broken",
            "The upstream broke off before its answer was complete.",
        ),
    };
    ApiError::new(status, code, message)
}

// === impl RescueLayer ===

impl<S> Layer<S> for RescueLayer {
    type Service = Rescue<S>;

    fn layer(&self, inner: S) -> Rescue<S> {
        Rescue { inner }
    }
}

// === impl Rescue ===

impl<S, Q, B> Service<Request<Q>> for Rescue<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<Either<Spliced, B>>;
    type Error = Infallible;
    type Future = ResponseFuture<Oneshot<S, Request<Q>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The inner service is waited for in the future, so that its failing then is rescued too.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let forward = match *request.method() {
            Method::GET | Method::HEAD => Forward::Miss,
            _ if request.method().as_str() == "QUERY" => Forward::Miss,
            _ => Forward::Method,
        };
        ResponseFuture {
            forward,
            head: *request.method() == Method::HEAD,
            inner: Oneshot::new(self.inner.clone(), request),
        }
    }
}

// === impl ResponseFuture ===

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Either<Spliced, B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match ready!(this.inner.poll(cx)) {
            Ok(response) => match response.extensions().get::<Outcome>() {
                Some(outcome) if is_not_cached(&response, outcome) => {
                    let outcome = outcome.clone();
                    rescued(not_cached(), outcome, *this.head).map(Either::Left)
                }
                Some(outcome) if is_turned_away(&response, outcome) => {
                    let outcome = outcome.clone();
                    rescued(too_many(), outcome, *this.head).map(Either::Left)
                }
                Some(outcome) if has_failed(&response, outcome) => {
                    let outcome = outcome.clone();
                    rescued(failed(), outcome, *this.head).map(Either::Left)
                }
                _ => response.map(Either::Right),
            },
            Err(error) => {
                let error = describe(&*error.into());
                let mut outcome = Outcome::forwarded(*this.forward);
                outcome.detail = Some(error.code);
                rescued(error, outcome, *this.head).map(Either::Left)
            }
        };
        Poll::Ready(Ok(response))
    }
}

/// Whether the cache itself refused: the request forbade to ask the origin (RFC 9111 §5.2.1.7).
fn is_not_cached<B>(response: &Response<B>, outcome: &Outcome) -> bool {
    response.status() == StatusCode::GATEWAY_TIMEOUT && outcome.detail == Some("only-if-cached")
}

/// Whether the cache itself refused: too many wait for the same fetch.
fn is_turned_away<B>(response: &Response<B>, outcome: &Outcome) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE && outcome.detail == Some("waiting")
}

/// Whether the cache tells of what another's fetch came to.
fn has_failed<B>(response: &Response<B>, outcome: &Outcome) -> bool {
    response.status() == StatusCode::BAD_GATEWAY && outcome.detail == Some("failed")
}

fn failed() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "upstream_failed",
        "The upstream gave no answer to two requests for the same, which this one waited for.",
    )
}

fn too_many() -> ApiError {
    ApiError::later(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_waiting",
        "Too many requests wait for the same answer of the upstream (--max-waiting).",
    )
}

fn not_cached() -> ApiError {
    ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not_cached",
        "The request asks for what is in the cache only (only-if-cached), and it is not there.",
    )
}

/// The response that tells of `error`; the rest of the program learns of it as of any other.
fn rescued(error: ApiError, outcome: Outcome, head: bool) -> Response<Spliced> {
    let mut response = error.into_response();
    if head {
        *response.body_mut() = Spliced::empty();
    }
    let headers = response.headers_mut();
    headers.insert(X_CACHE, HeaderValue::from_static(outcome.word()));
    if let Ok(story) = HeaderValue::from_maybe_shared(bytes::Bytes::from(outcome.to_string())) {
        headers.insert(CACHE_STATUS, story);
    }
    response.extensions_mut().insert(Rescued);
    response.extensions_mut().insert(outcome);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn an_error_becomes_a_response_that_says_so() {
        let failing = service_fn(|_: Request<()>| async {
            Err::<Response<Empty<bytes::Bytes>>, _>(std::io::Error::other("gone"))
        });
        let request = Request::post("/").body(()).unwrap();
        let response = RescueLayer.layer(failing).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["x-cache"], "MISS");
        let story = &response.headers()["cache-status"];
        assert_eq!(story, "larder; fwd=method; detail=upstream_broken");
        assert!(response.extensions().get::<Rescued>().is_some());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["error"]["code"], "upstream_broken");
    }

    #[tokio::test]
    async fn a_head_is_answered_without_a_body() {
        let failing = service_fn(|_: Request<()>| async {
            Err::<Response<Empty<bytes::Bytes>>, _>(std::io::Error::other("gone"))
        });
        let request = Request::head("/").body(()).unwrap();
        let response = RescueLayer.layer(failing).oneshot(request).await.unwrap();
        assert_ne!(response.headers()["content-length"], "0");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty());
    }

    #[tokio::test]
    async fn what_the_cache_refuses_is_said_in_the_same_shape() {
        for (status, detail, code) in [
            (504, "only-if-cached", "not_cached"),
            (503, "waiting", "too_many_waiting"),
            (502, "failed", "upstream_failed"),
        ] {
            let refusing = service_fn(move |_: Request<()>| async move {
                let outcome = Outcome {
                    detail: Some(detail),
                    ..Outcome::default()
                };
                let response = Response::builder().status(status).extension(outcome);
                let body = Empty::<bytes::Bytes>::new();
                Ok::<_, Infallible>(response.body(body).expect("this is a response"))
            });
            let request = Request::get("/").body(()).unwrap();
            let response = RescueLayer.layer(refusing).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
            let story = &response.headers()["cache-status"];
            assert_eq!(*story, format!("larder; detail={detail}"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains(code));
        }
    }

    #[tokio::test]
    async fn other_responses_pass() {
        let fine = service_fn(|_: Request<()>| async {
            let response = Response::builder()
                .status(504)
                .body(Empty::<bytes::Bytes>::new());
            Ok::<_, Infallible>(response.expect("this is a response"))
        });
        let request = Request::get("/").body(()).unwrap();
        let response = RescueLayer.layer(fine).oneshot(request).await.unwrap();
        assert!(response.extensions().get::<Rescued>().is_none());
        assert!(response.headers().is_empty());
    }
}
