//! The layer in an axum `Router`, beside the bare `Router`.

use axum::{Router, body::Body, routing::get};
use criterion::{BatchSize, Criterion};
use larder::{cache::CacheLayer, store::MemoryStore};
use tower::Layer;

use crate::kit::{drive, inner, request, runtime};

pub(crate) fn bench(c: &mut Criterion) {
    let rt = runtime();
    let answers = inner(1024, &[]);
    let bare = Router::new().route("/a", get(async move || answers.response()));
    let layer = || CacheLayer::new(MemoryStore::new(64 << 20));
    let in_it = bare.clone().layer(layer());
    let around_it = layer().layer(bare.clone());
    rt.block_on(drive(&in_it, request::<Body>("/a", &[])));
    rt.block_on(drive(&around_it, request::<Body>("/a", &[])));

    let mut group = c.benchmark_group("router");
    group.bench_function("bare 1KiB", |b| {
        b.iter_batched(
            || request::<Body>("/a", &[]),
            |req| rt.block_on(drive(&bare, req)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("hit 1KiB, Router::layer", |b| {
        b.iter_batched(
            || request::<Body>("/a", &[]),
            |req| rt.block_on(drive(&in_it, req)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("hit 1KiB, around the Router", |b| {
        b.iter_batched(
            || request::<Body>("/a", &[]),
            |req| rt.block_on(drive(&around_it, req)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}
