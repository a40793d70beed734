//! How much of what is asked for is there: `MemoryStore` beside other caches of the same size.
//!
//! Every trace is the same in every run, and every response the same size. A cache holds 1, 5 or
//! 10 % of the keys. The other caches are simulated: S3-FIFO, W-TinyLFU and ARC as their papers
//! have them.

mod recency;
mod simulated;
mod store;
mod traces;

use simulated::{Arc, Lru, S3Fifo, Simulated, WTinyLfu};
use store::Larder;

const KEYS: u64 = 50_000;
const REQUESTS: usize = 600_000;

fn main() {
    println!(
        "| trace | room | LRU | S3-FIFO | W-TinyLFU | ARC | larder | over LRU | to the best |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (name, trace) in traces() {
        for percent in [1, 5, 10] {
            let capacity = KEYS as usize * percent / 100;
            row(name, &format!("{percent} %"), capacity, &trace);
        }
    }
    // A turn that is a little, or much, longer than there is room.
    for (name, turn) in [("around 1.2 × room", 6_000), ("around 2 × room", 10_000)] {
        row(name, "10 %", 5_000, &traces::around(REQUESTS, turn));
    }
}

fn traces() -> Vec<(&'static str, Vec<u64>)> {
    let (len, keys) = (REQUESTS, KEYS);
    vec![
        ("zipf 0.7", traces::zipf(len, keys, 0.7)),
        ("zipf 0.8", traces::zipf(len, keys, 0.8)),
        ("zipf 0.9", traces::zipf(len, keys, 0.9)),
        ("zipf 1.0", traces::zipf(len, keys, 1.0)),
        ("zipf 1.1", traces::zipf(len, keys, 1.1)),
        (
            "zipf 0.9, 30 % once",
            traces::one_hit_wonders(len, keys, 0.9, 0.3),
        ),
        (
            "zipf 0.9, 60 % once",
            traces::one_hit_wonders(len, keys, 0.9, 0.6),
        ),
        (
            "zipf 0.9, scans",
            traces::scans(len, keys, 0.9, 20_000, 10_000),
        ),
        (
            "zipf 0.9, around",
            traces::around_and_zipf(len, keys, 0.9, 7_500),
        ),
        (
            "zipf 0.9, drifting",
            traces::drifting(len, keys, 0.9, 20_000, 10),
        ),
    ]
}

fn row(name: &str, room: &str, capacity: usize, trace: &[u64]) {
    let lru = ratio::<Lru>(capacity, trace);
    let others = [
        ratio::<S3Fifo>(capacity, trace),
        ratio::<WTinyLfu>(capacity, trace),
        ratio::<Arc>(capacity, trace),
    ];
    let [s3_fifo, w_tiny_lfu, arc] = others;
    let best = others.into_iter().fold(0.0, f64::max);
    let larder = ratio::<Larder>(capacity, trace);
    println!(
        "| {name} | {room} | {lru:.1} | {s3_fifo:.1} | {w_tiny_lfu:.1} | {arc:.1} | {larder:.1} \
         | {:+.1} | {:+.1} |",
        larder - lru,
        larder - best,
    );
}

/// Hits in a hundred requests.
fn ratio<C: Simulated>(capacity: usize, trace: &[u64]) -> f64 {
    let mut cache = C::new(capacity);
    let hits = trace.iter().filter(|key| cache.ask(**key)).count();
    100.0 * hits as f64 / trace.len() as f64
}
