//! The program: larder's layers around an upstream, behind a server.
//!
//! [`Proxy::bind`] makes ready all that can fail, [`Proxy::run`] serves. What is served is one
//! value of nested services, put together in `stack` and [`Proxy::run`].

mod admin;
mod backend;
mod body;
mod clear;
pub mod config;
mod data;
mod docs;
mod envelope;
mod error;
mod explain;
mod fields;
mod figures;
mod forward;
mod framing;
mod health;
mod hosts;
mod interim;
mod logging;
mod once;
mod origin;
mod rescue;
mod router;
mod server;
mod stack;
mod target;

use std::{any::Any, fmt, net::SocketAddr};

use http::{Response, header};
use tokio::net::{TcpListener, lookup_host};
use tower::Layer;
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
};

use self::{
    admin::Admin,
    body::Spliced,
    config::Config,
    docs::Docs,
    envelope::Envelope,
    error::ApiError,
    explain::Explain,
    figures::MetricsPage,
    health::Health,
    router::{Own, Router},
    server::Draining,
    target::Targets,
};
pub use self::{
    clear::clear, hosts::HostRule, logging::start as start_logging, once::explain, origin::Origin,
};
use crate::{
    cache::{Manner, Purge, Purged},
    log::LogLayer,
};

/// A proxy that listens, and does not serve yet.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    parts: stack::Parts,
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the program could not start: a sentence.
#[derive(Debug)]
pub struct StartError(String);

impl Proxy {
    /// Listens where `config` says.
    pub async fn bind(config: Config) -> Result<Proxy, StartError> {
        let listener = listen(&config).await?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError(format!("The address in use is unknown: {error}.")))?;
        let parts = stack::Parts::open(&config).await?;
        Ok(Proxy {
            config,
            parts,
            listener,
            address,
        })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, and then finishes what is in flight.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let config = self.config;
        let draining = Draining::default();
        let stack = self.parts.stack();
        let cache = self.parts.cache();
        let explained = cache.clone();
        let own = Own {
            envelope: Envelope::new(stack.clone(), Targets::new(&config), config.max_object),
            admin: Admin::new(Targets::new(&config), move |purge, manner| {
                let cache = cache.clone();
                async move {
                    match (&purge, manner) {
                        // Without looking at what there is.
                        (Purge::All, Manner::Forget) => {
                            cache.clear().await.map(|()| Purged::default())
                        }
                        _ => cache.purge_by(&purge, manner).await,
                    }
                }
            }),
            explain: Explain::new(Targets::new(&config), move |request| {
                let cache = explained.clone();
                async move { cache.explain(&request).await }
            }),
            metrics: MetricsPage::new(self.parts.metrics.clone()),
            docs: Docs::new(&config.prefix),
            health: Health::new(draining.clone(), self.parts.cache_is_well()),
        };
        let app = Router::new(config.prefix.clone(), own, config.origin.clone(), stack);
        // A panic is a bug, and costs one request.
        let app = CatchPanicLayer::custom(panicked).layer(app);
        let app = LogLayer::requests().layer(app);
        // Credentials are not shown by whatever prints a request.
        let secrets = [
            header::AUTHORIZATION,
            header::COOKIE,
            header::PROXY_AUTHORIZATION,
        ];
        let app = SetSensitiveRequestHeadersLayer::new(secrets).layer(app);
        announce(&config, self.address);
        server::serve(self.listener, app, draining, shutdown).await;
    }
}

/// The answer to a request that made the program panic.
fn panicked(panic: Box<dyn Any + Send>) -> Response<Spliced> {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = said, "a request made larder panic");
    ApiError::internal().into_response()
}

/// Listens on the first of the host's addresses that can be listened on.
async fn listen(config: &Config) -> Result<TcpListener, StartError> {
    let (host, port) = (config.host.as_str(), config.port);
    let failed = |error| StartError(format!("Cannot listen on {host}, port {port}: {error}."));
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(failed)?.collect();
    TcpListener::bind(addresses.as_slice())
        .await
        .map_err(failed)
}

/// The events that tell an operator what was started.
fn announce(config: &Config, address: SocketAddr) {
    let redis =
        (config.backend == config::BackendKind::Redis).then(|| config.redis_url.to_string());
    tracing::info!(backend = %config.backend, redis, ttl = %config.ttl, "cache ready");
    let origin = config.origin.as_ref().map(ToString::to_string);
    tracing::info!(%address, origin, "listening on http://{address}");
}

/// A future that ends when the process is asked to stop, from now on.
pub fn stop_signal() -> Result<impl Future<Output = ()>, StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        StartError(error.to_string())
    }
}
