//! What a stored response costs besides its body, by an allocator that counts. It has a target to
//! itself: others would be counted with it.

#![allow(clippy::unwrap_used)]

use std::{alloc::System, convert::Infallible};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use larder::{cache::CacheLayer, store::MemoryStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use tower::{Layer, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RESPONSES: usize = 10_000;
const BODY: usize = 1024;

/// Beside its size, glibc takes 8 bytes for each piece, and rounds up to 16.
const FOR_EACH_PIECE: usize = 16;

/// As hyper makes it: values and body are slices of the buffer that they were read into.
fn response(path: &str) -> Response<Full<Bytes>> {
    let tag = format!("\"{path}\"");
    let fields = [
        ("content-type", "application/json"),
        ("cache-control", "public, max-age=3600"),
        ("date", "Sun, 06 Nov 2094 08:49:37 GMT"),
        ("etag", &*tag),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "origin"),
        ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ("strict-transport-security", "max-age=63072000"),
    ];
    let mut buffer = Vec::with_capacity(8 * 1024);
    for (_, value) in &fields {
        buffer.extend_from_slice(value.as_bytes());
    }
    buffer.resize(buffer.capacity(), b'x');
    let mut buffer = Bytes::from(buffer);
    let mut res = Response::new(Full::default());
    for (name, value) in fields {
        let value = HeaderValue::from_maybe_shared(buffer.split_to(value.len())).unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        res.headers_mut().append(name, value);
    }
    *res.body_mut() = Full::new(buffer.split_to(BODY));
    res
}

/// What is in use: bytes, and those that the allocator takes besides.
fn live(change: Stats) -> usize {
    let bytes = change.bytes_allocated - change.bytes_deallocated;
    bytes + FOR_EACH_PIECE * (change.allocations - change.deallocations)
}

#[tokio::test]
async fn a_stored_response_takes_less_than_a_thousand_bytes_besides_its_body() {
    let store = MemoryStore::new(256 << 20);
    let inner = service_fn(|req: Request<Empty<Bytes>>| async move {
        Ok::<_, Infallible>(response(req.uri().path()))
    });
    let cache = CacheLayer::new(store.clone()).layer(inner);
    let ask = async |n: usize| {
        let req = Request::get(format!("/articles/{n:08}")).header("host", "api.example");
        let req = req.body(Empty::new()).unwrap();
        let res = cache.clone().oneshot(req).await.unwrap();
        let status = res.headers()["x-cache"].clone();
        let body = res.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), BODY);
        status
    };
    for n in 0..100 {
        ask(n).await; // what is allocated once and for all
    }

    let before = store.stats();
    let region = Region::new(ALLOCATOR);
    for n in 100..100 + RESPONSES {
        assert_eq!(ask(n).await, "MISS");
    }
    let kept = live(region.change());
    let after = store.stats();
    assert_eq!(after.entries - before.entries, RESPONSES as u64);
    let besides = kept / RESPONSES - BODY;
    let weight = (after.bytes - before.bytes) as usize / RESPONSES - BODY;
    println!("{besides} bytes besides the body of each, {weight} by the store's own reckoning");
    assert!(besides <= 1000, "{besides}");
    assert!(weight.abs_diff(besides) <= 150, "{weight} is not {besides}");

    // What was used is at hand for some, and costs nothing for the others.
    for n in 100..100 + RESPONSES {
        assert_eq!(ask(n).await, "HIT");
    }
    let used = live(region.change()) - kept;
    println!("{used} bytes more after they were used");
    assert!(used < 5 << 20, "{used}");
}
