//! Requests in flight: from when hyper hands them in until the bodies of their responses have ended.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body;
use hyper::{
    body::Incoming,
    service::{self, service_fn},
};
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower::{Service, ServiceExt};

use super::{
    draining::Draining,
    pace::{Pace, Paced},
    patience::{Answered, Answering},
};
use crate::body_end::{BodyEnd, End, OnEnd};

/// Kept for as long as a request is in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    _answered: Answered,
    _flight: watch::Receiver<()>,
}

pin_project! {
    struct Tracked<F> {
        #[pin]
        answer: F,
        draining: Draining,
        // Gone once the request is answered: its body has it then.
        flight: Option<InFlight>,
        pace: Option<Pace>,
    }
}

/// `app` as hyper takes it.
pub(super) fn track<S, B>(
    app: S,
    in_flight: Arc<watch::Sender<()>>,
    (draining, answering, pace): (Draining, Answering, Pace),
) -> impl service::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error = B::Error> + Send + 'static>,
    Error = Infallible,
    Future = impl Send + 'static,
> + Send
+ Clone
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
{
    service_fn(move |mut request: Request<Incoming>| {
        let h2 = request.version() == Version::HTTP_2;
        if h2 {
            tell_of_body(&mut request);
        }
        let flight = InFlight {
            _answered: answering.begin(),
            _flight: in_flight.subscribe(),
        };
        Tracked {
            answer: app.clone().oneshot(request),
            draining: draining.clone(),
            flight: Some(flight),
            pace: h2.then(|| pace.clone()),
        }
    })
}

/// In HTTP/2 a request may have a body though no field says so, and the cache knows fields only.
fn tell_of_body<B: Body>(request: &mut Request<B>) {
    let silent = !request.headers().contains_key(header::CONTENT_LENGTH);
    if silent && !request.body().is_end_stream() {
        let chunked = HeaderValue::from_static("chunked");
        let headers = request.headers_mut();
        headers.insert(header::TRANSFER_ENCODING, chunked);
    }
}

// === impl InFlight ===

impl<E> OnEnd<E> for InFlight {
    fn on_end(self, _: End, _: u64, _: Option<&E>) {}
}

// === impl Tracked ===

impl<F, B> Future for Tracked<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<Paced<BodyEnd<B, InFlight>>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.answer.poll(cx));
        if this.draining.is_on() && response.version() <= Version::HTTP_11 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        let (flight, pace) = (this.flight.take(), this.pace.take());
        let flight = flight.expect("a future is not polled after it was ready");
        let tracked = |body| Paced::new(BodyEnd::told_to(body, flight), pace);
        Poll::Ready(Ok(response.map(tracked)))
    }
}
