//! Large bodies that Redis loses while they are read: the rest comes from the origin, if it has the
//! same body still, and from nowhere if not.

use http::{
    Response,
    header::{CACHE_CONTROL, IF_NONE_MATCH, RANGE},
};
use larder::store::{MemoryStore, RedisConfig, TieredStore};
use tokio::task::JoinSet;

use super::{
    bodies::{CHUNK, Instance, LARGE, begun, body_name, data, drained, is_hit},
    coherence::{NEVER, url},
    redis::{connect, soon},
    *,
};
use crate::support::{
    redis::Redis,
    script::{Body, Script, respond},
};

const FIELDS: [(&str, &str); 1] = [("cache-control", "max-age=600")];

fn config(redis: &Redis) -> RedisConfig {
    RedisConfig::new(redis.url()).timeout(Duration::from_secs(1))
}

/// An origin whose first answer has one body, and all others this one.
fn then(other: Vec<u8>) -> Script {
    Script::at_once(move |n, _| match n {
        1 => respond(200, &FIELDS, data(1)),
        _ => respond(200, &FIELDS, other.clone()),
    })
}

/// A hit that comes from Redis. It may be lost for a moment yet, after what was done to it.
async fn found(one: &Instance) -> Response<Body> {
    soon(async {
        loop {
            one.warm("/a").await;
            let res = one.send("/a", &[]).await;
            if is_hit(&res) {
                return res;
            }
        }
    })
    .await
}

fn lose_body(redis: &mut Redis) {
    redis.command(&["DEL", &body_name("/a")]);
}

/// What comes of a body that is lost once it has begun, and whether that is all.
async fn lost_midway(
    mut res: Response<Body>,
    redis: &mut Redis,
    lose: fn(&mut Redis),
) -> (Vec<u8>, bool) {
    let mut all = begun(&mut res).await.to_vec();
    lose(redis);
    let (rest, whole) = drained(res).await;
    all.extend(rest);
    (all, whole)
}

#[tokio::test]
async fn what_redis_loses_comes_from_the_origin() {
    let (mut redis, origin) = (Redis::start(), then(data(1)));
    let one = Instance::on(config(&redis), &origin).await;
    let losses: [fn(&mut Redis); 6] = [
        Redis::kill,
        |redis| redis.pause(),
        Redis::restart,
        lose_body,
        |redis| drop(redis.command(&["FLUSHALL"])),
        |redis| drop(redis.command(&["SETRANGE", &body_name("/a"), "1000000", "xyz"])),
    ];
    for (n, lose) in losses.into_iter().enumerate() {
        let res = found(&one).await;
        let calls = origin.calls();
        let (all, whole) = lost_midway(res, &mut redis, lose).await;
        assert!(whole && all == data(1), "{n}");
        assert_eq!(origin.calls(), calls + 1, "{n}");
        match n {
            0 => redis.restart(),
            1 => redis.resume(),
            _ => {}
        }
    }
}

/// Whether the origin was only asked for what has changed, each time it was asked for a body that is
/// lost once it was found.
async fn asked_when_lost(origin: &Script) -> Vec<bool> {
    // What is deleted may be written again: by what was asked for before.
    let losses: [fn(&mut Redis); 2] = [Redis::kill, |redis| redis.pause()];
    let mut asked = Vec::new();
    for lose in losses {
        let mut redis = Redis::start();
        let one = Instance::on(config(&redis), origin).await;
        one.warm("/a").await;
        let calls = origin.calls();
        let res = one.send("/a", &[]).await;
        assert_eq!(res.headers()["etag"], "\"v\"");
        let (all, whole) = lost_midway(res, &mut redis, lose).await;
        assert!(whole && all == data(1));
        let fields = origin.all().split_off(calls);
        asked.extend(
            fields
                .iter()
                .map(|fields| fields.contains_key(IF_NONE_MATCH)),
        );
    }
    asked
}

/// An origin that has one body, and knows it by its tag.
fn tagged(directives: &'static str) -> Script {
    Script::at_once(move |_, req| {
        let fields = [(CACHE_CONTROL.as_str(), directives), ("etag", "\"v\"")];
        match req.headers.get(IF_NONE_MATCH) {
            Some(tag) if tag == "\"v\"" => respond(304, &fields, ""),
            _ => respond(200, &fields, data(1)),
        }
    })
}

#[tokio::test]
async fn what_was_just_validated_goes_on_too() {
    let asked = asked_when_lost(&tagged("no-cache")).await;
    assert_eq!(asked, [true, false].repeat(2));
}

#[tokio::test]
async fn what_is_stale_and_being_fetched_goes_on_too() {
    let asked = asked_when_lost(&tagged("max-age=0, stale-while-revalidate=600")).await;
    assert!(asked.contains(&false));
}

#[tokio::test]
async fn what_stands_in_for_an_error_goes_on_too() {
    let fields = [
        ("cache-control", "max-age=0, stale-if-error=600"),
        ("etag", "\"v\""),
    ];
    let origin = Script::at_once(move |_, req| match req.headers.get(IF_NONE_MATCH) {
        Some(_) => respond(500, &[], ""),
        None => respond(200, &fields, data(1)),
    });
    assert_eq!(asked_when_lost(&origin).await, [true, false].repeat(2));
}

