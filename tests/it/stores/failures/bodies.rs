//! A large body that is read slowly, while Redis is lost: it comes whole all the same.

use http_body_util::BodyExt;

use super::*;
use crate::support::{
    proxy::{open, request},
    redis::Redis,
    script::respond,
};

/// More than what lies between Redis and a client that does not read.
const LARGE: usize = 24 << 20;

async fn it_comes_whole(lose: impl FnOnce(&mut Redis)) {
    let mut redis = Redis::start();
    let whole: Vec<u8> = (0..LARGE).map(|n| (n % 251) as u8).collect();
    let sent = whole.clone();
    let origin = Origin::at_once(move |_, req| match req.uri().path() {
        "/large" => respond(200, &[], sent.clone()),
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
    let site = Site { origin, larder };
    let asked = |site: &Site| {
        let seen = site.origin.seen();
        seen.iter().filter(|req| req.uri.path() == "/large").count()
    };
    let is_kept = || !redis.command(&["KEYS", "larder:GET*large"]).is_empty();
    soon(async { while !(site.larder.get("/large").await.is_hit() && is_kept()) {} }).await;
    let before = asked(&site);

    let mut res = open(site.larder.address, request("GET", "/large", &[], "")).await;
    assert_eq!(res.headers()["x-cache"], "HIT");
    let first = soon(res.body_mut().frame()).await.unwrap().unwrap();
    let mut all = first.into_data().unwrap().to_vec();
    lose(&mut redis);
    site.until_cache_is("degraded").await;
    let rest = soon(res.into_body().collect()).await.unwrap();
    all.extend_from_slice(&rest.to_bytes());
    assert!(all == whole);
    assert_eq!(asked(&site), before + 1);
}

#[tokio::test]
async fn while_redis_is_killed() {
    it_comes_whole(Redis::kill).await;
}

#[tokio::test]
async fn while_redis_hangs() {
    it_comes_whole(|redis| redis.pause()).await;
}
