//! QUERY over sockets: cached by its content, and handed on byte for byte.

use http_body_util::BodyExt;
use serde_json::Value;

use crate::support::{
    origin::Origin,
    proxy::{Larder, request},
    redis::Redis,
    script::respond,
};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Answers with the content that it was asked with, and the number of the request.
async fn answering() -> Origin {
    Origin::at_once(|n, req| {
        let content = String::from_utf8_lossy(req.body()).into_owned();
        let fields = [("cache-control", "max-age=60"), ("cache-tag", "red")];
        respond(200, &fields, format!("{n} {} {content}", req.method()))
    })
    .await
}

async fn ask(larder: &Larder, content: impl Into<bytes::Bytes>) -> (bool, String) {
    let answer = larder.send(request("QUERY", "/x", &[JSON], content)).await;
    (answer.is_hit(), answer.text().to_owned())
}

/// Asks until the answer is a hit.
async fn until_hit(larder: &Larder, content: &'static str) -> String {
    crate::support::proxy::soon(async {
        loop {
            if let (true, body) = ask(larder, content).await {
                return body;
            }
        }
    })
    .await
}

async fn asks_once_and_forgets_when_told(flags: &[&str]) {
    let origin = answering().await;
    let larder = Larder::before(&origin.url(), flags).await;
    assert_eq!(ask(&larder, "{\"a\": 1}").await.1, "1 QUERY {\"a\": 1}");
    let stored = until_hit(&larder, "{\"a\":1}").await;
    assert!(stored.ends_with("1}"), "{stored}");
    let asked = origin.asked();
    assert_eq!(ask(&larder, " {\"a\":1 }").await, (true, stored));
    assert_eq!(origin.asked(), asked);
    let (hit, other) = ask(&larder, "{\"a\":2}").await;
    assert!(!hit && other.ends_with("QUERY {\"a\":2}"), "{other}");
    let (hit, got) = (larder.get("/x").await.is_hit(), larder.get("/x").await);
    assert!(!hit && got.text().contains("GET"));

    let url = format!("/cache?url={}/x", origin.url());
    for target in [url.as_str(), "/cache?prefix=/", "/cache?tag=red"] {
        until_hit(&larder, "{\"a\":1}").await;
        let dry = format!("{target}&dry_run=true");
        let counted = larder.ask("DELETE", &dry, &[]).await.json();
        let keys = counted["keys"].as_array().unwrap();
        let key = Value::from(format!("QUERY {}/x", origin.url()));
        assert!(keys.contains(&key), "{counted}");
        larder.ask("DELETE", target, &[]).await;
        assert!(!ask(&larder, "{\"a\":1}").await.0, "{target}");
    }
    until_hit(&larder, "{\"a\":1}").await;
    larder.ask("PURGE", "/x", &[]).await;
    assert!(!ask(&larder, "{\"a\":1}").await.0);
    until_hit(&larder, "{\"a\":1}").await;
    larder.ask("PUT", "/x", &[]).await;
    assert!(!ask(&larder, "{\"a\":1}").await.0);
}

#[tokio::test]
async fn a_query_is_asked_once_and_forgotten_when_told_in_memory() {
    asks_once_and_forgets_when_told(&[]).await;
}

#[tokio::test]
async fn a_query_is_asked_once_and_forgotten_when_told_in_redis() {
    let redis = Redis::start();
    asks_once_and_forgets_when_told(&[
        "--backend=redis",
        "--redis-url",
        &redis.url(),
        "--redis-timeout=5000",
    ])
    .await;
}

#[tokio::test]
async fn a_long_query_is_handed_on_whole() {
    let origin = Origin::serving(|_, req| async {
        let length = req.headers().get("content-length").cloned();
        let body = req.into_body().collect().await.unwrap().to_bytes();
        let sum = body.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        let told = format!("{length:?} {} {sum}", body.len());
        respond(200, &[("cache-control", "max-age=60")], told)
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let long: Vec<u8> = (0..300_000).map(|n: u32| (n % 251) as u8).collect();
    let sum = long.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    for _ in 0..2 {
        let req = request("QUERY", "/x", &[JSON], long.clone());
        let answer = larder.send(req).await;
        assert_eq!(answer.text(), format!("Some(\"300000\") 300000 {sum}"));
        assert_eq!(
            answer.header("cache-status"),
            "larder; fwd=bypass; detail=query-too-large"
        );
    }
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn a_chunked_query_is_the_same_query() {
    let origin = answering().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    ask(&larder, "[1,2]").await;
    until_hit(&larder, "[1,2]").await;
    let bytes = "QUERY /x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
    let answer = larder.talk(bytes.as_bytes()).await.hear("[1,2]").await;
    assert!(answer.contains("x-cache: HIT"), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_amid_its_query_leaves_nothing_behind() {
    let origin = answering().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let half = "QUERY /x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
                Content-Length: 6\r\n\r\n[1";
    drop(larder.talk(half.as_bytes()).await);
    let (hit, answer) = ask(&larder, "[1]").await;
    assert!(!hit && answer.ends_with("QUERY [1]"), "{answer}");
    until_hit(&larder, "[1]").await;
    let (hit, answer) = ask(&larder, "[1").await;
    assert!(!hit && answer.ends_with("QUERY [1"), "{answer}");
}

#[tokio::test]
async fn it_is_counted_and_told_as_any_request() {
    let origin = answering().await;
    let larder = Larder::before(&origin.url(), &["--debug-headers"]).await;
    ask(&larder, "[1]").await;
    until_hit(&larder, "[1]").await;
    let req = request("QUERY", "/x", &[JSON], "[1]");
    let answer = larder.send(req).await;
    let key = format!("key=\"QUERY {}/x ", origin.url());
    assert!(answer.header("cache-status").contains(&key), "{answer:?}");
    let figures = larder.get("/metrics").await.json();
    assert!(figures["metrics"]["cache_hits"].as_u64() >= Some(2));
    assert!(figures["metrics"]["cache_misses"].as_u64() >= Some(1));
}
