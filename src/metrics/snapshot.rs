//! All numbers at one moment, in the order in which they are shown.

use super::registry::Counters;

/// The numbers at one moment; from [`Metrics::snapshot`](super::Metrics::snapshot).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    fields: Vec<(&'static str, Value)>,
}

/// A number of a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count, or a size.
    Int(u64),
    /// A ratio.
    Float(f64),
}

impl Snapshot {
    pub(super) fn of(
        counters: &Counters,
        gauges: impl Iterator<Item = (&'static str, i64)>,
    ) -> Self {
        let hits = counters.hits.get();
        let misses = counters.misses.get();
        // Derived rather than counted, so that the three agree at every moment.
        let total = hits + misses;
        let ratio = if total == 0 {
            0.0
        } else {
            hits as f64 / total as f64
        };
        let from_cache = counters.bytes_from_cache.get();
        let upstream = &counters.upstream;
        let mut fields = vec![
            ("total_requests", Value::Int(total)),
            ("cache_hits", Value::Int(hits)),
            ("cache_misses", Value::Int(misses)),
            ("cache_hit_ratio", Value::Float(ratio)),
            ("in_flight", count(counters.in_flight.get())),
            ("errors", Value::Int(counters.errors.get())),
            ("revalidations", Value::Int(counters.revalidations.get())),
            ("stale_served", Value::Int(counters.stale.get())),
            ("collapsed", Value::Int(counters.collapsed.get())),
            ("stored", Value::Int(counters.stored.get())),
            ("bytes_from_cache", Value::Int(from_cache)),
            (
                "bytes_served",
                Value::Int(from_cache + counters.bytes_fetched.get()),
            ),
            ("upstream_requests", Value::Int(upstream.requests.get())),
            ("upstream_errors", Value::Int(upstream.errors.get())),
            ("upstream_in_flight", count(upstream.in_flight.get())),
            ("upstream_1xx", Value::Int(upstream.responses[0].get())),
            ("upstream_2xx", Value::Int(upstream.responses[1].get())),
            ("upstream_3xx", Value::Int(upstream.responses[2].get())),
            ("upstream_4xx", Value::Int(upstream.responses[3].get())),
            ("upstream_5xx", Value::Int(upstream.responses[4].get())),
            ("bytes_from_upstream", Value::Int(upstream.bytes.get())),
        ];
        fields.extend(gauges.map(|(name, value)| (name, count(value))));
        Snapshot { fields }
    }

    /// Names and numbers: first `total_requests`, `cache_hits`, `cache_misses` and
    /// `cache_hit_ratio`, last the gauges that others supply.
    pub fn fields(&self) -> &[(&'static str, Value)] {
        &self.fields
    }

    /// The number of that name.
    pub fn get(&self, name: &str) -> Option<Value> {
        let found = self.fields.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// A gauge may be read between two steps that belong together; nothing here is below zero.
fn count(value: i64) -> Value {
    Value::Int(u64::try_from(value).unwrap_or(0))
}
