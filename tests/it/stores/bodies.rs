//! Large bodies in Redis: read as they are consumed, whole or not at all, and never left behind.

use http::{Response, header::RANGE};
use http_body_util::BodyExt;
use larder::{
    cache::{Cache, CacheLayer, Manner, Purge, ResponseBody},
    policy::Policy,
    store::{MemoryStore, RedisConfig, RedisStore, TieredStore},
};
use tower::{Layer, Service, util::MapResponse};

use super::{
    coherence::{NEVER, url},
    redis::{config, connect, name, soon, store, time_left},
    *,
};
use crate::support::{
    redis::{Redis, Relay, Reply},
    script::{self, Body, Script, copied, respond},
};

pub(super) const CHUNK: usize = 64 << 10;

/// A body of many chunks, the last of them not full.
pub(super) const LARGE: usize = (4 << 20) + 1000;

/// A body of a few.
const MIDDLE: usize = 200_000;

/// How long a body may stay without its record, in milliseconds.
const GRACE: i64 = 60_000;

/// A cache on a Redis, without copies of its own unless it is told.
pub(super) struct Instance {
    layer: CacheLayer<TieredStore>,
    service: Cache<Script, TieredStore>,
    pub(super) far: RedisStore,
}

impl Instance {
    pub(super) async fn on(config: RedisConfig, origin: &Script) -> Self {
        let far = connect(config).await;
        Instance::with(TieredStore::without_near(far), origin)
    }

    pub(super) fn with(store: TieredStore, origin: &Script) -> Self {
        let far = store.far().clone();
        let layer = CacheLayer::builder(store).policy(Policy::origin()).build();
        let layer = layer.copy_bodies(copied);
        let service = layer.layer(origin.clone());
        Instance {
            layer,
            service,
            far,
        }
    }

    pub(super) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response<Body> {
        let erased = |res: Response<ResponseBody<Body>>| res.map(BodyExt::boxed_unsync);
        let req: http::Request<Body> = script::get(path, fields);
        let Ok(res) = MapResponse::new(self.service.clone(), erased)
            .call(req)
            .await;
        res
    }

    /// Whether it was a hit, the bytes, and whether they were all.
    pub(super) async fn read(&self, path: &str) -> (bool, Vec<u8>, bool) {
        let res = self.send(path, &[]).await;
        let hit = is_hit(&res);
        let (body, whole) = drained(res).await;
        (hit, body, whole)
    }

    /// Has a response in Redis: it is a hit before, while it is written there.
    pub(super) async fn warm(&self, path: &str) {
        soon(async {
            let is_there = async || {
                let looked = self.far.get(&url(path)).await;
                looked.unwrap_or_default().record.is_some()
            };
            while !is_there().await {
                self.read(path).await;
                tokio::task::yield_now().await; // Nothing of it need wait while Redis is lost.
            }
        })
        .await;
    }

    async fn purge(&self, purge: Purge) {
        let handle = self.layer.handle();
        handle.purge_by(&purge, Manner::Forget).await.unwrap();
    }
}

/// A body without content, once more.
pub(super) fn is_hit(res: &Response<Body>) -> bool {
    res.headers()["x-cache"] == "HIT"
}

/// What is read until it ends, and whether it ends well.
pub(super) async fn drained(res: Response<Body>) -> (Vec<u8>, bool) {
    let mut body = res.into_body();
    let mut all = Vec::new();
    while let Some(frame) = soon(body.frame()).await {
        match frame {
            Ok(frame) => all.extend_from_slice(&frame.into_data().unwrap()),
            Err(_) => return (all, false),
        }
    }
    (all, true)
}

/// The first bytes of a body; the rest can be drained.
pub(super) async fn begun(res: &mut Response<Body>) -> Bytes {
    let frame = soon(res.body_mut().frame()).await.unwrap().unwrap();
    frame.into_data().unwrap()
}

/// The body of the origin's answer of this number.
pub(super) fn data(number: usize) -> Vec<u8> {
    sized(number as u64, LARGE).body.data().unwrap().to_vec()
}

fn origin() -> Script {
    let fields = [("cache-control", "max-age=600")];
    Script::at_once(move |n, _| respond(200, &fields, data(n)))
}

/// The name of the body of a record.
pub(super) fn body_name(path: &str) -> String {
    format!("larder:{{{}}}:body", url(path).as_str())
}

fn record_name(path: &str) -> String {
    format!("larder:{{{}}}", url(path).as_str())
}

