//! The future that logs what came of a request.

use std::{
    fmt::Display,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    ResponseBody,
    record::{Answered, Record},
};
use crate::body_end::BodyEnd;

pin_project! {
    /// The future of [`Log`](super::Log).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // None when nobody listens. Dropped with the future if the caller goes away.
        record: Option<Record>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, record: Option<Record>) -> Self {
        ResponseFuture { inner, record }
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    E: Display,
    Res: Body<Data = Bytes>,
    Res::Error: Display,
{
    type Output = Result<Response<ResponseBody<Res>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let record = this.record.take();
        Poll::Ready(match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let answered = Answered(record.map(|record| record.answered(&head)));
                Ok(Response::from_parts(head, BodyEnd::told_to(body, answered)))
            }
            Err(error) => {
                if let Some(record) = record {
                    record.failed(&error);
                }
                Err(error)
            }
        })
    }
}
