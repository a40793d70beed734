//! The layer in process: what a hit costs beside an inner service that answers with a clone of a
//! stored response, and what the other ways through the cache cost.

use std::{
    convert::Infallible,
    future::Ready,
    hint::black_box,
    task::{Context, Poll},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use larder::{cache::CacheLayer, store::MemoryStore};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceExt};

type Body = Empty<Bytes>;

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A response with eight fields and a body of this size.
fn response(size: usize, extra: &[(&'static str, &'static str)]) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    let fields = [
        ("content-type", "application/json"),
        ("cache-control", "max-age=3600"),
        ("date", "Sun, 06 Nov 2094 08:49:37 GMT"),
        ("etag", "\"5d8c72a5edda8\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "origin"),
        ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ("strict-transport-security", "max-age=63072000"),
    ];
    for (name, value) in fields.iter().chain(extra) {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    (headers, Bytes::from(vec![b'x'; size]))
}

/// Answers with a clone of one response.
#[derive(Clone)]
struct Inner {
    headers: HeaderMap,
    body: Bytes,
}

impl Service<Request<Body>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut res = Response::new(Full::new(self.body.clone()));
        *res.headers_mut() = self.headers.clone();
        std::future::ready(Ok(res))
    }
}

fn inner(size: usize, extra: &[(&'static str, &'static str)]) -> Inner {
    let (headers, body) = response(size, extra);
    Inner { headers, body }
}

fn request(path: &str, fields: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut req = Request::get(path)
        .header("host", "api.example")
        .header("accept", "*/*");
    for (name, value) in fields {
        req = req.header(*name, *value);
    }
    req.body(Body::new()).expect("a request")
}

async fn drive<S, B>(service: &S, req: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let Ok(res) = service.clone().oneshot(req).await;
    black_box(res.into_body().collect().await.expect("a body"));
}

fn hits(c: &mut Criterion) {
    let rt = runtime();
    let mut group = c.benchmark_group("layer");
    for (name, size) in [("1KiB", 1024), ("64KiB", 64 * 1024)] {
        let floor = inner(size, &[]);
        group.bench_function(format!("floor {name}"), |b| {
            b.iter(|| rt.block_on(drive(&floor, request("/a", &[]))));
        });
        let cache = CacheLayer::new(MemoryStore::new(64 << 20)).layer(inner(size, &[]));
        rt.block_on(drive(&cache, request("/a", &[])));
        group.bench_function(format!("hit {name}"), |b| {
            b.iter(|| rt.block_on(drive(&cache, request("/a", &[]))));
        });
    }

    let vary = inner(1024, &[("vary", "accept-encoding")]);
    let vary = CacheLayer::new(MemoryStore::new(64 << 20)).layer(vary);
    let gzip = [("accept-encoding", "gzip, br")];
    rt.block_on(drive(&vary, request("/a", &gzip)));
    group.bench_function("hit with Vary", |b| {
        b.iter(|| rt.block_on(drive(&vary, request("/a", &gzip))));
    });

    let cache = CacheLayer::new(MemoryStore::new(64 << 20)).layer(inner(1024, &[]));
    rt.block_on(drive(&cache, request("/a", &[])));
    for (name, field) in [
        ("304", ("if-none-match", "\"5d8c72a5edda8\"")),
        ("range", ("range", "bytes=100-199")),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| rt.block_on(drive(&cache, request("/a", &[field]))));
        });
    }

    let mut n = 0u64;
    group.bench_function("miss 1KiB", |b| {
        b.iter(|| {
            n += 1;
            rt.block_on(drive(&cache, request(&format!("/miss/{n}"), &[])));
        });
    });
    group.finish();
}

criterion_group!(benches, hits);
criterion_main!(benches);