/// How long each body is kept that is there, in milliseconds.
fn bodies(redis: &Redis) -> Vec<i64> {
    let names = redis.command(&["KEYS", "*}:body*"]);
    let left = names.into_iter().map(|name| {
        let Reply::Text(name) = name else {
            panic!("{name:?}");
        };
        match redis.command(&[&b"PTTL"[..], &name])[..] {
            [Reply::Number(left)] => left,
            ref other => panic!("{other:?}"),
        }
    });
    left.collect()
}

#[tokio::test]
async fn the_first_bytes_go_out_before_the_last_have_come() {
    let (redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    one.warm("/a").await;
    let relay = Relay::to(redis.port()).await;
    let through = RedisConfig::new(relay.url()).timeout(Duration::from_secs(5));
    let two = Instance::on(through, &origin).await;
    two.read("/b").await; // It knows the journal from here on.
    relay.withhold_after(3 * CHUNK);
    let mut res = soon(two.send("/a", &[])).await;
    assert!(is_hit(&res));
    let mut all = begun(&mut res).await.to_vec();
    assert_eq!(all.len(), CHUNK);
    relay.let_through();
    let (rest, whole) = drained(res).await;
    all.extend(rest);
    assert!(whole && all == data(1));
}

#[tokio::test]
async fn what_is_not_all_there_is_a_miss() {
    let (redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    let body = body_name("/a");
    let damages: [&[&str]; 5] = [
        &["DEL", &body],
        &["APPEND", &body, "x"],
        &["SET", &body, "short", "PX", "1000"],
        &[
            "EVAL",
            "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'x')",
            "1",
            &body,
        ],
        &["COPY", &record_name("/b"), &body, "REPLACE"],
    ];
    one.warm("/b").await;
    for damage in damages {
        one.warm("/a").await;
        redis.command(damage);
        let calls = origin.calls();
        let (hit, body, whole) = one.read("/a").await;
        assert!(!hit && whole && body == data(calls + 1), "{damage:?}");
    }
    one.warm("/a").await;
}

#[tokio::test]
async fn what_is_damaged_breaks_off_where_the_origin_has_another_by_now() {
    let (redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    let body = body_name("/a");
    // In the token, in a chunk, in the last byte; the same chunk in another's place.
    let last = (LARGE - CHUNK + 64 * 4 + 16 - 1).to_string();
    let swap = "local chunk = redis.call('GETRANGE', KEYS[1], 16, 16 + 65539)
        return redis.call('SETRANGE', KEYS[1], 16 + 65540, chunk)";
    // Any byte may be there.
    let other = "local byte = string.byte(redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[1]))
        return redis.call('SETRANGE', KEYS[1], ARGV[1], string.char((byte + 1) % 256))";
    let damages: [&[&str]; 4] = [
        &["SETRANGE", &body, "3", "x"],
        &["SETRANGE", &body, "1000000", "xyz"],
        &["EVAL", other, "1", &body, &last],
        &["EVAL", swap, "1", &body],
    ];
    for damage in damages {
        one.warm("/a").await;
        redis.command(damage);
        let calls = origin.calls();
        let (hit, body, whole) = one.read("/a").await;
        assert!(hit && !whole, "{damage:?}");
        assert!(body.len() < LARGE && data(calls).starts_with(&body));
        assert_eq!(origin.calls(), calls + 1, "{damage:?}");
        let (_, body, whole) = one.read("/a").await;
        assert!(whole && body == data(calls + 1), "{damage:?}");
    }
}

#[tokio::test]
async fn what_is_lost_while_it_is_read_breaks_off_where_the_origin_has_another_by_now() {
    let (mut redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    let lose: [fn(&mut Redis); 3] = [
        |redis| drop(redis.command(&["DEL", &body_name("/a")])),
        |redis| drop(redis.command(&["FLUSHALL"])),
        Redis::restart,
    ];
    for lose in lose {
        one.warm("/a").await;
        let calls = origin.calls();
        let mut res = one.send("/a", &[]).await;
        let mut all = begun(&mut res).await.to_vec();
        lose(&mut redis);
        let (rest, whole) = drained(res).await;
        all.extend(rest);
        assert!(!whole && all.len() < LARGE && data(calls).starts_with(&all));
        assert_eq!(origin.calls(), calls + 1);
        let (_, body, whole) = one.read("/a").await;
        assert!(whole && body == data(calls + 1));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_got_over() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let config = RedisConfig::new(relay.url()).timeout(Duration::from_millis(200));
    let far = connect(config).await;
    let (key, whole) = (key("/a"), sized(1, LARGE));
    put(&far, &key, &whole).await;
    let found = soon(async {
        loop {
            if let Some(Record::Response(found)) = far.get(&key).await.unwrap_or_default().record {
                return found;
            }
        }
    })
    .await;
    relay.reset();
    assert_eq!(
        &soon(found.body.read()).await.unwrap(),
        whole.body.data().unwrap()
    );
}

#[tokio::test]
async fn who_reads_what_is_forgotten_or_replaced_reads_it_to_its_end() {
    let (redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    let far = store(&redis).await;
    for purge in [
        Some(Purge::Uri(url("/a"))),
        Some(Purge::Below(url("/"))),
        Some(Purge::All),
        None,
    ] {
        one.warm("/a").await;
        let old = data(origin.calls());
        let mut res = one.send("/a", &[]).await;
        let mut all = begun(&mut res).await.to_vec();
        match purge {
            Some(purge) => {
                one.purge(purge).await;
                assert!(!one.read("/a").await.0);
                one.warm("/a").await;
            }
            None => put(&far, &url("/a"), &sized(9, LARGE)).await,
        }
        let (rest, whole) = drained(res).await;
        all.extend(rest);
        assert!(whole && all == old);
    }
    assert_same(get(&far, &url("/a")).await, &sized(9, LARGE));
}

#[tokio::test]
async fn no_body_is_left_behind() {
    let redis = Redis::start();
    let store = store(&redis).await;
    let key = key("/a");
    let outlives = |record: i64| {
        let left = bodies(&redis);
        assert!(left.len() == 1 && left[0] > record, "{left:?} of {record}");
        assert!(left[0] <= record + GRACE + 1000, "{left:?} of {record}");
    };
    put(&store, &key, &sized(1, LARGE)).await;
    outlives(time_left(&redis, "/a"));
    let hour = Duration::from_secs(3600);
    assert!(refresh(&store, &key, EntryId(1), head("new"), hour).await);
    assert!(time_left(&redis, "/a") > 600_000);
    outlives(time_left(&redis, "/a"));
    let goes = |count: usize| {
        let left = bodies(&redis);
        assert_eq!(left.len(), count, "{left:?}");
        assert!(
            left.iter().all(|&left| (1..=GRACE).contains(&left)),
            "{left:?}"
        );
    };
    put(&store, &key, &entry(2, "small")).await;
    goes(1);
    put(&store, &key, &sized(3, LARGE)).await;
    let seen = store.get(&key).await.unwrap().seen;
    assert!(store.remove(&key).await.unwrap().any);
    goes(2);
    let refused = Record::Response(sized(4, LARGE));
    store.put(&key, refused, LONG, seen).await.unwrap();
    goes(2);
    put(&store, &key, &sized(5, LARGE)).await;
    assert!(time_left(&redis, "/a") > GRACE);
    let all = |_: &Key, _: &Front| Sweep::Remove;
    store.sweep("", None, &all).await.unwrap();
    goes(3);
    put(&store, &key, &sized(6, LARGE)).await;
    put(&store, &Key::parse("GET http://b/"), &sized(6, LARGE)).await;
    redis.command(&["DEL", &name("/a")]); // as if it were evicted
    store.clear().await.unwrap();
    goes(5);
}

#[tokio::test]
async fn clearing_leaves_the_bodies_of_others_alone() {
    let redis = Redis::start();
    let short = connect(config(&redis).prefix("lard")).await;
    let mut others = Vec::new();
    for prefix in ["lard:two", "lard::body", "la*"] {
        let other = connect(config(&redis).prefix(prefix)).await;
        put(&other, &key("/a"), &sized(1, LARGE)).await;
        others.push(other);
    }
    put(&short, &key("/a"), &sized(1, LARGE)).await;
    short.clear().await.unwrap();
    let left = bodies(&redis);
    assert_eq!(
        left.iter().filter(|&&left| left <= GRACE).count(),
        1,
        "{left:?}"
    );
    for other in others {
        assert_same(get(&other, &key("/a")).await, &sized(1, LARGE));
    }
}

#[tokio::test]
async fn a_range_reads_no_more_than_it_takes() {
    let (redis, origin) = (Redis::start(), origin());
    let one = Instance::on(config(&redis), &origin).await;
    one.warm("/a").await;
    let whole = data(1);
    let sent = || {
        let stats = redis.info("stats");
        let sent = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        sent.unwrap().parse::<usize>().unwrap()
    };
    for (first, last) in [
        (0, 9),
        (CHUNK - 5, CHUNK + 5),
        (2_000_000, 2_100_000),
        (LARGE - 7, LARGE - 1),
    ] {
        let before = sent();
        let range = format!("bytes={first}-{last}");
        let res = one.send("/a", &[(RANGE.as_str(), &range)]).await;
        assert!(is_hit(&res) && res.status() == 206, "{range}");
        let length = (last - first + 1).to_string();
        assert_eq!(res.headers()["content-length"], length);
        let (body, complete) = drained(res).await;
        assert!(complete && body == whole[first..=last], "{range}");
        let took = sent() - before;
        assert!(took < last - first + 4 * CHUNK, "{took} bytes for {range}");
    }
    let res = one
        .send("/a", &[(RANGE.as_str(), "bytes=10-19,3000000-3000009,-5")])
        .await;
    assert!(is_hit(&res) && res.status() == 206, "{res:?}");
    let length = res.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse::<usize>()
        .unwrap();
    let (body, complete) = drained(res).await;
    assert!(complete && body.len() == length);
    for part in [
        &whole[10..20],
        &whole[3_000_000..3_000_010],
        &whole[LARGE - 5..],
    ] {
        assert!(body.windows(part.len()).any(|bytes| bytes == part));
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn what_is_large_evicts_nothing_near_and_what_is_not_is_copied_when_read() {
    let redis = Redis::start();
    let far = store(&redis).await;
    let near = |far: &RedisStore| {
        let near = MemoryStore::new(64 << 20);
        TieredStore::with_near(far.clone(), near, NEVER)
    };
    for (path, length) in [("/large", LARGE), ("/middle", 300_000), ("/small", 100)] {
        put(&far, &key(path), &sized(1, length)).await;
    }
    let store = near(&far);
    for (path, length, entries) in [
        ("/small", 100, 1),
        ("/large", LARGE, 1),
        ("/middle", 300_000, 2),
    ] {
        for _ in 0..2 {
            assert_same(get(&store, &key(path)).await, &sized(1, length));
            assert_eq!(store.near().unwrap().entries, entries, "{path}");
        }
    }
    let at_hand = |path: &str| store.at_hand(key(path).as_str()).is_some();
    soon(async {
        while !store.hears() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert!(at_hand("/small") && at_hand("/middle") && !at_hand("/large"));
    // What was purged while it was being read is not copied.
    let looked = near(&far);
    let found = looked.get(&key("/middle")).await.unwrap().record.unwrap();
    looked.remove(&key("/middle")).await.unwrap();
    let Record::Response(found) = found else {
        panic!("{found:?}");
    };
    assert_eq!(found.body.read().await.unwrap().len(), 300_000);
    assert_eq!(looked.near().unwrap().entries, 0);
}

#[tokio::test]
async fn in_a_cluster_a_body_is_beside_its_record_whatever_braces_it_has() {
    let redis = Redis::cluster();
    let server = redis.url().replace("redis://", "redis-cluster://");
    let config = RedisConfig::new(server).timeout(Duration::from_secs(5));
    for prefix in ["larder", "{pin}", "a{b}"] {
        let store = connect(config.clone().prefix(prefix)).await;
        for path in ["/a", "/a}b{c", "/{x}/b", "/a{b", "/{}", "/}"] {
            let key = key(path);
            put(&store, &key, &sized(1, MIDDLE)).await;
            assert_same(get(&store, &key).await, &sized(1, MIDDLE));
            put(&store, &key, &entry(2, "small")).await;
            assert_same(get(&store, &key).await, &entry(2, "small"));
            put(&store, &key, &sized(3, MIDDLE)).await;
            assert!(store.remove(&key).await.unwrap().any);
            assert!(get(&store, &key).await.is_none());
            put(&store, &key, &sized(4, MIDDLE)).await;
        }
        assert!(bodies(&redis).iter().any(|&left| left > GRACE));
        store.clear().await.unwrap();
        // Without their records they would stay for long, were they not known as this store's.
        assert!(bodies(&redis).iter().all(|&left| left <= GRACE));
    }
}

#[tokio::test]
async fn in_a_cluster_bodies_without_records_are_found_whatever_braces_they_have() {
    let redis = Redis::cluster();
    let server = redis.url().replace("redis://", "redis-cluster://");
    let config = RedisConfig::new(server).timeout(Duration::from_secs(5));
    let store = connect(config).await;
    for path in ["/a", "/{x}/b", "/}"] {
        put(&store, &key(path), &sized(1, MIDDLE)).await;
        redis.command(&["DEL", &name(path)]);
    }
    assert!(bodies(&redis).iter().all(|&left| left > GRACE));
    store.clear().await.unwrap();
    assert!(bodies(&redis).iter().all(|&left| left <= GRACE));
}
