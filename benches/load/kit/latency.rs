//! Durations, counted in buckets that are 1/64 wide: percentiles of millions of them, within 1.6 %.

use std::time::Duration;

/// Each power of two is cut into so many buckets (its logarithm).
const FINE: u32 = 6;
const WIDTH: u64 = 1 << FINE;

/// Durations, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    pub(crate) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanos);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Latencies) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// The duration that this part of all (0.99) did not exceed; zero where there are none.
    pub(crate) fn percentile(&self, part: f64) -> Duration {
        let wanted = (self.total as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(bucket));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a number: itself below [`WIDTH`], else by its highest bits.
fn bucket(nanos: u64) -> usize {
    if nanos < WIDTH {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - FINE;
    (u64::from(shift + 1) * WIDTH + (nanos >> shift) - WIDTH) as usize
}

/// The largest number in a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < WIDTH {
        return bucket;
    }
    let shift = bucket / WIDTH - 1;
    let start = (bucket % WIDTH + WIDTH) << shift;
    start + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_in_a_bucket_that_is_hardly_wider() {
        for nanos in (0..200).chain([1 << 20, (1 << 20) + 12_345, u64::MAX / 3]) {
            let upper = upper(bucket(nanos));
            assert!(upper >= nanos, "{nanos} in {upper}");
            assert!(upper - nanos <= nanos / WIDTH, "{nanos} in {upper}");
        }
        assert!((1..100_000).all(|n| bucket(n) - bucket(n - 1) <= 1));
    }

    #[test]
    fn percentiles_of_a_known_lot() {
        let (mut odd, mut even) = (Latencies::default(), Latencies::default());
        for micros in 1..=1000 {
            let half = if micros % 2 == 0 { &mut even } else { &mut odd };
            half.add(Duration::from_micros(micros));
        }
        odd.merge(&even);
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let told = odd.percentile(part).as_secs_f64() * 1e6;
            assert!((told / micros - 1.0).abs() < 0.02, "{part}: {told}");
        }
        assert_eq!(Latencies::default().percentile(0.99), Duration::ZERO);
    }
}
