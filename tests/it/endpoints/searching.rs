//! `No-Vary-Search` over sockets, on both stores.

use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    redis::Redis,
    script::respond,
};

async fn one_answer_for_what_is_the_same(flags: &[&str]) {
    let origin = Origin::at_once(|n, _| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("content-type", "text/plain"),
            ("no-vary-search", "key-order, params=(\"utm\")"),
        ];
        respond(200, &fields, n.to_string())
    })
    .await;
    let larder = Larder::before(&origin.url(), flags).await;
    larder.until_hit("/x?a=1&b=2&utm=3").await;
    larder.until_hit("/x?b=2&a=1").await;
    // What was asked for before the first was stored may take its place yet.
    soon(async {
        loop {
            let hit = larder.get("/x?b=2&a=1").await;
            if hit.is_hit() && larder.proxy("x?utm=4&b=2&a=1").await.json()["data"] == hit.text() {
                return;
            }
        }
    })
    .await;
    let asked = origin.asked();
    let wrapped = larder.proxy("x?utm=4&b=2&a=1").await;
    assert_eq!(wrapped.json()["source"], "cache");
    assert!(!larder.get("/x?a=2&b=2").await.is_hit());
    assert_eq!(origin.asked(), asked + 1);
    larder.until_hit("/x?b=2&a=2").await;

    let url = format!("/cache?url={}/x%3Fb%3D2%26a%3D1", origin.url());
    let purged = larder.ask("DELETE", &url, &[]).await;
    assert_eq!(purged.json()["purged"], 1);
    assert!(!larder.get("/x?a=1&b=2").await.is_hit());
    assert!(larder.get("/x?a=2&b=2&utm").await.is_hit());
    larder.until_hit("/x?a=1&b=2").await;
    larder.ask("DELETE", "/cache?prefix=/", &[]).await;
    assert!(!larder.get("/x?a=1&b=2").await.is_hit());
}

#[tokio::test]
async fn one_answer_for_what_is_the_same_in_memory() {
    one_answer_for_what_is_the_same(&[]).await;
}

#[tokio::test]
async fn one_answer_for_what_is_the_same_in_redis() {
    let redis = Redis::start();
    one_answer_for_what_is_the_same(&[
        "--backend=redis",
        "--redis-url",
        &redis.url(),
        "--redis-timeout=5000",
    ])
    .await;
}
