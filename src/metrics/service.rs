//! The service that counts, for either sort of meter.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    future::ResponseFuture,
    meter::{Meter, Open},
};
use crate::body_end::{BodyEnd, OnEnd};

/// Counts what passes through `S`.
#[derive(Clone, Debug)]
pub struct Measured<S, M> {
    inner: S,
    meter: M,
}

impl<S, M> Measured<S, M> {
    pub(super) fn new(inner: S, meter: M) -> Self {
        Measured { inner, meter }
    }
}

impl<S, M, Req, Res> Service<Request<Req>> for Measured<S, M>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    M: Meter,
    Res: Body<Data = Bytes>,
    <M::Open as Open>::Body: OnEnd<Res::Error>,
{
    type Response = Response<BodyEnd<Res, <M::Open as Open>::Body>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, M::Open>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let open = self.meter.begin();
        ResponseFuture::new(self.inner.call(request), open)
    }
}
