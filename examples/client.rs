//! `CacheLayer` around a client: what was fetched is not fetched again while it is fresh.
//!
//! ```text
//! cargo run --example client -- https://dummyjson.com/products/1
//! ```

use std::env;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use larder::{cache::CacheLayer, outcome::Outcome, store::MemoryStore, upstream::Upstream};
use tower::{BoxError, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = env::args().nth(1).ok_or("say which URL to fetch")?;

    let client = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStore::new(64 << 20)))
        .service(Upstream::builder().allow_private(true).build());

    for _ in 0..2 {
        let req = Request::get(&url).body(Empty::<Bytes>::new())?;
        let res = client.clone().oneshot(req).await?;
        let status = res.status();
        let outcome = res
            .extensions()
            .get::<Outcome>()
            .cloned()
            .unwrap_or_default();
        let body = res.into_body().collect().await?.to_bytes();
        println!("{status}, {} bytes, {outcome}", body.len());
    }
    Ok(())
}
