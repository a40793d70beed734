//! How often Redis is waited for. Commands that are under way at the same time are one round trip.

use std::{collections::HashSet, future::Future, sync::atomic::AtomicU64};

use larder::{cache::Manner, policy::Purge, store::RedisConfig};
use tokio::time::sleep;

use super::{
    coherence::{Instance, NEVER, origin, url},
    redis::{config, soon},
    *,
};
use crate::support::{
    redis::{Redis, Relay, Reply},
    script::{Script, respond},
};

/// How often Redis ran these commands so far.
fn ran(redis: &Redis, commands: [&str; 2]) -> [u64; 2] {
    let Reply::Text(info) = redis.command(&["INFO", "commandstats"]).remove(0) else {
        panic!("no info");
    };
    let info = String::from_utf8(info).unwrap();
    commands.map(|command| {
        let start = format!("cmdstat_{command}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        let calls = line.and_then(|line| line.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    })
}

/// The same, when it does not rise any more: a new listener sends itself a message.
async fn settled(redis: &Redis, commands: [&str; 2]) -> [u64; 2] {
    soon(async {
        loop {
            let before = ran(redis, commands);
            sleep(Duration::from_millis(300)).await;
            if ran(redis, commands) == before {
                return before;
            }
        }
    })
    .await
}

#[tokio::test]
async fn round_trips_are_few() {
    let redis = Redis::start();
    let version = Arc::new(AtomicU64::new(1));
    let origin = origin(&version);
    let one = Instance::new(config(&redis), Some(NEVER), &origin).await;
    one.warm("/a").await;
    let two = Instance::new(config(&redis), Some(NEVER), &origin).await;
    two.get("/b").await; // It knows the journal from here on, and has sent its first message.
    two.warm("/b").await;
    let commands = ["getrange", "eval"];

    let before = settled(&redis, commands).await;
    assert!(two.get("/a").await.1, "a far hit");
    let after = ran(&redis, commands);
    // Two at once: the script that would take the lease looks, too.
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 1]);

    for _ in 0..10 {
        assert!(two.get("/a").await.1, "a near hit");
    }
    assert_eq!(ran(&redis, commands), after);

    let silent = Script::numbered(&[("cache-control", "no-store")]);
    let three = Instance::new(config(&redis), Some(NEVER), &silent).await;
    three.get("/first").await;
    let before = settled(&redis, commands).await;
    assert!(!three.get("/missed").await.1, "a miss");
    let after = settled(&redis, commands).await;
    // The same; and the lease is ended, when the response has gone out.
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 2]);
}

/// How often Redis was asked for a record so far, by a script or not.
fn reads(redis: &Redis) -> u64 {
    ran(redis, ["getrange", "eval"])[0]
}

/// Asks while nothing that Redis answers comes through until it was asked for `reads` records; what
/// it does later it does for the next one.
async fn in_one_trip<T>(
    redis: &Redis,
    relay: &Relay,
    wanted: u64,
    asking: impl Future<Output = T>,
) -> T {
    let before = settled(redis, ["getrange", "eval"]).await[0];
    relay.withhold_after(0);
    let asked = async {
        while reads(redis) < before + wanted {
            sleep(Duration::from_millis(1)).await;
        }
        relay.let_through();
    };
    let (answer, ()) = soon(async { tokio::join!(asking, asked) }).await;
    answer
}

async fn through(relay: &Relay, origin: &Script) -> Instance {
    // Whoever gives up would go on without.
    let far = RedisConfig::new(relay.url()).timeout(Duration::from_secs(60));
    let instance = Instance::new(far, Some(NEVER), origin).await;
    instance.get("/first").await; // It knows the journal from here on.
    instance
}

#[tokio::test]
async fn a_miss_of_a_url_with_a_query_is_one_round_trip() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let origin = origin(&Arc::new(AtomicU64::new(1)));
    let one = through(&relay, &origin).await;
    // Two for the URL, as a script looks, too, and one for the rule of its path.
    let got = in_one_trip(&redis, &relay, 3, one.get("/a?b")).await;
    assert_eq!(got, ("1".to_owned(), false));
}

