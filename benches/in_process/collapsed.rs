//! Many requests at once for what nobody has stored: one fetches, the others wait for it.

use std::{convert::Infallible, time::Duration};

use criterion::{Criterion, Throughput};
use http::Request;
use larder::{cache::CacheLayer, store::MemoryStore};
use tokio::{sync::Semaphore, task::JoinSet};
use tower::{Layer, service_fn};

use crate::kit::{Body, drive, inner, request, runtime};

const REQUESTS: usize = 100;

pub(crate) fn bench(c: &mut Criterion) {
    let rt = runtime();
    let mut group = c.benchmark_group("collapsed");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    // The origin answers when all of them wait.
    static ASKED: Semaphore = Semaphore::const_new(0);
    let answers = inner(1024, &[]);
    let origin = service_fn(move |_: Request<Body>| {
        let answers = answers.clone();
        async move {
            let _all = ASKED.acquire_many(REQUESTS as u32).await;
            Ok::<_, Infallible>(answers.response())
        }
    });
    let cache = CacheLayer::new(MemoryStore::new(64 << 20)).layer(origin);
    let mut n = 0u64;
    let mut ask_all = || {
        n += 1;
        rt.block_on(async {
            let mut all = JoinSet::new();
            for _ in 0..REQUESTS {
                let (cache, req) = (cache.clone(), request::<Body>(&format!("/cold/{n}"), &[]));
                all.spawn(async move { drive(&cache, req).await });
            }
            for _ in 0..4 {
                tokio::task::yield_now().await; // not all of them have a turn in one
            }
            ASKED.add_permits(REQUESTS);
            while let Some(done) = all.join_next().await {
                done.expect("no panic");
            }
            ASKED.forget_permits(REQUESTS);
        });
    };
    group.measurement_time(Duration::from_secs(2));
    group.bench_function(format!("{REQUESTS} requests, 1 fetch"), |b| {
        b.iter(&mut ask_all)
    });
    group.finish();
}
