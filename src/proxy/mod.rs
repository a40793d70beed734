//! The program: larder's layers around an upstream, behind a server.
//!
//! [`Proxy::bind`] makes ready all that can fail, [`Proxy::run`] serves. What is served is one
//! value of nested services, put together in `stack` and [`Proxy::run`]; before it stands `front`,
//! which answers plain hits in memory as those services would, and before that `express`, which
//! asks `front` without hyper where a client asks again as it did before.

mod access;
mod admin;
mod backend;
mod body;
mod clear;
pub mod config;
mod data;
mod docs;
mod draining;
mod ended;
mod envelope;
mod error;
mod explain;
mod express;
mod fields;
mod figures;
mod forward;
mod frames;
mod framing;
mod front;
mod health;
mod hosts;
mod idle;
mod interim;
mod limits;
mod logging;
mod once;
mod origin;
mod pace;
mod past;
mod patience;
mod rescue;
mod room;
mod router;
mod server;
mod stack;
mod target;
mod tls;
mod track;
mod trailers;
mod unsent;
mod wire;

use std::{any::Any, fmt, io, net::SocketAddr, pin::Pin};

use http::{Response, header};
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
};

#[cfg(any(test, fuzzing))]
pub use self::target::fuzz_proxy_url;
pub use self::{
    access::Token,
    clear::clear,
    hosts::{HostRule, PortRule},
    limits::Limits,
    logging::start as start_logging,
    once::explain,
    origin::Origin,
};
use self::{
    access::{Access, Entrance, Serves},
    admin::Admin,
    body::Spliced,
    config::Config,
    docs::Docs,
    draining::Draining,
    envelope::{Envelope, Holds},
    error::ApiError,
    explain::Explain,
    fields::Unkeyed,
    figures::MetricsPage,
    health::Health,
    limits::Bounds,
    router::{Own, Router},
    target::Targets,
    tls::{Reload, Tls},
};
use crate::{
    cache::{Manner, Purge, Purged},
    log::LogLayer,
};

/// How many connections the system keeps until they are accepted. Whoever comes when there are
/// more is not refused but unheard, and tries again a second later.
const BACKLOG: u32 = 4096;

/// Bytes for a client that the system takes before it has sent those before them.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// A proxy that listens, and does not serve yet.
#[derive(Debug)]
pub struct Proxy {
    config: Config,
    parts: stack::Parts,
    listener: Listener,
    /// Where the controls are, if not there.
    controls: Option<Listener>,
    tls: Option<(Tls, Reload)>,
}

/// A socket that listens.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// The future of [`Proxy::run`]. It is no opaque one, so that what it takes some minutes to compile
/// is compiled here, and not again in each program and test that polls it.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of [`clear()`] and [`explain()`].
pub type Once<'a> = Pin<Box<dyn Future<Output = Result<String, String>> + 'a>>;

/// The future of [`Proxy::bind`].
pub type Binding = Pin<Box<dyn Future<Output = Result<Proxy, StartError>> + Send>>;

/// Why the program could not start: a sentence.
#[derive(Debug)]
pub struct StartError(String);

impl Proxy {
    /// Listens where `config` says.
    pub fn bind(config: Config) -> Binding {
        Box::pin(Self::listen(config))
    }

    async fn listen(config: Config) -> Result<Proxy, StartError> {
        let tls = config.tls.as_ref().map(tls::open).transpose();
        let tls = tls.map_err(StartError)?;
        let listener = Listener::bind(&config.host, config.port).await?;
        let controls = match &config.admin {
            Some((host, port)) => Some(Listener::bind(host, *port).await?),
            None => None,
        };
        let own = [&listener].into_iter().chain(&controls);
        let own: Vec<SocketAddr> = own.map(|own| own.address).collect();
        let parts = stack::Parts::open(&config, &own).await?;
        Ok(Proxy {
            config,
            parts,
            listener,
            controls,
            tls,
        })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.address
    }

    /// The address that the controls listen on.
    pub fn controls_addr(&self) -> SocketAddr {
        let listener = self.controls.as_ref().unwrap_or(&self.listener);
        listener.address
    }

    /// Serves until `shutdown`, and then finishes what is in flight.
    pub fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Serving {
        Box::pin(self.serve(Box::pin(shutdown)))
    }

