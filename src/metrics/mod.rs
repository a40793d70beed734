//! Counters and latency histograms, as tower layers around the cache and around the upstream.
//!
//! [`MetricsLayer`] goes around the cache, of which it knows only the
//! [`Outcome`](crate::outcome::Outcome) in a response's extensions. Every request that passes is
//! one hit or one miss: an error, a response without an outcome, and a caller that goes away
//! before there is a response are misses. [`UpstreamMetricsLayer`] goes around the upstream,
//! under the cache. Either may be used without the other.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use larder::{metrics::{Metrics, Value}, outcome::Outcome};
//! use tower::{Layer, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let metrics = Metrics::new();
//! let cache = tower::service_fn(|_: Request<()>| async {
//!     let mut response = Response::new(Full::new(Bytes::from("kept")));
//!     response.extensions_mut().insert(Outcome::hit(60));
//!     Ok::<_, std::convert::Infallible>(response)
//! });
//! let response = metrics.layer().layer(cache).oneshot(Request::new(())).await.unwrap();
//! response.into_body().collect().await.unwrap();
//!
//! let numbers = metrics.snapshot();
//! assert_eq!(numbers.fields()[1], ("cache_hits", Value::Int(1)));
//! assert_eq!(numbers.get("bytes_from_cache"), Some(Value::Int(4)));
//! assert!(metrics.open_metrics().ends_with("# EOF\n"));
//! # });
//! ```

mod future;
mod histogram;
mod layer;
mod meter;
mod registry;
mod service;
mod sharded;
mod snapshot;
#[cfg(test)]
mod tests;

pub use self::{
    future::ResponseFuture,
    layer::{MetricsLayer, UpstreamMetricsLayer},
    registry::Metrics,
    service::Measured,
    snapshot::{Snapshot, Value},
};
use crate::body_end::BodyEnd;

/// The service of [`MetricsLayer`].
pub type MetricsService<S> = Measured<S, meter::CacheMeter>;
/// The service of [`UpstreamMetricsLayer`].
pub type UpstreamMetricsService<S> = Measured<S, meter::UpstreamMeter>;
/// The body of a response that came through [`MetricsLayer`].
pub type ResponseBody<B> = BodyEnd<B, meter::CacheBody>;
/// The body of a response that came through [`UpstreamMetricsLayer`].
pub type UpstreamResponseBody<B> = BodyEnd<B, meter::UpstreamBody>;
