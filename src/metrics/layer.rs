//! The layers that count.

use std::sync::Arc;

use tower::Layer;

use super::{
    Metrics, MetricsService, UpstreamMetricsService,
    meter::{CacheMeter, UpstreamMeter},
    service::Measured,
};

/// Counts the requests through the cache below it; see the [module](super).
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    meter: CacheMeter,
}

/// Counts the requests to the upstream below it; see the [module](super).
#[derive(Clone, Debug)]
pub struct UpstreamMetricsLayer {
    meter: UpstreamMeter,
}

impl MetricsLayer {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        let meter = CacheMeter(Arc::clone(metrics.counters()));
        MetricsLayer { meter }
    }
}

impl UpstreamMetricsLayer {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        let meter = UpstreamMeter(Arc::clone(metrics.counters()));
        UpstreamMetricsLayer { meter }
    }
}

impl Metrics {
    /// A layer for around the cache.
    pub fn layer(&self) -> MetricsLayer {
        MetricsLayer::new(self.clone())
    }

    /// A layer for around the upstream, under the cache.
    pub fn upstream_layer(&self) -> UpstreamMetricsLayer {
        UpstreamMetricsLayer::new(self.clone())
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = MetricsService<S>;

    fn layer(&self, inner: S) -> MetricsService<S> {
        Measured::new(inner, self.meter.clone())
    }
}

impl<S> Layer<S> for UpstreamMetricsLayer {
    type Service = UpstreamMetricsService<S>;

    fn layer(&self, inner: S) -> UpstreamMetricsService<S> {
        Measured::new(inner, self.meter.clone())
    }
}
