//! What each part of larder costs, in process.
//!
//! `cargo bench --bench in_process` takes some two minutes; with the name of a group after `--` it
//! runs that one only: `layer`, `collapsed`, `router`, `policy`, `memory`, `metrics`, `codec`,
//! `redis`, `envelope`.

mod codec;
mod collapsed;
mod envelope;
mod kit;
mod layer;
mod memory;
mod metrics;
mod policy;
mod redis;
mod redis_server;
mod router;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(40)
        .nresamples(10_000)
        .without_plots()
}

criterion_group! {
    name = benches;
    config = short();
    targets =
        layer::bench,
        collapsed::bench,
        router::bench,
        policy::bench,
        memory::bench,
        metrics::bench,
        codec::bench,
        redis::bench,
        envelope::bench,
}
criterion_main!(benches);
