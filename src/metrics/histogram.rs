//! A histogram of durations made of atomics: prometheus-client's own takes a lock to observe.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

use super::sharded::Sharded;

/// Upper bounds of the buckets, in microseconds: 100 µs to 30 s.
const BOUNDS: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Counts durations by size; a clone counts into the same buckets.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations(Arc<Sharded<Cells>>);

#[derive(Debug, Default)]
struct Cells {
    /// One for each bound, and one for what is longer than all.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < nanoseconds);
        let cells = self.0.own();
        cells.buckets[bucket].fetch_add(1, Relaxed);
        cells.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let seconds = |bound: u64| bound as f64 / 1e6;
        let bounds = BOUNDS.into_iter().map(seconds).chain([f64::INFINITY]);
        let counts = (0..).map(|nth| self.0.sum(|cells: &Cells| &cells.buckets[nth]));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // The sum of what was just read, so that the buckets and the count always agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum(|cells| &cells.nanoseconds) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
