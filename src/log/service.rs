//! The service that logs.

use std::{
    fmt::Display,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    ResponseBody, ResponseFuture,
    record::{Kind, Record},
};

/// Logs what passes through `S`; made by [`LogLayer`](super::LogLayer).
#[derive(Clone, Debug)]
pub struct Log<S> {
    inner: S,
    kind: Kind,
}

impl<S> Log<S> {
    pub(super) fn new(inner: S, kind: Kind) -> Self {
        Log { inner, kind }
    }
}

impl<S, Req, Res> Service<Request<Req>> for Log<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Error: Display,
    Res: Body<Data = Bytes>,
    Res::Error: Display,
{
    type Response = Response<ResponseBody<Res>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let record = Record::begin(self.kind, request.method(), request.uri());
        ResponseFuture::new(self.inner.call(request), record)
    }
}
