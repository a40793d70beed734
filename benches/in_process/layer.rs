//! The layer: what a hit costs beside an inner service that answers with a clone of a stored
//! response, and what the other ways through the cache cost.

use criterion::Criterion;
use larder::{cache::CacheLayer, store::MemoryStore};
use tower::Layer;

use crate::kit::{Body, SIZES, drive, inner, request, runtime};

pub(crate) fn bench(c: &mut Criterion) {
    let rt = runtime();
    let layer = || CacheLayer::new(MemoryStore::new(64 << 20));
    let ask = |fields: &[_]| request::<Body>("/a", fields);
    let mut group = c.benchmark_group("layer");
    for (name, size) in SIZES {
        let floor = inner(size, &[]);
        group.bench_function(format!("floor {name}"), |b| {
            b.iter(|| rt.block_on(drive(&floor, ask(&[]))));
        });
        let cache = layer().layer(floor);
        rt.block_on(drive(&cache, ask(&[])));
        group.bench_function(format!("hit {name}"), |b| {
            b.iter(|| rt.block_on(drive(&cache, ask(&[]))));
        });
    }

    let vary = layer().layer(inner(1024, &[("vary", "accept-encoding")]));
    let gzip = [("accept-encoding", "gzip, br")];
    rt.block_on(drive(&vary, ask(&gzip)));
    group.bench_function("hit with Vary", |b| {
        b.iter(|| rt.block_on(drive(&vary, ask(&gzip))));
    });

    let cache = layer().layer(inner(1024, &[]));
    rt.block_on(drive(&cache, ask(&[])));
    for (name, field) in [
        ("304", ("if-none-match", "\"5d8c72a5edda8\"")),
        ("range", ("range", "bytes=100-199")),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| rt.block_on(drive(&cache, ask(&[field]))));
        });
    }

    let mut n = 0u64;
    group.bench_function("miss 1KiB", |b| {
        b.iter(|| {
            n += 1;
            rt.block_on(drive(&cache, request::<Body>(&format!("/miss/{n}"), &[])));
        });
    });
    group.finish();
}
