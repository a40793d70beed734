//! What answers every request that is not about larder itself: the layers, in their order.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{BoxError, Service, ServiceBuilder};

use super::{
    StartError,
    backend::Backend,
    config::{BackendKind, Config},
    data,
    draining::Draining,
    forward,
    front::Front,
    rescue::RescueLayer,
    target::Targets,
};
use crate::{
    cache::{CacheHandle, CacheLayer},
    log::LogLayer,
    metrics::Metrics,
    query::{QueryBody, QueryLayer},
    upstream::{Upstream, tls},
};

/// All that the stack is made of, made ready.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) metrics: Metrics,
    cache: CacheLayer<Backend>,
    upstream: Upstream,
}

impl Parts {
    /// `own` are the addresses that larder itself listens on.
    pub(super) async fn open(config: &Config, own: &[SocketAddr]) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let backend = Backend::open(config, &metrics).await?;
        let cache = CacheLayer::builder(backend)
            .policy(config.policy())
            .max_object(config.max_object)
            .max_in_flight(config.limits.fills)
            .max_waiting(config.limits.waiting)
            .inspect(data::inspect)
            .store_timeout(match config.backend {
                BackendKind::Memory => Duration::MAX,
                BackendKind::Redis => config.redis_timeout,
            })
            .debug_headers(config.debug_headers)
            .build();
        let flights = cache.handle();
        metrics.gauge("flights", "Fetches that others may wait for", move || {
            i64::try_from(flights.flights()).unwrap_or(i64::MAX)
        });
        let (waited, filled, grown) = (cache.handle(), cache.handle(), cache.handle());
        let help = "Requests that were not let wait for another's fetch";
        metrics.counter("refused_waiting", help, move || waited.turned_away());
        let help = "Bodies that were not stored because others took up all room";
        metrics.counter("refused_fills", help, move || filled.over_budget());
        let help = "Bodies that were not stored because they are too large";
        metrics.counter("refused_objects", help, move || grown.over_size());
        Ok(Parts {
            metrics,
            cache,
            upstream: upstream(config, own)?,
        })
    }

    /// What answers hits before the stack is asked.
    pub(super) fn front(&self, config: &Config, draining: &Draining) -> Front {
        Front::new(
            config,
            (self.cache(), self.metrics.clone()),
            draining.clone(),
        )
    }

    pub(super) fn cache(&self) -> CacheHandle<Backend> {
        self.cache.handle()
    }

    /// A question that may be asked at any time: whether the cache does all that it should.
    pub(super) fn cache_is_well(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        self.cache.handle().store().is_well()
    }

    /// The stack, from the client's side to the origin's.
    pub(super) fn stack<Q>(
        &self,
    ) -> impl Service<
        Request<Q>,
        Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
        Error = Infallible,
        Future = impl Send,
    > + Clone
    + Send
    + Sync
    + 'static
    where
        Q: Body<Data = Bytes> + Send + 'static,
        Q::Error: Into<BoxError> + Send,
    {
        ServiceBuilder::new()
            // Makes responses of errors, here and nowhere else.
            .layer(RescueLayer)
            // Counts hits and misses, and what came of them: below the rescue it sees the errors.
            .layer(self.metrics.layer())
            // Reads what a QUERY asks, which is part of its key.
            .layer(QueryLayer::new())
            // Answers from the store, or lets one request for each key go on.
            .layer(self.cache.clone().copy_bodies(QueryBody::<Q>::copy))
            // Counts what the upstream was asked, and how it answered.
            .layer(self.metrics.upstream_layer())
            // Logs how the upstream answered, or that it did not.
            .layer(LogLayer::upstream())
            // Says in both directions that larder was on the way.
            .map_request(forward::outgoing)
            .map_response(forward::incoming)
            .service(self.upstream.clone())
    }
}

/// What the origin is asked by.
pub(super) fn upstream(config: &Config, own: &[SocketAddr]) -> Result<Upstream, StartError> {
    let mut upstream = Upstream::builder()
        .timeout(config.timeout)
        .allow_private(config.allow_private)
        .proxies(config.upstream_proxy.clone())
        .refuse(own.iter().copied());
    for (host, port) in Targets::new(config).trusted() {
        upstream = upstream.trust(&host, port);
    }
    if let Some(file) = &config.tls_ca {
        let roots = tls::read_pem(file).map_err(|error| StartError(error.to_string()))?;
        upstream = upstream.root_certificates(roots);
    }
    Ok(upstream.build())
}
