//! The store keeps what is asked for often: a short run of `benches/hit_ratio`.

#[allow(dead_code)]
#[path = "../../../benches/hit_ratio/recency.rs"]
mod recency;
#[path = "../../../benches/hit_ratio/simulated.rs"]
mod simulated;
#[path = "../../../benches/hit_ratio/store.rs"]
mod store;
#[allow(dead_code)]
#[path = "../../../benches/hit_ratio/traces.rs"]
mod traces;

use self::{
    simulated::{Arc, Lru, S3Fifo, Simulated, WTinyLfu},
    store::Larder,
};

const REQUESTS: usize = 40_000;
const ROOM: usize = 500;

/// In hundredths.
fn ratio<C: Simulated>(trace: &[u64]) -> f64 {
    let mut cache = C::new(ROOM);
    let hits = trace.iter().filter(|key| cache.ask(**key)).count();
    100.0 * hits as f64 / trace.len() as f64
}

// The store has one shard when it is this small, and what it does follows from what is asked.
#[test]
fn it_keeps_what_is_popular_better_than_lru_and_about_as_well_as_the_best() {
    for (name, trace) in [
        ("zipf", traces::zipf(REQUESTS, 10_000, 0.8)),
        ("once", traces::one_hit_wonders(REQUESTS, 10_000, 0.9, 0.3)),
        ("scans", traces::scans(REQUESTS, 10_000, 0.9, 2_000, 1_000)),
        (
            "drifting",
            traces::drifting(REQUESTS, 10_000, 0.9, 4_000, 10),
        ),
    ] {
        let lru = ratio::<Lru>(&trace);
        let others = [
            ratio::<S3Fifo>(&trace),
            ratio::<WTinyLfu>(&trace),
            ratio::<Arc>(&trace),
        ];
        let best = others.into_iter().fold(0.0, f64::max);
        let larder = ratio::<Larder>(&trace);
        let all = format!("{name}: {larder:.1}, LRU {lru:.1}, others {others:.1?}");
        assert!(larder >= lru + 3.0, "{all}");
        assert!(larder >= best - 2.0, "{all}");
    }
}

#[test]
fn what_is_asked_for_in_turn_does_not_drive_itself_out() {
    let trace = traces::around(REQUESTS, 600);
    assert_eq!(ratio::<Lru>(&trace), 0.0);
    let best = ratio::<WTinyLfu>(&trace);
    let larder = ratio::<Larder>(&trace);
    assert!(larder >= best - 2.0, "{larder:.1}, W-TinyLFU {best:.1}");
}
