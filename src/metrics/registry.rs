//! The numbers: what is counted, under which names, and the two forms in which it is read.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, family::Family, gauge::ConstGauge},
    registry::{Registry, Unit},
};

#[cfg(feature = "proxy")]
use std::time::Duration;

use super::{
    histogram::Durations,
    sharded::{Counter, Gauge},
    snapshot::Snapshot,
};

/// A label and its value: every labelled metric here has one label.
type Label = [(&'static str, &'static str); 1];

/// larder's numbers. A cheap handle: clones count into, and read, the same numbers.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Mutex<Registry>,
    counters: Arc<Counters>,
    gauges: Mutex<Vec<Supplied>>,
}

/// The handles that the hot path counts with, looked up once.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) revalidations: Counter,
    pub(super) stale: Counter,
    pub(super) collapsed: Counter,
    pub(super) stored: Counter,
    pub(super) errors: Counter,
    pub(super) bytes_from_cache: Counter,
    pub(super) bytes_fetched: Counter,
    pub(super) in_flight: Gauge,
    pub(super) durations: DurationsBy,
    pub(super) upstream: UpstreamCounters,
}

/// Time to the response head, by what came of the request.
#[derive(Debug)]
pub(super) struct DurationsBy {
    pub(super) hit: Durations,
    pub(super) stale: Durations,
    pub(super) collapsed: Durations,
    pub(super) revalidated: Durations,
    pub(super) miss: Durations,
    pub(super) error: Durations,
}

#[derive(Debug)]
pub(super) struct UpstreamCounters {
    pub(super) requests: Counter,
    pub(super) errors: Counter,
    /// By the status's first digit, from 1xx to 5xx.
    pub(super) responses: [Counter; 5],
    pub(super) bytes: Counter,
    pub(super) in_flight: Gauge,
    pub(super) durations: Durations,
}

/// A gauge whose value somebody else knows.
#[derive(Clone)]
struct Supplied {
    name: &'static str,
    help: &'static str,
    value: Arc<dyn Fn() -> i64 + Send + Sync>,
    counts: bool,
}

// === impl Metrics ===

