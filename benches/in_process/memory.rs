//! What is done with a store in memory.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion};
use larder::{
    policy::Key,
    store::{EntryId, MemoryStore, Seen, Store},
};

use crate::kit::{head, parts, record, runtime};

const KEPT: u64 = 10_000;
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn key(n: u64) -> Key {
    Key::of(&parts(&format!("/articles/{n:08}"), &[]))
}

pub(crate) fn bench(c: &mut Criterion) {
    let rt = runtime();
    let store = MemoryStore::new(64 << 20);
    let record = record(1024);
    let put = |key: &Key| {
        let stored = rt.block_on(store.put(key, record.clone(), HOUR, Seen::default()));
        stored.expect("there is room");
    };
    let keys: Vec<Key> = (0..KEPT).map(key).collect();
    keys.iter().for_each(put);
    let absent = key(KEPT);
    // Every thread remembers the heads of fewer than these: each is unpacked.
    let mut turn = keys.iter().cycle();

    let mut group = c.benchmark_group("memory");
    group.bench_function("at_hand", |b| {
        b.iter(|| black_box(store.at_hand(keys[0].as_str())));
    });
    group.bench_function("get", |b| {
        b.iter(|| black_box(rt.block_on(store.get(&keys[0]))))
    });
    group.bench_function("get, of 10,000 in turn", |b| {
        b.iter(|| black_box(rt.block_on(store.get(turn.next().expect("it has no end")))));
    });
    group.bench_function("get, nothing", |b| {
        b.iter(|| black_box(rt.block_on(store.get(&absent))));
    });
    group.bench_function("put, in place of another", |b| b.iter(|| put(&keys[0])));
    let fresh = Arc::new(head(&[]));
    group.bench_function("refresh", |b| {
        b.iter(|| {
            let (head, seen) = (Arc::clone(&fresh), Seen::default());
            black_box(rt.block_on(store.refresh(&keys[0], EntryId(1), head, HOUR, seen)))
        });
    });
    group.bench_function("remove", |b| {
        let remove = |()| black_box(rt.block_on(store.remove(&keys[0])));
        b.iter_batched(|| put(&keys[0]), remove, BatchSize::PerIteration);
    });
    let mut n = KEPT;
    group.bench_function("put, evicting", |b| {
        let next = || {
            n += 1;
            key(n)
        };
        b.iter_batched(next, |key| put(&key), BatchSize::SmallInput);
    });
    group.finish();
}
