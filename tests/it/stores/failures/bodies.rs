//! A large body that is read slowly, while Redis is lost: it comes whole all the same.

use http::{HeaderMap, header::IF_NONE_MATCH};
use http_body_util::BodyExt;

use super::*;
use crate::support::{
    proxy::{open, request},
    redis::Redis,
    script::respond,
};

/// More than what lies between Redis and a client that does not read.
const LARGE: usize = 24 << 20;

fn is_uri_miss(fields: &HeaderMap) -> bool {
    fields["cache-status"]
        .to_str()
        .unwrap()
        .contains("uri-miss")
}

/// `fields` are the origin's, and `requests` are those for it that one comes to.
async fn it_comes_whole(
    fields: &'static [(&str, &str)],
    requests: usize,
    lose: impl FnOnce(&mut Redis),
) {
    let mut redis = Redis::start();
    let whole: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let sent = whole.clone();
    let origin = Origin::at_once(move |_, req| match req.uri().path() {
        "/large" if req.headers().contains_key(IF_NONE_MATCH) => respond(304, fields, ""),
        "/large" => respond(200, fields, sent.clone()),
        path => respond(200, &[], format!("{path:?}")),
    });
    let origin = origin.await;
    let (to, url) = (origin.url(), format!("--redis-url={}", redis.url()));
    let flags = [
        "--backend=redis",
        "--near=off",
        "--ttl=600",
        "--memory=256MiB",
        "--max-object=32MiB",
        "--redis-timeout=250",
        &url,
        "--origin",
        &to,
        LOG,
    ];
    let larder = Logged::start(&flags).await;
    let flags = Vec::new();
    let site = Site {
        origin,
        larder,
        flags,
    };
    let asked = |site: &Site| {
        let seen = site.origin.seen();
        seen.iter().filter(|req| req.uri.path() == "/large").count()
    };
    let is_kept = || !redis.command(&["KEYS", "larder:{GET*large}"]).is_empty();
    let is_there = |answer: &Answer| !is_uri_miss(&answer.headers);
    soon(async { while !(is_there(&site.larder.get("/large").await) && is_kept()) {} }).await;
    let before = asked(&site);

    let mut res = open(site.larder.address, request("GET", "/large", &[], "")).await;
    assert!(!is_uri_miss(res.headers()));
    let first = soon(res.body_mut().frame()).await.unwrap().unwrap();
    let mut all = first.into_data().unwrap().to_vec();
    lose(&mut redis);
    site.until_cache_is("degraded").await;
    let rest = soon(res.into_body().collect()).await.unwrap();
    all.extend_from_slice(&rest.to_bytes());
    assert!(all == whole);
    assert_eq!(asked(&site), before + requests);
}

#[tokio::test]
async fn while_redis_is_killed() {
    it_comes_whole(&[], 1, Redis::kill).await;
}

#[tokio::test]
async fn while_redis_hangs() {
    it_comes_whole(&[], 1, |redis| redis.pause()).await;
}

#[tokio::test]
async fn while_redis_is_killed_after_it_was_validated() {
    let fields = &[("cache-control", "no-cache"), ("etag", "\"v\"")];
    it_comes_whole(fields, 2, Redis::kill).await;
}