#[tokio::test]
async fn a_hit_that_is_a_variant_is_one_round_trip() {
    const VARIED: &[(&str, &str)] = &[
        ("cache-control", "max-age=600"),
        ("vary", "x-tenant, accept, Accept-Language"),
    ];
    let long = "x".repeat(2000);
    let all: &[&[(&str, &str)]] = &[
        &[],
        &[("accept", "text/html")],
        &[("x-tenant", "& =%\"'"), ("accept", "TEXT/html")],
        &[("accept-language", "de;q=0.5, en"), ("x-tenant", "")],
        &[("x-other", &long), ("x-tenant", "a"), ("x-tenant", "b")],
        &[("x-tenant", &long)],
    ];
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let origin = Script::numbered(VARIED);
    let one = Instance::new(config(&redis), None, &origin).await;
    let mut bodies = Vec::new();
    for fields in all {
        bodies.push(stored(&one, "/a", fields).await);
    }
    let apart: HashSet<&String> = bodies.iter().collect();
    assert_eq!(apart.len(), all.len());
    for (fields, body) in all.iter().zip(&bodies) {
        // One that has not seen the mark.
        let two = through(&relay, &origin).await;
        let hit = match fields.iter().map(|(_, value)| value.len()).sum::<usize>() {
            // A script looks for the mark, reads it, and the variant; and then there is the mark.
            ..1000 => in_one_trip(&redis, &relay, 4, two.get_with("/a", fields)).await,
            _ => two.get_with("/a", fields).await,
        };
        assert_eq!(hit, (body.clone(), true), "{fields:?}");
        assert_eq!(two.get_with("/a", fields).await, hit, "in memory");
    }
}

const VARIED: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("vary", "accept")];

