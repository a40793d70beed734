//! A Redis that is lost, one way or another, and comes back.

use super::*;
use crate::support::redis::{Cluster, Redis, Relay, Watched, until};

/// Breaks Redis and heals it, while larder is used.
async fn bears(
    redis: &mut Redis,
    mut site: Site,
    breaks: impl FnOnce(&mut Redis),
    heals: impl FnOnce(&mut Redis),
    reason: &str,
) {
    site.until_hit("/known/0").await;
    assert_eq!(site.cache().await, "ok");
    breaks(redis);
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    assert_eq!(site.figure("redis_up").await, 0);
    site.use_it(2).await;
    heals(redis);
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    assert_eq!(site.figure("redis_up").await, 1);
    site.until_hit("/known/0").await;
    site.lost_once(reason).await;
}

#[tokio::test]
async fn killed_and_started_again() {
    let mut redis = Redis::start();
    let site = Site::on(&redis.url()).await;
    bears(&mut redis, site, Redis::kill, Redis::restart, "").await;
}

#[tokio::test]
async fn hung_for_a_while() {
    let mut redis = Redis::start();
    let site = Site::on(&redis.url()).await;
    let (breaks, heals) = (
        |redis: &mut Redis| redis.pause(),
        |redis: &mut Redis| redis.resume(),
    );
    bears(&mut redis, site, breaks, heals, "").await;
}

#[tokio::test]
async fn made_a_replica_that_is_not_written_to() {
    let mut redis = Redis::start();
    let other = Redis::start();
    let site = Site::on(&redis.url()).await;
    let breaks = |redis: &mut Redis| redis.follow(other.port());
    let heals = |redis: &mut Redis| drop(redis.command(&["REPLICAOF", "NO", "ONE"]));
    bears(&mut redis, site, breaks, heals, "READONLY").await;
}

/// It is not there at first, and found as soon as it is.
async fn is_found_later(url: &str, starts: impl FnOnce(), reason: &str) {
    let mut site = Site::on(url).await;
    assert_eq!(site.cache().await, "degraded");
    site.use_it(1).await;
    starts();
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    site.until_hit("/known/0").await;
    site.lost_once(reason).await;
}

#[tokio::test]
async fn down_at_the_start() {
    let mut redis = Redis::start();
    redis.kill();
    is_found_later(&redis.url(), || redis.restart(), "refused").await;
}

#[tokio::test]
async fn a_cluster_that_is_down_at_the_start() {
    let mut cluster = Cluster::start();
    cluster.nodes.iter_mut().for_each(Redis::kill);
    let url = cluster.url();
    let starts = || {
        cluster.nodes.iter_mut().for_each(Redis::restart);
        cluster.settle(3);
    };
    is_found_later(&url, starts, "").await;
}

#[tokio::test]
async fn sentinels_that_are_down_at_the_start() {
    let mut watched = Watched::start();
    watched.kill();
    is_found_later(&watched.url(), || watched.restart(), "").await;
}

/// Larder is killed itself, and what was stored is there.
async fn survives_us(url: &str) {
    // What is a hit is in Redis then, and a machine that is busy loses nothing.
    let mut site = Site::with(url, &["--near=off", "--redis-timeout=5000"]).await;
    for n in 0..10 {
        site.until_hit(&format!("/known/{n}")).await;
    }
    let asked = site.origin.asked();
    site.start_again().await;
    soon(async { while site.cache().await != "ok" {} }).await;
    for n in 0..10 {
        assert!(site.get(&format!("/known/{n}")).await.is_hit());
    }
    assert_eq!(site.origin.asked(), asked);
}

#[tokio::test]
async fn what_is_stored_survives_us() {
    survives_us(&Redis::start().url()).await;
    survives_us(&Cluster::start().url()).await;
    survives_us(&Watched::start().url()).await;
}

#[tokio::test]
async fn not_letting_us_in_at_first() {
    let redis = Redis::start();
    redis.command(&[
        "ACL", "SETUSER", "keeper", "on", ">right", "~*", "&*", "+@all",
    ]);
    let url = redis.url().replace("//", "//keeper:wr0ng@");
    let mut site = Site::on(&url).await;
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    redis.command(&["ACL", "SETUSER", "keeper", ">wr0ng"]);
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    site.until_hit("/known/0").await;
    site.lost_once("uthenticat").await;
    assert_eq!(site.said("wr0ng"), 0);
}

/// Its user may do less than it takes, for a while: nothing is kept, and that is not to go unnoticed.
#[tokio::test]
async fn not_letting_us_do_all_that_it_takes() {
    for command in ["getrange", "set", "strlen", "eval", "hmget"] {
        let mut redis = Redis::start();
        redis.command(&[
            "ACL", "SETUSER", "keeper", "on", ">right", "~*", "&*", "+@all",
        ]);
        let url = redis.url().replace("//", "//keeper:right@");
        let site = Site::on(&url).await;
        let let_us = |redis: &mut Redis, sign: &str| {
            let rule = format!("{sign}{command}");
            redis.command(&["ACL", "SETUSER", "keeper", &rule]);
        };
        let (breaks, heals) = (
            |redis: &mut Redis| let_us(redis, "-"),
            |redis: &mut Redis| let_us(redis, "+"),
        );
        bears(&mut redis, site, breaks, heals, "").await;
    }
}

#[tokio::test]
async fn connections_that_break() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let site = Site::on(&relay.url()).await;
    for round in 0..5 {
        site.until_hit("/known/0").await;
        relay.reset();
        site.use_it(round).await;
    }
    assert!(site.until_cache_is("ok").await < HEALS_WITHIN);
}

#[tokio::test]
async fn connections_that_nothing_comes_through() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let mut site = Site::on(&relay.url()).await;
    site.until_hit("/known/0").await;
    relay.freeze();
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    site.until_hit("/known/0").await;
    site.lost_once("").await;
}

#[tokio::test]
async fn full() {
    let redis = Redis::start();
    let mut site = Site::on(&redis.url()).await;
    site.until_hit("/known/0").await;
    redis.set("maxmemory", "1");
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    assert_eq!(
        (
            site.figure("redis_full").await,
            site.figure("redis_up").await
        ),
        (1, 1)
    );
    site.use_it(2).await;
    assert!(site.get("/known/0").await.is_hit(), "it is there still");
    redis.set("maxmemory", "0");
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    site.until_hit("/now").await;
    site.larder.event("redis has room again").await;
    assert_eq!(site.said("redis is full"), 1, "{}", site.larder.text);
    assert_eq!(site.said("redis lost"), 0);
}

#[tokio::test]
async fn a_primary_that_fails_over() {
    let mut watched = Watched::start();
    let mut site = Site::on(&watched.url()).await;
    site.until_hit("/known/0").await;
    watched.primary.kill();
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    until(|| watched.has_failed_over());
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    site.until_hit("/known/0").await;
    site.lost_once("").await;
    drop(watched.replica);
}

#[tokio::test]
async fn a_node_of_a_cluster() {
    let mut cluster = Cluster::start();
    let mut site = Site::on(&cluster.url()).await;
    site.until_hit("/known/0").await;
    cluster.nodes[1].kill();
    site.use_it(1).await;
    site.until_cache_is("degraded").await;
    cluster.nodes[1].restart();
    cluster.settle(3);
    let took = site.until_cache_is("ok").await;
    assert!(took < HEALS_WITHIN, "{took:?}");
    for n in 0..20 {
        site.until_hit(&format!("/known/{n}")).await;
    }
    site.lost_once("").await;
}
