//! How often a hit allocates, by an allocator that counts. It has a target to itself: others would
//! be counted with it.

#![allow(clippy::unwrap_used)]

use std::{alloc::System, convert::Infallible, fmt::Debug, future::ready, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use larder::{cache::CacheLayer, store::MemoryStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, ServiceExt, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TIMES: usize = 100;

/// What a hit of 1 KiB with eight fields allocates, from the request to the last byte: twice for
/// the fields of the answer, 3 times for the outcome among its extensions, and once to collect the
/// body.
const HIT: usize = 6;

/// Of these, what the layer does.
const BY_THE_LAYER: usize = 5;

/// And how much of that is not for the fields, which whoever answers anew must clone, too.
const MORE_THAN_A_CLONE: usize = 3;

/// As many fields as in `benches/in_process`, and so many more.
fn fields(more: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "max-age=3600"),
        ("date", "Sun, 06 Nov 2094 08:49:37 GMT"),
        ("etag", "\"5d8c72a5edda8\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("server", "origin"),
        ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ("strict-transport-security", "max-age=63072000"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for n in 0..more {
        let name = HeaderName::try_from(format!("x-more-{n}")).unwrap();
        headers.insert(name, HeaderValue::from_static("more"));
    }
    headers
}

/// How often that allocates: to have a request answered and collect the body; and of that, to have
/// it answered.
async fn count<S, B>(service: &S) -> (usize, usize)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    let (mut all, mut own) = (0, 0);
    for _ in 0..TIMES {
        let req = Request::get("/a")
            .header("host", "api.example")
            .header("accept", "*/*")
            .body(Empty::new())
            .unwrap();
        let region = Region::new(ALLOCATOR);
        let res = service.clone().oneshot(req).await.unwrap();
        let change = region.change();
        own += change.allocations + change.reallocations;
        let body = res.into_body().collect().await.unwrap().to_bytes();
        let change = region.change();
        all += change.allocations + change.reallocations;
        assert_eq!(body.len(), 1024);
    }
    assert_eq!((all % TIMES, own % TIMES), (0, 0), "not the same each time");
    (all / TIMES, own / TIMES)
}

#[tokio::test]
async fn a_hit_allocates_for_its_fields_and_its_outcome_only() {
    // A map is full with 6, 12 or 24 fields, and then must not grow either.
    for more in 0..20 {
        let stored = Arc::new((fields(more), Bytes::from(vec![b'x'; 1024])));
        let origin = service_fn(move |_: Request<Empty<Bytes>>| {
            let mut res = Response::new(Full::new(stored.1.clone()));
            *res.headers_mut() = stored.0.clone();
            ready(Ok::<_, Infallible>(res))
        });
        let cache = CacheLayer::new(MemoryStore::new(64 << 20)).layer(origin.clone());
        // A miss, and what the first hit of a thread allocates once and for all.
        for word in ["MISS", "HIT"] {
            let req = Request::get("/a").header("host", "api.example");
            let req = req.body(Empty::new()).unwrap();
            let res = cache.clone().oneshot(req).await.unwrap();
            assert_eq!(res.headers()["x-cache"], word);
            res.into_body().collect().await.unwrap();
        }

        let (hit, own) = count(&cache).await;
        let (_, clone) = count(&origin).await;
        println!(
            "{hit} for a hit of {} fields, {own} by the layer; {clone} for a clone",
            8 + more
        );
        assert!(hit <= HIT, "{hit}, with {more} fields more");
        assert!(own <= BY_THE_LAYER, "{own}, with {more} fields more");
        assert!(own - clone <= MORE_THAN_A_CLONE, "{own} and {clone}");
    }
}