/// Asks until it is stored.
async fn stored(instance: &Instance, path: &str, fields: &[(&str, &str)]) -> String {
    soon(async {
        loop {
            if let (body, true) = instance.get_with(path, fields).await {
                return body;
            }
            // Not asked again before: what comes twice would be stored twice.
            while instance.flights() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_variant_that_is_not_there_is_a_miss_after_one_round_trip() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    // What is not stored is not read for that either.
    let origin = Script::at_once(|n, req| match req.headers.get("accept") {
        Some(accept) if accept == "b" => respond(200, &[("cache-control", "no-store")], "b"),
        _ => respond(200, VARIED, n.to_string()),
    });
    let one = Instance::new(config(&redis), None, &origin).await;
    stored(&one, "/a", &[("accept", "a")]).await;
    let two = through(&relay, &origin).await;
    let before = settled(&redis, ["getrange", "eval"]).await[0];
    // A script looks for the mark, reads it, and the variant; and then there is the mark.
    let asking = two.get_with("/a", &[("accept", "b")]);
    let got = in_one_trip(&redis, &relay, 4, asking).await;
    assert_eq!(got, ("b".to_owned(), false));
    let after = settled(&redis, ["getrange", "eval"]).await[0];
    assert_eq!(after - before, 4, "it is not looked for again");
}

#[tokio::test]
async fn a_variant_that_was_purged_is_stored_anew() {
    let redis = Redis::start();
    let origin = Script::numbered(VARIED);
    let fields = [("accept", "a")];
    // Nobody has the mark in memory.
    let one = Instance::new(config(&redis), None, &origin).await;
    let gone = stored(&one, "/a", &fields).await;
    let purge = Purge::Uri(url("/a"));
    one.purge(&purge, Manner::Forget).await;
    assert_ne!(stored(&one, "/a", &fields).await, gone);
}

#[tokio::test]
async fn a_hit_for_head_or_a_range_is_one_round_trip() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let origin = Script::numbered(VARIED);
    let one = Instance::new(config(&redis), None, &origin).await;
    let accept = ("accept", "a");
    let body = stored(&one, "/a", &[accept]).await;
    let range = ("range", "bytes=0-0");
    for (method, fields, expected) in [
        ("HEAD", &[accept][..], ""),
        ("GET", &[accept, range], &body[..1]),
    ] {
        let two = through(&relay, &origin).await;
        let got = in_one_trip(&redis, &relay, 4, two.ask(method, "/a", fields)).await;
        assert_eq!(got, (expected.to_owned(), true), "{method}");
    }
}

#[tokio::test]
async fn a_hit_for_a_query_of_which_not_all_matters_is_one_round_trip() {
    const RULE: &[(&str, &str)] = &[
        ("cache-control", "max-age=600"),
        ("no-vary-search", "params=(\"x\")"),
    ];
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let origin = Script::numbered(RULE);
    let one = Instance::new(config(&redis), None, &origin).await;
    for path in ["/s?a=1", "/s?a=2"] {
        stored(&one, path, &[]).await;
    }
    let two = through(&relay, &origin).await;
    assert!(two.get("/s?a=1&x=1").await.1, "it learns the rule");
    let calls = origin.calls();
    // Two for the URL, and two for all that are the same.
    let got = in_one_trip(&redis, &relay, 4, two.get("/s?a=2&x=2")).await;
    assert!(got.1);
    let got = in_one_trip(&redis, &relay, 4, two.get("/s?a=3&x=3")).await;
    assert_eq!(got, ((calls + 1).to_string(), false));
}

#[tokio::test]
async fn what_is_stored_for_the_very_url_comes_first() {
    const PLAIN: &[(&str, &str)] = &[("cache-control", "max-age=600")];
    const RULE: &[(&str, &str)] = &[PLAIN[0], ("no-vary-search", "params=(\"x\")")];
    let redis = Redis::start();
    let origin = Script::at_once(|_, req| {
        let query = req.uri.query().unwrap().to_owned();
        respond(200, if query == "a=1&x=1" { PLAIN } else { RULE }, query)
    });
    let one = Instance::new(config(&redis), None, &origin).await;
    stored(&one, "/s?a=1&x=1", &[]).await;
    stored(&one, "/s?a=1", &[]).await;
    let two = Instance::new(config(&redis), Some(NEVER), &origin).await;
    stored(&two, "/s?a=2", &[]).await; // It knows the rule from here on.
    for (asked, answered) in [("a=1&x=2", "a=1"), ("a=1&x=1", "a=1&x=1")] {
        let got = two.get(&format!("/s?{asked}")).await;
        assert_eq!(got, (answered.to_owned(), true));
    }
}

/// There is no relay to a cluster's nodes, whose addresses it tells: what it runs is counted.
#[tokio::test]
async fn a_variant_is_with_its_mark_in_a_cluster() {
    let redis = Redis::cluster();
    let server = redis.url().replace("redis://", "redis-cluster://");
    let config = RedisConfig::new(server).timeout(Duration::from_secs(60));
    let origin = Script::numbered(VARIED);
    let one = Instance::new(config.clone(), None, &origin).await;
    for path in ["/a", "/{b}c", "/}"] {
        let body = stored(&one, path, &[("accept", "a")]).await;
        let two = Instance::new(config.clone(), None, &origin).await;
        two.get("/first").await;
        let before = settled(&redis, ["getrange", "eval"]).await;
        let hit = two.get_with(path, &[("accept", "a")]).await;
        assert_eq!(hit, (body, true));
        let after = ran(&redis, ["getrange", "eval"]);
        assert_eq!([after[0] - before[0], after[1] - before[1]], [4, 1]);
    }
}

#[tokio::test]
async fn who_has_something_validated_waits_for_redis_once() {
    const STALE: &[(&str, &str)] = &[("cache-control", "max-age=0"), ("etag", "\"v\"")];
    let redis = Redis::start();
    let relay = Arc::new(Relay::to(redis.port()).await);
    let between = Arc::clone(&relay);
    let origin = Script::at_once(
        move |_, req| match req.headers.contains_key("if-none-match") {
            true => {
                between.withhold_after(0);
                respond(304, STALE, "")
            }
            false => respond(200, STALE, "body"),
        },
    );
    let one = through(&relay, &origin).await;
    let stored = || redis.command(&["EXISTS", "larder:{GET http://api.example/a}"]);
    one.get("/a").await;
    soon(async {
        while stored() != [Reply::Number(1)] {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let before = origin.calls();
    let (body, _) = soon(one.get("/a")).await;
    assert_eq!((&*body, origin.calls()), ("body", before + 1));
    relay.let_through();
}
