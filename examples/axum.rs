//! `CacheLayer` on an axum `Router` with routes and state.
//!
//! ```text
//! cargo run --example axum -- 127.0.0.1:3001
//! curl -i http://127.0.0.1:3001/products/1     # twice: X-Cache: MISS, then HIT
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
    extract::{Path, State},
    http::header::CACHE_CONTROL,
    response::IntoResponse,
    routing::get,
};
use larder::{cache::CacheLayer, policy::Policy, store::MemoryStore};
use serde_json::json;

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

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3001".to_owned());

    let cache = CacheLayer::builder(MemoryStore::new(64 << 20))
        .policy(Policy::origin())
        .build();
    let app = Router::new()
        .route("/products/{id}", get(product))
        .route("/cart", get(cart))
        .layer(cache)
        .with_state(Arc::new(Shop::default()));

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
