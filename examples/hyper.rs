//! `CacheLayer` in plain hyper: one connection at a time is handed to hyper, one service to all.
//!
//! ```text
//! cargo run --example hyper -- 127.0.0.1:3002
//! curl -i http://127.0.0.1:3002/     # twice: X-Cache: MISS, then HIT
//! ```

use std::{convert::Infallible, env, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use larder::{cache::CacheLayer, store::MemoryStore};
use tower::{ServiceBuilder, service_fn};

async fn report(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_millis(300)).await; // something slow
    Ok(Response::new(Full::from("a report that took a while\n")))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:3002".to_owned());

    let service = ServiceBuilder::new()
        .layer(CacheLayer::new(MemoryStore::new(64 << 20)))
        .service(service_fn(report));

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}
