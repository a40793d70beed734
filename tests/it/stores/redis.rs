//! What is particular to the store in Redis: expiry on the server, strangers' keys and values,
//! and a server that is down, hangs, or does not let us in.

use std::future::Future;

use larder::store::{Availability, RedisConfig, RedisStore};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{failures::HEALS_WITHIN, *};
use crate::support::redis::{Redis, Relay, Reply};

/// No test waits longer than this for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn config(redis: &Redis) -> RedisConfig {
    // Correctness is not to depend on how busy the machine is.
    RedisConfig::new(redis.url()).timeout(Duration::from_secs(5))
}

/// A store that is connected.
pub(super) async fn store(redis: &Redis) -> RedisStore {
    connect(config(redis)).await
}

pub(super) async fn connect(config: RedisConfig) -> RedisStore {
    let store = RedisStore::connect(config).unwrap();
    wait_for(&store, |state| *state == Availability::Up).await;
    store
}

pub(super) async fn wait_for(
    store: &RedisStore,
    what: impl FnMut(&Availability) -> bool,
) -> Availability {
    let mut state = store.state();
    let reached = soon(state.wait_for(what)).await;
    reached.unwrap().clone()
}

pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Waits until it is up again, which is not to take long as Redis is well.
pub(super) async fn heals(store: &RedisStore) {
    let start = Instant::now();
    wait_for(store, |state| *state == Availability::Up).await;
    assert!(start.elapsed() < HEALS_WITHIN, "{:?}", start.elapsed());
}

pub(super) fn is_down(state: &Availability) -> bool {
    matches!(state, Availability::Down(_))
}

/// The time that so many lookups take together, all of which must fail.
pub(super) async fn lookups_in_vain(store: &RedisStore, count: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        store.get(&key("/a")).await.unwrap_err();
    }
    start.elapsed()
}

pub(super) fn name(path: &str) -> String {
    format!("larder:{{GET http://origin.example{path}}}")
}

