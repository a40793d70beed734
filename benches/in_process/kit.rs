//! What the benches ask for, what they are answered, and what a store keeps of it.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, request};
use http_body_util::{BodyExt, Empty, Full};
use larder::{
    policy::{Head, Policy},
    store::{Entry, EntryId, Payload, Record},
};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt};

pub(crate) type Body = Empty<Bytes>;

pub(crate) const SIZES: [(&str, usize); 2] = [("1KiB", 1024), ("64KiB", 64 * 1024)];

pub(crate) const FIELDS: [(&str, &str); 8] = [
    ("content-type", "application/json"),
    ("cache-control", "max-age=3600"),
    ("date", "Sun, 06 Nov 2094 08:49:37 GMT"),
    ("etag", "\"5d8c72a5edda8\""),
    ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("server", "origin"),
    ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
    ("strict-transport-security", "max-age=63072000"),
];

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Answers with a clone of one response.
#[derive(Clone)]
pub(crate) struct Inner(Arc<(HeaderMap, Bytes)>);

/// A service that answers with eight fields, and these, and a body of this size.
pub(crate) fn inner(size: usize, extra: &[(&'static str, &'static str)]) -> Inner {
    let mut headers = HeaderMap::new();
    for (name, value) in FIELDS.iter().chain(extra) {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    Inner(Arc::new((headers, Bytes::from(vec![b'x'; size]))))
}

impl Inner {
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let mut res = Response::new(Full::new(self.0.1.clone()));
        *res.headers_mut() = self.0.0.clone();
        res
    }
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(self.response()))
    }
}

pub(crate) fn request<B: Default>(
    path: &str,
    fields: &[(&'static str, &'static str)],
) -> Request<B> {
    let mut req = Request::get(path)
        .header("host", "api.example")
        .header("accept", "*/*");
    for (name, value) in fields {
        req = req.header(*name, *value);
    }
    req.body(B::default()).expect("a request")
}

pub(crate) fn parts(path: &str, fields: &[(&'static str, &'static str)]) -> request::Parts {
    request::<()>(path, fields).into_parts().0
}

/// Has a request answered, and collects the body.
pub(crate) async fn drive<S, Q, B>(service: &S, req: Request<Q>)
where
    S: Service<Request<Q>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: Debug,
{
    let Ok(res) = service.clone().oneshot(req).await;
    black_box(res.into_body().collect().await.expect("a body"));
}

/// The head of what [`inner`] answers.
pub(crate) fn head(extra: &[(&'static str, &'static str)]) -> Head {
    let (res, _) = inner(0, extra).response().into_parts();
    let now = SystemTime::now();
    Policy::default().head(&parts("/a", &[]), &res, now, now)
}

/// It, stored.
pub(crate) fn entry(size: usize) -> Entry {
    Entry {
        id: EntryId(1),
        head: Arc::new(head(&[])),
        body: Payload::new(Bytes::from(vec![b'x'; size]), None),
    }
}

pub(crate) fn record(size: usize) -> Record {
    Record::Response(entry(size))
}