#[tokio::test]
async fn many_who_lose_it_ask_once() {
    let (mut redis, origin) = (Redis::start(), then(data(1)));
    Instance::on(config(&redis), &origin).await.warm("/a").await;
    let near = MemoryStore::new(512 << 20);
    let store = TieredStore::with_near(connect(config(&redis)).await, near, NEVER);
    let two = Instance::with(store, &origin);
    let calls = origin.calls();
    let mut reading = Vec::new();
    for _ in 0..20 {
        let mut res = two.send("/a", &[]).await;
        assert!(is_hit(&res));
        reading.push((begun(&mut res).await.to_vec(), res));
    }
    redis.kill();
    let mut all = JoinSet::new();
    for (mut first, res) in reading {
        all.spawn(async move {
            let (rest, whole) = drained(res).await;
            first.extend(rest);
            assert!(whole && first == data(1));
        });
    }
    all.join_all().await;
    assert_eq!(origin.calls(), calls + 1);
}

#[tokio::test]
async fn ranges_of_it_go_on_too() {
    let (mut redis, origin) = (Redis::start(), then(data(1)));
    let one = Instance::on(config(&redis), &origin).await;
    let whole = data(1);
    let several = [(10, 20), (3_000_000, 3_000_010), (LARGE - 5, LARGE)];
    for (range, parts) in [
        ("bytes=100000-2000000", &[(100_000, 2_000_001)][..]),
        ("bytes=-300000", &[(LARGE - 300_000, LARGE)]),
        ("bytes=10-19,3000000-3000009,-5", &several),
    ] {
        one.warm("/a").await;
        let calls = origin.calls();
        let res = one.send("/a", &[(RANGE.as_str(), range)]).await;
        assert!(is_hit(&res) && res.status() == 206, "{range}");
        let length: usize = res.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        lose_body(&mut redis);
        let (body, complete) = drained(res).await;
        assert!(complete && body.len() == length, "{range}");
        for &(begin, end) in parts {
            let part = &whole[begin..end];
            let is_there = match parts.len() {
                1 => body == part,
                _ => body.windows(part.len()).any(|bytes| bytes == part),
            };
            assert!(is_there, "{range}");
        }
        assert_eq!(origin.calls(), calls + 1, "{range}");
    }
}

#[tokio::test]
async fn a_part_that_is_stored_goes_on_too() {
    let (redis, whole) = (Redis::start(), data(1));
    let (first, last) = (1_000_000, 3_000_000);
    let told = format!("bytes {first}-{last}/{LARGE}");
    let part = whole[first..=last].to_vec();
    let (sent, expected) = (part.clone(), whole.clone());
    let origin = Script::at_once(move |_, req| match req.headers.contains_key(RANGE) {
        true => {
            let fields = [FIELDS[0], ("etag", "\"v\""), ("content-range", &*told)];
            respond(206, &fields, sent.clone())
        }
        false => respond(200, &[FIELDS[0], ("etag", "\"v\"")], expected.clone()),
    });
    let one = Instance::on(config(&redis), &origin).await;
    let range = format!("bytes={first}-{last}");
    let res = soon(async {
        loop {
            let res = one.send("/a", &[(RANGE.as_str(), &range)]).await;
            if is_hit(&res) {
                return res;
            }
            assert!(drained(res).await.1);
        }
    })
    .await;
    let calls = origin.calls();
    redis.command(&["FLUSHALL"]);
    let (body, complete) = drained(res).await;
    assert!(complete && body == part);
    assert_eq!(origin.calls(), calls + 1);
}

#[tokio::test]
async fn what_the_origin_has_instead_is_never_mixed_in() {
    let old = data(1);
    let (mut longer, mut changed) = (old.clone(), old.clone());
    longer.extend(b"more");
    changed[3 << 20] ^= 1;
    // What the origin has by now, and how much of it the client may get.
    for (n, (now, same)) in [
        (data(2), 0),
        (changed, 3 << 20),
        (old[..3 << 20].to_vec(), 3 << 20),
        (Vec::new(), 0),
        (longer, LARGE),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut redis, origin) = (Redis::start(), then(now));
        let one = Instance::on(config(&redis), &origin).await;
        one.warm("/a").await;
        let res = one.send("/a", &[]).await;
        let (all, whole) = lost_midway(res, &mut redis, lose_body).await;
        assert_eq!(whole, same == LARGE, "{n}");
        assert!(old.starts_with(&all), "{n}");
        // The second chunk was on its way already.
        assert!(
            (same..=same.max(2 * CHUNK)).contains(&all.len()),
            "{n}: {}",
            all.len()
        );
        assert_eq!(origin.calls(), 2, "{n}");
    }
}

#[tokio::test]
async fn an_origin_that_has_nothing_more_to_say_ends_it() {
    let origin = Script::at_once(|n, _| match n {
        1 => respond(200, &FIELDS, data(1)),
        _ => respond(503, &[], "later"),
    });
    let mut redis = Redis::start();
    let one = Instance::on(config(&redis), &origin).await;
    one.warm("/a").await;
    let res = one.send("/a", &[]).await;
    let (all, whole) = lost_midway(res, &mut redis, lose_body).await;
    assert!(!whole && data(1).starts_with(&all));
}

#[tokio::test]
async fn who_wants_only_what_is_cached_has_nobody_asked() {
    let (mut redis, origin) = (Redis::start(), then(data(1)));
    let one = Instance::on(config(&redis), &origin).await;
    one.warm("/a").await;
    let only = [(CACHE_CONTROL.as_str(), "only-if-cached")];
    let res = one.send("/a", &only).await;
    assert!(is_hit(&res));
    let (all, whole) = lost_midway(res, &mut redis, lose_body).await;
    assert!(!whole && data(1).starts_with(&all));
    assert_eq!(origin.calls(), 1);
    assert!(get(&one.far, &url("/a")).await.is_none());
}
