//! Many requests while Redis hangs: none waits for long, and nothing piles up.

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::*;
use crate::support::{proxy::request, redis::Redis, script::respond};

const CLIENTS: usize = 50;
const EACH: usize = 200;

/// What every response carries, so that ten thousand would not go unnoticed.
const BODY: &[u8] = &[b'x'; 10_000];

#[tokio::test]
async fn ten_thousand_requests_while_it_hangs() {
    let redis = Redis::start();
    let origin = Origin::at_once(|_, _| respond(200, &[("cache-control", "max-age=60")], BODY));
    let origin = origin.await;
    let (to, url) = (origin.url(), format!("--redis-url={}", redis.url()));
    let flags = [
        "--backend=redis",
        "--memory=8MiB",
        &url,
        "--origin",
        &to,
        LOG,
    ];
    let larder = Logged::start(&flags).await;
    let site = Site { origin, larder };
    let before = site.larder.memory();
    redis.pause();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = site.larder.address;
        clients.spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            for n in 0..EACH {
                let request = request("GET", &format!("/{client}/{n}"), &[], "");
                sender.ready().await.unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                let body = response.into_body().collect().await.unwrap();
                assert!(body.to_bytes() == BODY);
            }
        });
    }
    let mut most = 0;
    while !clients.is_empty() {
        tokio::select! {
            client = soon(clients.join_next()) => client.unwrap().unwrap(),
            calls = looked_at(&site) => most = most.max(calls),
        }
    }
    assert!(most <= 256, "{most} calls under way");
    assert_eq!(site.origin.asked(), CLIENTS * EACH);
    assert_eq!(site.cache().await, "degraded");
    let grown = site.larder.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "it has grown by {grown} bytes");
    redis.resume();
    let start = Instant::now();
    soon(async { while site.cache().await != "ok" {} }).await;
    assert!(start.elapsed() < HEALS_WITHIN, "{:?}", start.elapsed());
}

/// Now and then: to look is work for the machine, too.
async fn looked_at(site: &Site) -> i64 {
    sleep(Duration::from_millis(50)).await;
    site.figure("redis_calls").await
}
