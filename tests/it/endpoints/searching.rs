//! `No-Vary-Search` over sockets, on both stores.

use crate::support::{
    origin::Origin,
    proxy::{Answer, Larder, soon},
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
    larder.get("/x?a=1&b=2&utm=3").await;
    let hit = until_stored(&larder, "/x?b=2&a=1").await;
    assert_eq!((origin.asked(), hit.text()), (1, "1"));
    let asked = origin.asked();
    let wrapped = larder.proxy("x?utm=4&b=2&a=1").await;
    assert_eq!(wrapped.json()["data"], hit.text());
    assert_eq!(wrapped.json()["source"], "cache");
    assert!(!larder.get("/x?a=2&b=2").await.is_hit());
    assert_eq!(origin.asked(), asked + 1);
    until_stored(&larder, "/x?b=2&a=2").await;

    let url = format!("/cache?url={}/x%3Fb%3D2%26a%3D1", origin.url());
    let purged = larder.ask("DELETE", &url, &[]).await;
    assert_eq!(purged.json()["purged"], 1);
    assert!(!larder.get("/x?a=1&b=2").await.is_hit());
    assert!(larder.get("/x?a=2&b=2&utm").await.is_hit());
    until_stored(&larder, "/x?b=2&a=1").await;
    larder.ask("DELETE", "/cache?prefix=/", &[]).await;
    assert!(!larder.get("/x?a=1&b=2").await.is_hit());
}

/// Asks for it, and has nothing fetched, until it is stored: who asks for the same URL as who
/// fetches it gets what is on its way to the store.
async fn until_stored(larder: &Larder, target: &str) -> Answer {
    let only = [("cache-control", "only-if-cached")];
    soon(async {
        loop {
            let answer = larder.ask("GET", target, &only).await;
            if answer.is_hit() {
                return answer;
            }
        }
    })
    .await
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
