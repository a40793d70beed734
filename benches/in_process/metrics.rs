//! What it costs to count requests, on one thread, and on two that count the same at once.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use larder::metrics::Metrics;
use tower::Layer;

use crate::kit::{Body, drive, inner, request, runtime};

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics");
    for threads in [1, 2] {
        for counted in [false, true] {
            let what = if counted { "counted" } else { "floor" };
            group.bench_function(format!("{what}, {threads} threads"), |b| {
                b.iter_custom(|times| on_each(threads, times, counted));
            });
        }
    }
    group.finish();
}

/// How long so many requests take on each of these threads; the mean of all.
fn on_each(threads: u32, times: u64, counted: bool) -> Duration {
    let metrics = Metrics::new();
    let begun = Barrier::new(threads as usize);
    let work = || {
        let (rt, floor) = (runtime(), inner(1024, &[]));
        let service = metrics.layer().layer(floor.clone());
        begun.wait();
        let start = Instant::now();
        rt.block_on(async {
            for _ in 0..times {
                let req = request::<Body>("/a", &[]);
                match counted {
                    true => drive(&service, req).await,
                    false => drive(&floor, req).await,
                };
            }
        });
        start.elapsed()
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let took = all.into_iter().map(|each| each.join().expect("no panic"));
        took.sum::<Duration>() / threads
    })
}
