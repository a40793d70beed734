//! Memory before a Redis that is slow or gone: what is near is had at once, and what is not costs
//! no wait for what cannot answer.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

use http_body_util::BodyExt;
use larder::{
    cache::{Cache, CacheLayer},
    policy::Policy,
    store::{MemoryStore, RedisConfig, RedisStore, TieredStore},
};
use tokio::task::yield_now;
use tower::{Layer, Service};

use super::{
    coherence::{self, NEVER, held, origin},
    redis::{config, connect, heals, is_down, lookups_in_vain, name, soon, wait_for},
    *,
};
use crate::support::{
    redis::{Cluster, Redis},
    script::{Body, Script, Told, request, respond, told},
};

/// A cache in two tiers whose requests wait so long for the store, which gives up a call after
/// another while.
struct Tiered {
    cache: Cache<Script, TieredStore>,
    far: RedisStore,
}

impl Tiered {
    async fn on(redis: &Redis, call: Duration, wait: Duration, origin: &Script) -> Self {
        let far = connect(RedisConfig::new(redis.url()).timeout(call)).await;
        let near = MemoryStore::new(64 << 20);
        let store = TieredStore::with_near(far.clone(), near, NEVER);
        let layer = CacheLayer::builder(store).policy(Policy::origin());
        let cache = layer.store_timeout(wait).build().layer(origin.clone());
        Tiered { cache, far }
    }

    async fn send(&self, method: &str, path: &str) -> Told {
        let res = self.cache.clone().call(request(method, path, &[])).await;
        let Ok(res) = res;
        told(res.map(BodyExt::boxed_unsync)).await
    }

    /// The answer, if nothing at all is waited for until its head is there.
    async fn at_once(&self, req: http::Request<Body>) -> Option<Told> {
        let mut answer = Box::pin(self.cache.clone().call(req));
        let mut context = Context::from_waker(Waker::noop());
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(Ok(res)) => Some(told(res.map(BodyExt::boxed_unsync)).await),
            Poll::Pending => None,
        }
    }
}

/// Asks until the answer is one of these.
async fn until(cache: &Tiered, wanted: impl Fn(&Told) -> bool) {
    soon(async {
        while !wanted(&cache.send("GET", "/a").await) {
            yield_now().await; // A near hit does not wait, and others must run.
        }
    })
    .await;
}

const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_received_is_near_before_it_is_far() {
    let redis = Redis::start();
    let version = Arc::default();
    let (slow, asked, go) = held(&version);
    let cache = Tiered::on(&redis, PATIENT, PATIENT, &slow).await;
    let fetched = async {
        soon(asked.notified()).await;
        redis.pause();
        go.send_replace(true);
    };
    let (first, ()) = tokio::join!(soon(cache.send("GET", "/a")), fetched);
    assert!(!first.is_hit());
    let second = cache.at_once(request("GET", "/a", &[])).await;
    let second = second.expect("it is in memory");
    assert!(second.is_hit() && second.body == first.body);
    assert_eq!(cache.far.calls(), 1, "it is being written to Redis");
    redis.resume();
    soon(async {
        while cache.far.calls() > 0 {
            yield_now().await
        }
    })
    .await;
    let far = coherence::Instance::new(config(&redis), None, &slow).await;
    assert!(far.get("/a").await.1);
}

#[tokio::test]
async fn a_purge_that_nobody_waits_for_any_more_is_made() {
    let redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let short = Duration::from_millis(50);
    let cache = Tiered::on(&redis, PATIENT, short, &origin).await;
    // It has no copies: what it tells is what is in Redis.
    let other = coherence::Instance::new(config(&redis), None, &origin).await;
    other.until("/a", |(_, hit)| *hit).await;
    until(&cache, Told::is_hit).await;
    redis.pause();
    version.store(2, SeqCst);
    let told = soon(cache.send("POST", "/a")).await;
    assert_eq!(told.status, 200);
    assert!(cache.far.calls() > 0, "it is at it");
    redis.resume();
    other.until("/a", |(body, _)| body == "2").await;
    until(&cache, |told| told.body == "2").await;
}

#[tokio::test]
async fn no_request_waits_for_a_redis_that_is_known_to_hang() {
    let redis = Redis::start();
    let origin = Script::at_once(|n, req| {
        let path = req.uri.path();
        let holds = req.headers.contains_key("if-none-match");
        let fields: &[_] = match path {
            "/varied" => &[("cache-control", "max-age=60"), ("vary", "accept")],
            "/stale" => &[("cache-control", "max-age=0"), ("etag", "\"v\"")],
            "/never" => &[("cache-control", "no-store")],
            "/ruled" => &[
                ("cache-control", "max-age=60"),
                ("no-vary-search", "params"),
            ],
            _ => &[("cache-control", "max-age=60")],
        };
        respond(if holds { 304 } else { 200 }, fields, n.to_string())
    });
    // One wait alone would be as long as no test lasts.
    let (call, wait) = (Duration::from_millis(50), Duration::from_secs(600));
    let cache = Tiered::on(&redis, call, wait, &origin).await;
    redis.pause();
    lookups_in_vain(&cache.far, 5).await;
    wait_for(&cache.far, is_down).await;
    for round in 0..50 {
        for path in ["/a", "/b", "/varied", "/stale", "/never", "/ruled"] {
            for path in [path.to_owned(), format!("{path}?{round}")] {
                for method in ["GET", "HEAD", "POST", "GET", "DELETE"] {
                    yield_now().await; // How much a task does in one go is bounded, too.
                    let fields = [("accept", ["text/plain", "text/html"][round % 2])];
                    let told = cache.at_once(request(method, &path, &fields)).await;
                    let told = told.unwrap_or_else(|| panic!("{method} {path} waits"));
                    assert_eq!(told.status, 200, "{method} {path}");
                }
            }
        }
    }
    assert_eq!(cache.far.calls(), 0);
    redis.resume();
    heals(&cache.far).await;
}

/// In a cluster nobody can be sure to hear of all: a copy is good for a while and no longer.
#[tokio::test]
async fn in_a_cluster_copies_are_looked_up_again() {
    let cluster = Cluster::start();
    let far = connect(RedisConfig::new(cluster.url()).timeout(Duration::from_secs(5))).await;
    let store = TieredStore::with_near(far, MemoryStore::new(1 << 20), Duration::from_secs(1));
    put(&store, &key("/a"), &entry(1, "kept")).await;
    let is_there = async || {
        yield_now().await; // So that others hear.
        get(&store, &key("/a")).await.is_some()
    };
    soon(async { while !(is_there().await && store.hears()) {} }).await;
    for node in &cluster.nodes {
        node.command(&["DEL", &name("/a")]);
    }
    soon(async { while is_there().await {} }).await;
}
