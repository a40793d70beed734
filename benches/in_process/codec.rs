//! Responses to bytes, as they are kept in Redis, and back.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use larder::store::Codec;

use crate::{
    kit::{SIZES, entry},
    memory::key,
};

pub(crate) fn bench(c: &mut Criterion) {
    let key = key(0);
    let mut group = c.benchmark_group("codec");
    for (name, size) in SIZES {
        let entry = entry(size);
        let bytes = Codec::encode(&key, &entry);
        Codec::decode(&key, &bytes).expect("it was encoded");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| black_box(Codec::encode(&key, &entry)));
        });
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| black_box(Codec::decode(&key, &bytes)));
        });
    }
    group.finish();
}
