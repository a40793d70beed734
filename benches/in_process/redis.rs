//! Redis: what is done with a store there, and what requests cost that are answered from the near
//! tier, from Redis, or from neither; beside it, how many round trips each of them made.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use larder::{
    cache::{Cache, CacheLayer},
    policy::Key,
    store::{Availability, EntryId, MemoryStore, RedisConfig, RedisStore, Store, TieredStore},
};
use tokio::runtime::{Builder, Runtime};
use tower::Layer;

use crate::{
    kit::{Body, Inner, SIZES, drive, head, inner, record, request},
    memory::key,
    redis_server::RedisServer,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn bench(c: &mut Criterion) {
    let server = match RedisServer::start() {
        Ok(Some(server)) => server,
        Ok(None) => return println!("redis: left out, as there is no redis-server here"),
        Err(error) => return println!("redis: left out, as redis-server does not start: {error}"),
    };
    // With a thread of its own, as in the program: Redis is listened to while nothing is asked.
    let rt = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let far = |prefix| rt.block_on(connect(&server, prefix));
    let mut group = c.benchmark_group("redis");
    store(&mut group, &rt, &far("store"));
    requests(&mut group, &rt, &server, far);
    group.finish();
}

async fn connect(server: &RedisServer, prefix: &str) -> RedisStore {
    let config = RedisConfig::new(server.url()).prefix(prefix);
    // A machine that is busy must not make misses of hits.
    let store = RedisStore::connect(config.timeout(Duration::from_secs(2))).expect("a valid URL");
    let mut state = store.state();
    let up = state.wait_for(|state| *state == Availability::Up).await;
    drop(up.expect("the store is there"));
    store
}

fn store(group: &mut BenchmarkGroup<'_, WallTime>, rt: &Runtime, store: &RedisStore) {
    let get = |key: &Key| rt.block_on(store.get(key)).expect("Redis is well");
    let kept = key(1);
    for (name, size) in SIZES {
        let (record, seen) = (record(size), get(&kept).seen);
        let put = || rt.block_on(store.put(&kept, record.clone(), HOUR, seen));
        put().expect("Redis is well");
        group.bench_function(format!("put {name}"), |b| b.iter(|| black_box(put())));
        assert!(get(&kept).record.is_some(), "it is not kept");
        group.bench_function(format!("get {name}"), |b| b.iter(|| black_box(get(&kept))));
    }
    let absent = key(0);
    group.bench_function("get, nothing", |b| b.iter(|| black_box(get(&absent))));
    let (fresh, seen) = (Arc::new(head(&[])), get(&kept).seen);
    let refresh = || {
        let refreshed = store.refresh(&kept, EntryId(1), Arc::clone(&fresh), HOUR, seen);
        rt.block_on(refreshed).expect("Redis is well")
    };
    assert!(refresh(), "something else is there");
    group.bench_function("refresh", |b| b.iter(|| black_box(refresh())));
    group.bench_function("remove", |b| {
        b.iter(|| black_box(rt.block_on(store.remove(&absent))));
    });
}

fn requests(
    group: &mut BenchmarkGroup<'_, WallTime>,
    rt: &Runtime,
    server: &RedisServer,
    far: impl Fn(&'static str) -> RedisStore,
) {
    let memory = MemoryStore::new(64 << 20);
    let tiers = {
        let _within = rt.enter();
        [
            TieredStore::with_near(far("near"), memory, Duration::from_secs(2)),
            TieredStore::without_near(far("far")),
        ]
    };
    let mut asked = Vec::new();
    for (name, size) in SIZES {
        let [near, far] = tiers
            .clone()
            .map(|tier| CacheLayer::new(tier).layer(inner(size, &[])));
        // For comparison: what a hit costs where there is no Redis, driven in the same way.
        let alone = CacheLayer::new(MemoryStore::new(64 << 20)).layer(inner(size, &[]));
        let mut ask = || rt.block_on(drive(&alone, request::<Body>("/", &[])));
        group.bench_function(format!("hit without Redis {name}"), |b| b.iter(&mut ask));
        for (tier, cache) in [("near", near), ("far", far)] {
            let path = format!("/{size}");
            warm(rt, &cache, &path);
            let mut ask = || rt.block_on(drive(&cache, request::<Body>(&path, &[])));
            let name = format!("{tier} hit {name}");
            group.bench_function(&name, |b| b.iter(&mut ask));
            asked.push((name, commands(server, ask)));
        }
    }
    let [near, _] = tiers;
    let cache = CacheLayer::new(near).layer(inner(1024, &[]));
    let mut n = 0u64;
    let mut ask = || {
        n += 1;
        rt.block_on(drive(&cache, request::<Body>(&format!("/miss/{n}"), &[])));
    };
    group.bench_function("miss 1KiB", |b| b.iter(&mut ask));
    std::thread::sleep(Duration::from_millis(200)); // what is being written still
    asked.push(("miss 1KiB".to_owned(), commands(server, ask)));

    println!(
        "commands that Redis ran for each request: an eval is a round trip, the others ran in it"
    );
    for (name, commands) in asked {
        println!("  {name:<16} {commands}");
    }
}

/// Asks until it is stored in Redis, and in the near tier if there is one.
fn warm(rt: &Runtime, cache: &Cache<Inner, TieredStore>, path: &str) {
    for _ in 0..10 {
        rt.block_on(drive(cache, request::<Body>(path, &[])));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The commands for each of some requests. What is run once in a while for other reasons is not
/// among them.
fn commands(server: &RedisServer, mut ask: impl FnMut()) -> String {
    const TIMES: u64 = 400;
    let ran = || server.ran().expect("redis-server answers");
    let before = ran();
    (0..TIMES).for_each(|_| ask());
    std::thread::sleep(Duration::from_millis(200)); // what is written after the answer
    let each = ran().into_iter().filter_map(|(name, calls)| {
        let calls = calls - before.get(&name).copied().unwrap_or(0);
        let each = calls as f64 / TIMES as f64;
        (each > 0.2).then(|| format!("{name} {each:.2}"))
    });
    match each.collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        some => some.join(", "),
    }
}
