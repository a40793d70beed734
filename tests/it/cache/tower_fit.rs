//! The layer in other people's stacks.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use larder::{
    cache::CacheLayer,
    policy::{Head, Key, Purge},
    store::{
        EntryId, Front, Judge, Looked, MemoryStore, Record, Removed, Seen, Store, StoreError, Told,
    },
};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::script::{Body, Script, get};

#[tokio::test]
async fn it_goes_onto_an_axum_router_with_state() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = |State(count): State<Arc<std::sync::atomic::AtomicUsize>>| async move {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        ([("cache-control", "max-age=60")], n.to_string())
    };
    let app = Router::new()
        .route("/a", routing::get(counted))
        .layer(CacheLayer::new(MemoryStore::new(1 << 20)))
        .with_state(count);
    for _ in 0..2 {
        let req = Request::get("/a").body(axum::body::Body::empty()).unwrap();
        let res = app.clone().oneshot(req).await.unwrap();
        assert_eq!(res.into_body().collect().await.unwrap().to_bytes(), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn hits_are_served_while_the_inner_service_is_saturated() {
    let script = Script::new(|n, req| {
        let hang = req.uri.path() == "/hang";
        async move {
            if hang {
                std::future::pending::<()>().await;
            }
            crate::support::script::respond(200, &[("cache-control", "max-age=60")], n.to_string())
        }
    });
    let service = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStore::new(1 << 20)))
        .concurrency_limit(1)
        .service(script);
    let ask = |path: &'static str| service.clone().oneshot(get(path, &[]));
    ask("/a")
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    let hanging = tokio::spawn(ask("/hang"));
    crate::support::script::settle().await;
    let hit = tokio::time::timeout(Duration::from_secs(1), ask("/a")).await;
    assert_eq!(
        hit.expect("a hit waits for nobody").unwrap().headers()["x-cache"],
        "HIT"
    );
    let miss = tokio::time::timeout(Duration::from_secs(1), ask("/b")).await;
    assert!(miss.is_err(), "a miss waits for its turn");
    hanging.abort();
}

#[tokio::test]
async fn what_one_layer_wraps_shares_one_store() {
    let layer = CacheLayer::new(MemoryStore::new(1 << 20));
    let script = Script::numbered(&[("cache-control", "max-age=60")]);
    for _ in 0..2 {
        let res = layer
            .clone()
            .layer(script.clone())
            .oneshot(get("/a", &[]))
            .await
            .unwrap();
        assert_eq!(res.into_body().collect().await.unwrap().to_bytes(), "1");
    }
}

#[tokio::test]
async fn an_inner_error_comes_out_as_it_went_in() {
    #[derive(Debug, PartialEq)]
    struct Mine(u8);
    let failing = service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>(Mine(7)) });
    let mut service = CacheLayer::new(MemoryStore::new(1 << 20)).layer(failing);
    let error = service
        .ready()
        .await
        .unwrap()
        .call(get("/a", &[]))
        .await
        .unwrap_err();
    assert_eq!(error, Mine(7));
}

/// A store that cannot do anything.
struct Broken;

impl Store for Broken {
    async fn get(&self, _: &Key) -> Result<Looked, StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn peek(&self, _: &Key) -> Result<Option<Front>, StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn put(&self, _: &Key, _: Record, _: Duration, _: Seen) -> Result<(), StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn refresh(
        &self,
        _: &Key,
        _: EntryId,
        _: Arc<Head>,
        _: Duration,
        _: Seen,
    ) -> Result<bool, StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn remove(&self, _: &Key) -> Result<Removed, StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn swept(&self, _: Seen) -> Result<(), StoreError> {
        Err(StoreError::new("broken"))
    }

    fn listen(&self, _: Told) {}

    async fn announce(&self, _: &Purge) -> Result<Seen, StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        Err(StoreError::new("broken"))
    }

    async fn sweep(&self, _: &str, _: Option<Seen>, _: &Judge<'_>) -> Result<(), StoreError> {
        Err(StoreError::new("broken"))
    }
}

#[tokio::test]
async fn a_broken_store_fails_no_request_and_says_so_when_cleared() {
    let layer = CacheLayer::new(Broken);
    let service = layer.layer(Script::numbered(&[
        ("cache-control", "max-age=60"),
        ("vary", "a"),
    ]));
    for method in ["GET", "POST", "GET", "HEAD"] {
        let req = crate::support::script::request(method, "/a", &[]);
        assert_eq!(service.clone().oneshot(req).await.unwrap().status(), 200);
    }
    assert!(layer.handle().clear().await.is_err());
    assert!(layer.handle().purge_tag("a").await.is_err());
}

#[tokio::test]
async fn bodies_need_be_send_and_not_sync() {
    let unsync = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
        let body: Body = Empty::new().map_err(BoxError::from).boxed_unsync();
        Ok::<_, Infallible>(Response::new(body))
    });
    let service = CacheLayer::new(MemoryStore::new(1 << 20)).layer(unsync);
    let res = service.oneshot(Request::new(Empty::new())).await.unwrap();
    assert_eq!(res.status(), 200);
}
