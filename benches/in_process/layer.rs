//! The layer: what a hit costs beside an inner service that answers with a clone of a stored
//! response, and what the other ways through the cache cost. Requests are made beforehand.

use criterion::{BatchSize, Criterion};
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
            b.iter_batched(
                || ask(&[]),
                |req| rt.block_on(drive(&floor, req)),
                BatchSize::SmallInput,
            );
        });
        let cache = layer().layer(floor);
        rt.block_on(drive(&cache, ask(&[])));
        group.bench_function(format!("hit {name}"), |b| {
            b.iter_batched(
                || ask(&[]),
                |req| rt.block_on(drive(&cache, req)),
                BatchSize::SmallInput,
            );
        });
    }

    let vary = layer().layer(inner(1024, &[("vary", "accept-encoding")]));
    let gzip = [("accept-encoding", "gzip, br")];
    rt.block_on(drive(&vary, ask(&gzip)));
    group.bench_function("hit with Vary", |b| {
        b.iter_batched(
            || ask(&gzip),
            |req| rt.block_on(drive(&vary, req)),
            BatchSize::SmallInput,
        );
    });

    let cache = layer().layer(inner(1024, &[]));
    rt.block_on(drive(&cache, ask(&[])));
    for (name, field) in [
        ("304", ("if-none-match", "\"5d8c72a5edda8\"")),
        ("range", ("range", "bytes=100-199")),
    ] {
        group.bench_function(name, |b| {
            b.iter_batched(
                || ask(&[field]),
                |req| rt.block_on(drive(&cache, req)),
                BatchSize::SmallInput,
            );
        });
    }

    let mut n = 0u64;
    group.bench_function("miss 1KiB", |b| {
        b.iter_batched(
            || {
                n += 1;
                request::<Body>(&format!("/miss/{n}"), &[])
            },
            |req| rt.block_on(drive(&cache, req)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}