impl Metrics {
    /// Numbers that all stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("larder");
        let counters = Arc::new(Counters::registered(&mut registry));
        Metrics {
            shared: Arc::new(Shared {
                registry: Mutex::new(registry),
                counters,
                gauges: Mutex::default(),
            }),
        }
    }

    /// Adds a gauge that `value` is asked for whenever the numbers are read. Its name should be
    /// in Prometheus' manner (`cache_entries`, `cache_bytes`); `larder_` is put before it in the
    /// OpenMetrics text.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> i64 + Send + Sync + 'static,
    ) {
        self.supply(Supplied {
            name,
            help,
            value: Arc::new(value),
            counts: false,
        });
    }

    /// Adds a counter that `value` is asked for whenever the numbers are read, as for a
    /// [gauge](Self::gauge); `_total` is put behind its name in the OpenMetrics text.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.supply(Supplied {
            name,
            help,
            value: Arc::new(move || i64::try_from(value()).unwrap_or(i64::MAX)),
            counts: true,
        });
    }

    fn supply(&self, supplied: Supplied) {
        lock(&self.shared.gauges).push(supplied.clone());
        lock(&self.shared.registry).register_collector(Box::new(supplied));
    }

    /// Counts a hit with so many bytes of body that no layer has seen.
    #[cfg(feature = "proxy")]
    pub(crate) fn hit_at_once(&self, bytes: u64, took: Duration) {
        let counters = self.counters();
        counters.hits.inc();
        counters.bytes_from_cache.inc_by(bytes);
        counters.durations.hit.observe(took);
    }

    /// All numbers as they stand now.
    pub fn snapshot(&self) -> Snapshot {
        // Asked outside the lock: what others supply may take a while, or read these numbers.
        let gauges = lock(&self.shared.gauges).clone();
        let gauges = gauges.iter().map(|gauge| (gauge.name, (gauge.value)()));
        Snapshot::of(&self.shared.counters, gauges)
    }

    /// The numbers as OpenMetrics text (`application/openmetrics-text; version=1.0.0`).
    pub fn open_metrics(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        text::encode(&mut text, &lock(&self.shared.registry))
            .expect("a String takes whatever is written to it");
        text
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A panic while the lock was held leaves lists that are as good as before.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Counters ===

impl Counters {
    fn registered(registry: &mut Registry) -> Self {
        let results = Family::<Label, Counter>::default();
        registry.register(
            "cache_requests",
            "Requests through the cache, each a hit or a miss",
            results.clone(),
        );
        let bytes = Family::<Label, Counter>::default();
        registry.register_with_unit(
            "cache_response",
            "Bytes of bodies sent to clients, by where they came from",
            Unit::Bytes,
            bytes.clone(),
        );
        let durations = Family::<Label, Durations>::default();
        registry.register_with_unit(
            "cache_request_duration",
            "Time to the response head, by what came of the request",
            Unit::Seconds,
            durations.clone(),
        );
        let result = |value| durations.get_or_create_owned(&[("outcome", value)]);
        Counters {
            hits: results.get_or_create_owned(&[("result", "hit")]),
            misses: results.get_or_create_owned(&[("result", "miss")]),
            revalidations: counter(
                registry,
                "cache_revalidations",
                "Stale responses that the origin confirmed",
            ),
            stale: counter(registry, "cache_stale", "Stale responses served"),
            collapsed: counter(
                registry,
                "cache_collapsed",
                "Requests that waited for another's fetch",
            ),
            stored: counter(registry, "cache_stored", "Responses stored"),
            errors: counter(
                registry,
                "cache_errors",
                "Requests that ended in an error instead of a response",
            ),
            bytes_from_cache: bytes.get_or_create_owned(&[("source", "cache")]),
            bytes_fetched: bytes.get_or_create_owned(&[("source", "upstream")]),
            in_flight: gauge(
                registry,
                "cache_requests_in_flight",
                "Requests whose response is not at its end yet",
            ),
            durations: DurationsBy {
                hit: result("hit"),
                stale: result("stale"),
                collapsed: result("collapsed"),
                revalidated: result("revalidated"),
                miss: result("miss"),
                error: result("error"),
            },
            upstream: UpstreamCounters::registered(registry),
        }
    }
}

impl UpstreamCounters {
    fn registered(registry: &mut Registry) -> Self {
        let responses = Family::<Label, Counter>::default();
        registry.register(
            "upstream_responses",
            "Responses from the upstream, by class of status",
            responses.clone(),
        );
        let durations = Durations::default();
        registry.register_with_unit(
            "upstream_request_duration",
            "Time to the upstream's response head",
            Unit::Seconds,
            durations.clone(),
        );
        let bytes = Counter::default();
        registry.register_with_unit(
            "upstream_response",
            "Bytes of bodies received from the upstream",
            Unit::Bytes,
            bytes.clone(),
        );
        UpstreamCounters {
            requests: counter(registry, "upstream_requests", "Requests to the upstream"),
            errors: counter(
                registry,
                "upstream_errors",
                "Requests to the upstream that got no response, or not a whole one",
            ),
            responses: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|class| responses.get_or_create_owned(&[("status", class)])),
            bytes,
            in_flight: gauge(
                registry,
                "upstream_requests_in_flight",
                "Requests to the upstream whose response is not at its end yet",
            ),
            durations,
        }
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

// === impl Supplied ===

impl Collector for Supplied {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let value = (self.value)();
        if self.counts {
            let counter = ConstCounter::new(u64::try_from(value).unwrap_or_default());
            let kind = counter.metric_type();
            let metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
            return counter.encode(metric);
        }
        let gauge = ConstGauge::new(value);
        let metric = encoder.encode_descriptor(self.name, self.help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}

impl fmt::Debug for Supplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Supplied").field(&self.name).finish()
    }
}
