//! The future that counts what came of a request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::meter::Open;
use crate::body_end::{BodyEnd, OnEnd};

pin_project! {
    /// The future of [`Measured`](super::Measured).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, O> {
        #[pin]
        inner: F,
        // Gone once the request is answered; dropped with the future if it never is.
        open: Option<O>,
    }
}

impl<F, O> ResponseFuture<F, O> {
    pub(super) fn new(inner: F, open: O) -> Self {
        ResponseFuture {
            inner,
            open: Some(open),
        }
    }
}

impl<F, O, Res, E> Future for ResponseFuture<F, O>
where
    F: Future<Output = Result<Response<Res>, E>>,
    O: Open,
    O::Body: OnEnd<Res::Error>,
    Res: Body<Data = Bytes>,
{
    type Output = Result<Response<BodyEnd<Res, O::Body>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let open = this
            .open
            .take()
            .expect("a future is not polled after it was ready");
        Poll::Ready(match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let on_end = open.answered(&head);
                Ok(Response::from_parts(head, BodyEnd::told_to(body, on_end)))
            }
            Err(error) => {
                open.failed();
                Err(error)
            }
        })
    }
}
