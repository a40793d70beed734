//! `CacheLayer` on an axum `Router` with routes and state, and on one that is a reverse proxy.
//!
//! ```text
//! cargo run --example axum -- 127.0.0.1:3001
//! curl -i http://127.0.0.1:3001/products/1     # twice: X-Cache: MISS, then HIT
//!
//! cargo run --example axum -- --origin https://dummyjson.com --port 3001
//! ```

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
    routing::get,
};
use larder::{cache::CacheLayer, policy::Policy, store::MemoryStore, upstream::Upstream};
use serde_json::json;
use tower::ServiceExt;

/// What the handlers share: how often the slow part really ran.
#[derive(Default)]
struct Shop {
    looked_up: AtomicU64,
}

async fn product(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> impl IntoResponse {
    let times = shop.looked_up.fetch_add(1, Ordering::Relaxed) + 1;
    tokio::time::sleep(Duration::from_millis(300)).await; // a slow database
    let product = json!({ "id": id, "title": format!("Product {id}"), "looked_up": times });
    ([(CACHE_CONTROL, "max-age=10")], Json(product))
}

async fn cart() -> impl IntoResponse {
    ([(CACHE_CONTROL, "private")], "this one is never stored\n")
}

/// Its own routes: a shop.
fn shop() -> Router {
    Router::new()
        .route("/products/{id}", get(product))
        .route("/cart", get(cart))
        .with_state(Arc::new(Shop::default()))
}

/// No routes of its own: everything comes from `origin`.
fn proxy(origin: String) -> Router {
    // The origin is one's own, and may well have a private address.
    let upstream = Upstream::builder().allow_private(true).build();
    let forward = async move |mut request: Request| {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = format!("{}{target}", origin.trim_end_matches('/'));
        *request.uri_mut() = target.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        match upstream.oneshot(request).await {
            Ok(response) => Ok::<Response, _>(response.map(Body::new)),
            Err(error) => {
                eprintln!("{error}");
                Err(StatusCode::BAD_GATEWAY)
            }
        }
    };
    Router::new().fallback(forward)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (mut address, mut origin) = ("127.0.0.1:3001".to_owned(), None);
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--origin" => origin = args.next(),
            "--port" => address = format!("127.0.0.1:{}", args.next().unwrap_or_default()),
            _ => address = arg,
        }
    }

    let cache = CacheLayer::builder(MemoryStore::new(64 << 20))
        .policy(Policy::origin())
        .build();
    let app = origin.map_or_else(shop, proxy).layer(cache);

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