pub(super) fn time_left(redis: &Redis, path: &str) -> i64 {
    match redis.command(&["PTTL", &name(path)])[..] {
        [Reply::Number(left)] => left,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_on_their_way_are_bounded() {
    let redis = Redis::start();
    let patient = config(&redis).timeout(Duration::from_secs(60));
    let store = connect(patient.max_object(32 << 20)).await;
    let seen = store.get(&key("/0")).await.unwrap().seen;
    redis.pause();
    let mut puts = JoinSet::new();
    for n in 0..10 {
        let (store, mut entry) = (store.clone(), entry(n, ""));
        entry.body = Payload::new(vec![7; 16 << 20].into(), None);
        puts.spawn(async move {
            let (key, record) = (key(&format!("/{n}")), Record::Response(entry));
            store.put(&key, record, LONG, seen).await
        });
    }
    // Three are within 64 MiB.
    for _ in 0..7 {
        let refused = soon(puts.join_next()).await.unwrap().unwrap();
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("too many bytes"), "{refused}");
    }
    assert!(puts.try_join_next().is_none());
    redis.resume();
    assert!(soon(puts.join_all()).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_server_lets_records_expire() {
    let redis = Redis::start();
    let store = store(&redis).await;
    put(&store, &key("/long"), &entry(1, "body")).await;
    assert!((1..=600_000).contains(&time_left(&redis, "/long")));
    let hour = Duration::from_secs(3600);
    assert!(refresh(&store, &key("/long"), EntryId(1), head("new"), hour).await);
    assert!((600_001..=3_600_000).contains(&time_left(&redis, "/long")));

    let record = Record::Response(entry(1, "body"));
    let keep = Duration::from_millis(30);
    put_record(&store, &key("/short"), record, keep).await;
    soon(async {
        while get(&store, &key("/short")).await.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(time_left(&redis, "/short"), -2, "the key is gone");
}

#[tokio::test]
async fn stores_share_what_is_kept_and_it_outlives_them() {
    let redis = Redis::start();
    let (one, two) = (store(&redis).await, store(&redis).await);
    put(&one, &key("/a"), &entry(1, "body")).await;
    assert_same(get(&two, &key("/a")).await, &entry(1, "body"));
    drop((one, two));
    let again = store(&redis).await;
    assert_same(get(&again, &key("/a")).await, &entry(1, "body"));
}

#[tokio::test]
async fn dropping_the_last_clone_closes_the_connection() {
    let redis = Redis::start();
    let one = store(&redis).await;
    let two = one.clone();
    drop(one);
    put(&two, &key("/a"), &entry(1, "body")).await;
    drop(two);
    soon(async {
        // Only the connection that asks is left.
        while !matches!(&redis.command(&["CLIENT", "LIST"])[..],
            [Reply::Text(list)] if list.iter().filter(|&&b| b == b'\n').count() == 1)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn clearing_touches_no_other_keys() {
    let redis = Redis::start();
    // Escaped wrongly, each of these prefixes would match some of the others' keys.
    let prefixes = ["la*", "lard", "la?d", "la[r]d", r"la\*", "lard:two", "LARD"];
    let mut stores = Vec::new();
    for prefix in prefixes {
        let store = connect(config(&redis).prefix(prefix)).await;
        put(&store, &key("/a"), &entry(1, prefix)).await;
        stores.push((prefix, store));
    }
    for stranger in [
        "lard{GET http://x/}",
        "la",
        "unrelated",
        "xlard:{GET http://x/}",
        "lard:GET http://x/",
    ] {
        redis.command(&["SET", stranger, "theirs"]);
    }
    while let Some((_, store)) = stores.pop() {
        store.clear().await.unwrap();
        assert!(get(&store, &key("/a")).await.is_none());
        for (prefix, store) in &stores {
            assert_same(get(store, &key("/a")).await, &entry(1, prefix));
        }
    }
    // The strangers', and the journal of each store.
    assert_eq!(redis.command(&["DBSIZE"]), [Reply::Number(5 + 7)]);
}

#[tokio::test]
async fn a_cluster_will_do() {
    let redis = Redis::cluster();
    let url = redis.url().replace("redis://", "redis-cluster://");
    let store = connect(RedisConfig::new(url).timeout(Duration::from_secs(5))).await;
    // Their slots differ.
    let keys: Vec<Key> = (0..20).map(|n| key(&format!("/{n}"))).collect();
    for key in &keys {
        put(&store, key, &entry(1, "body")).await;
        assert!(refresh(&store, key, EntryId(1), head("new"), LONG).await);
        assert!(get(&store, key).await.is_some());
    }
    assert!(store.remove(&keys[0]).await.unwrap().any);
    let judge = |shown: &Key, _: &Front| match *shown == keys[1] {
        true => Sweep::Remove,
        false => Sweep::Keep,
    };
    store.sweep("", None, &judge).await.unwrap();
    assert_eq!(shown(&store, "").await.len(), 18);
    assert!(get(&store, &keys[1]).await.is_none());
    redis.command(&["SET", "unrelated", "theirs"]);
    store.clear().await.unwrap();
    for key in &keys {
        assert!(get(&store, key).await.is_none());
    }
    // The unrelated one, the journal, and that the first was removed.
    assert_eq!(redis.command(&["DBSIZE"]), [Reply::Number(3)]);
}

#[tokio::test]
async fn a_sweep_passes_over_what_is_no_record_of_ours() {
    let redis = Redis::start();
    let store = store(&redis).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
    redis.command(&["RPUSH", &name("/list"), "theirs"]);
    redis.command(&["SET", &name("/text"), "theirs"]);
    redis.command(&["SET", &name("/short"), "LRDR"]);
    redis.command(&["COPY", &name("/a"), &name("/copy")]);
    redis.command(&["SET", "larder:two:{GET http://origin.example/a}", "theirs"]);
    assert_eq!(shown(&store, "").await, [key("/a").as_str()]);
    let all = |_: &Key, _: &Front| Sweep::Remove;
    store.sweep("", None, &all).await.unwrap();
    assert_eq!(
        redis.command(&["DBSIZE"]),
        [Reply::Number(5 + 1)],
        "and the journal"
    );
}

#[tokio::test]
async fn a_sweep_of_a_redis_that_is_gone_is_an_error() {
    let mut redis = Redis::start();
    let store = store(&redis).await;
    redis.kill();
    let all = |_: &Key, _: &Front| Sweep::Remove;
    soon(async { store.sweep("", None, &all).await.unwrap_err() }).await;
}

#[tokio::test]
async fn the_shorter_prefix_leaves_the_longer_alone() {
    let redis = Redis::start();
    let short = connect(config(&redis).prefix("lard")).await;
    let long = connect(config(&redis).prefix("lard:two")).await;
    put(&long, &key("/a"), &entry(1, "body")).await;
    short.clear().await.unwrap();
    assert!(get(&long, &key("/a")).await.is_some());
}

#[tokio::test]
async fn what_is_not_a_record_is_not_there() {
    let redis = Redis::start();
    let store = store(&redis).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
    put(&store, &key("/b"), &entry(2, "other")).await;
    let Reply::Text(other) = redis.command(&["GET", &name("/b")]).remove(0) else {
        panic!("no value");
    };
    let mut newer = other.clone();
    newer[4] = 99;
    let values = [
        &other[..],
        &newer,
        &other[..other.len() - 1],
        b"",
        b"LRDR",
        b"\xff\xfe{}",
    ];
    for value in values {
        redis.command(&["SET".as_bytes(), name("/a").as_bytes(), value]);
        assert!(get(&store, &key("/a")).await.is_none());
        assert!(!refresh(&store, &key("/a"), EntryId(1), head("new"), LONG).await);
        put(&store, &key("/a"), &entry(1, "body")).await;
        assert!(
            get(&store, &key("/a")).await.is_some(),
            "it can be put anew"
        );
    }

    redis.command(&["DEL", &name("/a")]);
    redis.command(&["RPUSH", &name("/a"), "a", "list"]);
    assert!(get(&store, &key("/a")).await.is_none());
    assert!(!refresh(&store, &key("/a"), EntryId(1), head("new"), LONG).await);
    put(&store, &key("/a"), &entry(1, "body")).await;
    assert!(get(&store, &key("/a")).await.is_some());
}

#[tokio::test]
async fn a_huge_value_is_not_fetched() {
    let redis = Redis::start();
    let store = connect(config(&redis).max_object(1000)).await;
    redis.command(&["SETRANGE", &name("/a"), "100000000", "x"]);
    assert!(get(&store, &key("/a")).await.is_none());
    let Reply::Text(info) = redis.command(&["INFO", "stats"]).remove(0) else {
        panic!("no info");
    };
    let info = String::from_utf8(info).unwrap();
    let sent = info
        .lines()
        .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    assert!(
        sent.unwrap().parse::<u64>().unwrap() < 1_000_000,
        "{sent:?}"
    );
}

#[tokio::test]
async fn down_at_the_start_and_up_later() {
    let mut redis = Redis::start();
    redis.kill();
    let store = RedisStore::connect(config(&redis)).unwrap();
    assert!(lookups_in_vain(&store, 100).await < Duration::from_secs(1));
    let down = wait_for(&store, is_down).await;
    assert!(format!("{down:?}").contains("refused"), "{down:?}");
    store
        .put(
            &key("/a"),
            Record::Response(entry(1, "")),
            LONG,
            Seen::default(),
        )
        .await
        .unwrap_err();
    store.remove(&key("/a")).await.unwrap_err();
    store.clear().await.unwrap_err();

    redis.restart();
    heals(&store).await;
    put(&store, &key("/a"), &entry(1, "body")).await;
    assert!(get(&store, &key("/a")).await.is_some());
}

#[tokio::test]
async fn killed_and_started_again() {
    let mut redis = Redis::start();
    let store = connect(config(&redis).timeout(Duration::from_millis(50))).await;
    redis.kill();
    // One after another they would take five seconds, if each waited.
    assert!(lookups_in_vain(&store, 100).await < Duration::from_secs(2));
    wait_for(&store, is_down).await;

    redis.restart();
    heals(&store).await;
    store.clear().await.unwrap();
}

#[tokio::test]
async fn hanging_and_going_on() {
    let redis = Redis::start();
    let store = connect(config(&redis).timeout(Duration::from_millis(50))).await;
    redis.pause();
    let took = lookups_in_vain(&store, 100).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    wait_for(&store, is_down).await;
    // From here on nobody waits.
    let took = lookups_in_vain(&store, 1000).await;
    assert!(took < Duration::from_secs(1), "{took:?}");

    redis.resume();
    heals(&store).await;
    store.clear().await.unwrap();
}

#[tokio::test]
async fn hanging_in_the_middle_of_a_write() {
    let redis = Redis::start();
    let store = connect(config(&redis).timeout(Duration::from_millis(20))).await;
    let seen = store.get(&key("/a")).await.unwrap().seen;
    redis.pause();
    let mut large = entry(1, "");
    large.body = Payload::new(vec![0; 8 << 20].into(), None);
    for _ in 0..20 {
        let record = Record::Response(large.clone());
        store.put(&key("/a"), record, LONG, seen).await.unwrap_err();
    }
    wait_for(&store, is_down).await;
    redis.resume();
    heals(&store).await;
    store.clear().await.unwrap();
}

#[tokio::test]
async fn a_dead_connection_is_replaced() {
    let redis = Redis::start();
    let relay = Relay::to(redis.port()).await;
    let config = RedisConfig::new(relay.url()).timeout(Duration::from_millis(50));
    let store = connect(config).await;
    relay.freeze();
    lookups_in_vain(&store, 3).await;
    wait_for(&store, is_down).await;
    heals(&store).await;
    store.clear().await.unwrap();
}

#[tokio::test]
async fn too_many_at_once_are_refused() {
    let redis = Redis::start();
    let store = connect(config(&redis)).await;
    redis.pause();
    let (first, second) = (key("/a"), key("/b"));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (store, key) = (store.clone(), first.clone());
        calls.spawn(async move { store.get(&key).await });
    }
    // All but those that wait for Redis are done.
    let mut refused = 0;
    while refused < 1000 - 256 {
        let call = soon(calls.join_next()).await.expect("some are left");
        let error = call.unwrap().unwrap_err();
        assert!(error.to_string().contains("too many"), "{error}");
        refused += 1;
    }
    redis.resume();
    while let Some(call) = soon(calls.join_next()).await {
        call.unwrap().unwrap();
    }
    put(&store, &second, &entry(1, "body")).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let redis = Redis::with_password("rightpass");
    let url = |password| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let wrong = RedisStore::connect(RedisConfig::new(url("wr0ngpass"))).unwrap();
    let state = wait_for(&wrong, is_down).await;
    let error = wrong.get(&key("/a")).await.unwrap_err();
    let said = format!("{state:?} {wrong:?} {error:?} {error}");
    assert!(said.contains("Authentication"), "{said}");
    assert!(!said.contains("wr0ngpass"), "{said}");

    let config = RedisConfig::new(url("rightpass")).timeout(PATIENCE);
    let right = connect(config).await;
    put(&right, &key("/a"), &entry(1, "body")).await;
    assert!(!format!("{right:?}").contains("rightpass"));
}

#[tokio::test]
async fn a_wrong_url_is_named_and_not_shown() {
    for (url, why) in [
        ("", "begins with redis://"),
        ("s3cret", "begins with redis://"),
        ("http://u:s3cret@localhost", "begins with redis://"),
        ("redis-cluster-s3cret://localhost", "begins with redis://"),
        ("redis://u:s3cret@localhost:70000", "port"),
        ("redis://u:s3cret@localhost:port", "port"),
        ("redis://u:s3cret@", "host"),
        ("redis://u:s3cret@localhost/one", "database"),
        ("redis://u:s3cret@localhost/1/2", "database"),
    ] {
        let error = RedisStore::connect(RedisConfig::new(url)).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(why), "{url}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    for prefix in ["", "a b", "a\n"] {
        let config = RedisConfig::new("redis://localhost").prefix(prefix);
        let error = RedisStore::connect(config).unwrap_err();
        assert!(error.to_string().contains("prefix"), "{error}");
    }
}

#[tokio::test]
async fn a_prefix_that_cannot_be_right_is_refused_before_anything_is_connected() {
    let cluster = "redis-cluster://127.0.0.1:1";
    for (url, prefix, accepted) in [
        ("redis://127.0.0.1:1", "", false),
        ("redis://127.0.0.1:1", "a b", false),
        ("redis://127.0.0.1:1", "a{b", true),
        // A cluster would keep the names of one URI apart.
        (cluster, "a{b", false),
        (cluster, "{}", false),
        (cluster, "{a}b", true),
    ] {
        let store = RedisStore::connect(RedisConfig::new(url).prefix(prefix));
        assert_eq!(store.is_ok(), accepted, "{url} {prefix:?}");
    }
}