    async fn serve(self, shutdown: Serving) {
        let addresses = (self.local_addr(), self.controls_addr());
        let config = self.config;
        let draining = Draining::default();
        let bounds = Bounds::new(config.limits.clone(), config.timeout);
        bounds.show(&self.parts.metrics);
        let stack = self.parts.stack();
        let cache = self.parts.cache();
        let explained = cache.clone();
        // Otherwise they are the store's own.
        let hits_are_held = config.backend == config::BackendKind::Redis && !config.near;
        let own = Own {
            envelope: Envelope::new(
                stack.clone(),
                Targets::new(&config),
                config.max_object,
                Holds::new(&bounds, hits_are_held),
            ),
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
            docs: Docs::new(&config.prefix, self.controls.is_none()),
            health: Health::new(draining.clone(), self.parts.cache_is_well()),
            bounds: bounds.clone(),
            unkeyed: Unkeyed::new(&config),
        };
        let names = config.admin.iter().map(|(host, _)| host);
        let names = names.chain([&config.host]);
        let access = Access::new(config.admin_token.clone(), names);
        announce(&config, &access, addresses);
        let prefix = config.prefix.clone();
        let front = self.parts.front(&config, &draining);
        let router = Router::new(prefix, access, own, config.origin.clone(), stack);
        // Credentials are not shown by whatever prints a request.
        let secrets = [
            header::AUTHORIZATION,
            header::COOKIE,
            header::PROXY_AUTHORIZATION,
        ];
        let layers = ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new(secrets))
            .layer(LogLayer::requests())
            // A panic is a bug, and costs one request.
            .layer(CatchPanicLayer::custom(panicked as fn(_) -> _));
        let tls = match self.tls {
            Some((tls, reload)) => {
                tokio::spawn(reload.run());
                Some(tls)
            }
            None => {
                tokio::spawn(tls::nothing_to_reload());
                None
            }
        };
        let serve = |listener: Listener, serves: Serves| {
            let (layers, router, address) = (layers.clone(), router.clone(), listener.address);
            let app = move |peer| {
                let entrance = Entrance::new(serves, address, peer);
                layers.service(router.at(entrance))
            };
            let tls = tls.clone();
            let front = front.at(serves);
            let (bounds, draining) = (bounds.clone(), draining.clone());
            server::serve(listener.socket, tls, (app, front), bounds, draining)
        };
        let proxied = match self.controls {
            Some(_) => Serves::Proxied,
            None => Serves::All,
        };
        let main = serve(self.listener, proxied);
        let controls = self.controls.map(|it| serve(it, Serves::Controls));
        let controls = async {
            match controls {
                Some(served) => served.await,
                None => true,
            }
        };
        let stop = async {
            shutdown.await;
            tracing::info!("stopping: no new connections, finishing what is in flight");
            draining.begin();
        };
        match tokio::join!(stop, main, controls) {
            ((), true, true) => tracing::info!("stopped"),
            _ => tracing::warn!("stopped, with requests still in flight"),
        }
    }
}

/// The answer to a request that made the program panic.
fn panicked(panic: Box<dyn Any + Send>) -> Response<Spliced> {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = said, "a request made larder panic");
    ApiError::internal().into_response()
}

impl Listener {
    /// Listens on the first of the host's addresses that can be listened on.
    async fn bind(host: &str, port: u16) -> Result<Listener, StartError> {
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => " Another program listens there: name another port.",
                io::ErrorKind::AddrNotAvailable => " It is none of this machine: see --host.",
                _ => "",
            };
            StartError(format!(
                "Cannot listen on {host}, port {port}: {error}.{hint}"
            ))
        };
        let addresses = lookup_host((host, port)).await.map_err(failed)?;
        let none = io::Error::other("it has no address");
        let mut listening = Err(none);
        for address in addresses {
            listening = listen(address);
            if listening.is_ok() {
                break;
            }
        }
        let socket = listening.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Listener { socket, address })
    }
}

/// As `TcpListener::bind` does, but for how many may wait.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    keep_little_unsent(&socket)?;
    socket.listen(BACKLOG)
}

/// What is accepted from this socket has little of what was not sent yet in the system's memory:
/// else that is megabytes for each client that does not read. What is on the way does not count.
#[cfg(target_os = "linux")]
fn keep_little_unsent(socket: &TcpSocket) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(target_os = "linux"))]
fn keep_little_unsent(_: &TcpSocket) -> io::Result<()> {
    Ok(())
}

/// The events that tell an operator what was started.
fn announce(config: &Config, access: &Access, (main, controls): (SocketAddr, SocketAddr)) {
    let redis =
        (config.backend == config::BackendKind::Redis).then(|| config.redis_url.to_string());
    tracing::info!(backend = %config.backend, redis, ttl = %config.ttl, "cache ready");
    if access.is_closed(controls) {
        tracing::warn!(
            "DELETE /cache, GET /cache and PURGE are refused: larder listens beyond loopback and \
             has no --admin-token"
        );
    }
    if !config.upstream_proxy.is_none() {
        tracing::info!(proxy = %config.upstream_proxy, "fetching through a proxy");
    }
    let scheme = match config.tls {
        Some(_) => "https",
        None => "http",
    };
    if controls != main {
        tracing::info!(controls = %controls, "controls listen on {scheme}://{controls}");
    }
    let origin = config.origin.as_ref().map(ToString::to_string);
    tracing::info!(address = %main, origin, "listening on {scheme}://{main}");
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
