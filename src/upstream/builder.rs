//! How an [`Upstream`] is set up.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    Upstream,
    connect::{Connector, Transport},
    dial::{Dial, Lookup, system_lookup},
    guard::Trusted,
    proxy::{Proxies, Reach},
};

/// How long an idle connection is kept: less than the five seconds after which many servers
/// close theirs.
const IDLE: Duration = Duration::from_secs(4);

/// What is read ahead of a body over HTTP/1, and the longest head of a response.
const READ_AHEAD: usize = 64 * 1024;

/// The same of a body over HTTP/2.
const STREAM_WINDOW: u32 = 512 * 1024;

/// What is read ahead of all bodies on one HTTP/2 connection: more than all of its streams would
/// fill, so that those whose readers are slow do not hold up the others.
const CONNECTION_WINDOW: u32 = 1 << 30;

/// A timeout beyond this would overflow the clock's arithmetic, and nobody waits for it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Sets up an [`Upstream`]; from [`Upstream::builder`].
pub struct Builder {
    timeout: Option<Duration>,
    trusted: Trusted,
    allow_private: bool,
    refused: Vec<SocketAddr>,
    lookup: Lookup,
    proxies: Proxies,
    idle_timeout: Duration,
    max_idle_per_host: usize,
    #[cfg(feature = "tls")]
    roots: Vec<rustls::pki_types::CertificateDer<'static>>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            timeout: None,
            trusted: Trusted::default(),
            allow_private: false,
            refused: Vec::new(),
            lookup: system_lookup(),
            proxies: Proxies::default(),
            idle_timeout: IDLE,
            max_idle_per_host: 128,
            #[cfg(feature = "tls")]
            roots: Vec::new(),
        }
    }

    /// How long to wait for the head of a response (name lookup, connecting and TLS included),
    /// and between two pieces of a body. Without it: for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into().map(|timeout| timeout.min(LONGEST));
        self
    }

    /// Lets `host`, at `port`, lead to any address; for the origin and for hosts allowed by name.
    /// All other hosts are reached at [public](super::is_public) addresses only.
    pub fn trust(mut self, host: &str, port: u16) -> Self {
        self.trusted.add(host, port);
        self
    }

    /// Lets every host lead to any address.
    pub fn allow_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// Never sends a request to these sockets of this machine, except for hosts that are
    /// [trusted](Self::trust): where a proxy itself listens. An unspecified address stands for all
    /// that the machine has.
    pub fn refuse(mut self, sockets: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.refused.extend(sockets);
        self
    }

    /// Looks names up with `lookup` instead of the system's resolver. Literals of addresses are
    /// not looked up.
    pub fn resolver<F, R>(mut self, lookup: F) -> Self
    where
        F: Fn(String) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        self.lookup = Arc::new(move |name| Box::pin(lookup(name)));
        self
    }

    /// Sends requests through proxies, which then look the names up: of those that are not
    /// [trusted](Self::trust), only literals of [public](super::is_public) addresses and names of
    /// the public DNS are asked for, and where such a name leads is for the proxy to judge.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// How long an idle connection is kept; 4 seconds. It should be less than what the server
    /// allows: a request that crosses with its closing fails, and one with a body is not repeated.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout.min(LONGEST);
        self
    }

    /// How many idle connections are kept for each host; 128. None are with 0.
    pub fn max_idle_per_host(mut self, max: usize) -> Self {
        self.max_idle_per_host = max;
        self
    }

    /// Trusts further root certificates, beside Mozilla's; see [`read_pem`](super::tls::read_pem).
    /// Those that are no certificates are passed over.
    #[cfg(feature = "tls")]
    pub fn root_certificates(
        mut self,
        roots: impl IntoIterator<Item = rustls::pki_types::CertificateDer<'static>>,
    ) -> Self {
        self.roots.extend(roots);
        self
    }

    /// The upstream.
    pub fn build(self) -> Upstream {
        let dial = Dial::new(self.trusted, self.allow_private, self.lookup, self.timeout)
            .refusing(self.refused);
        let reach = Reach {
            dial,
            proxies: self.proxies.clone(),
        };
        #[cfg(feature = "tls")]
        let transport: Transport = super::tls::connector(reach, self.roots);
        #[cfg(not(feature = "tls"))]
        let transport: Transport = reach;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            .http1_max_buf_size(READ_AHEAD)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            // Finds out that the other side of an HTTP/2 connection is gone while requests wait.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .build(Connector {
                transport,
                timeout: self.timeout,
                proxies: self.proxies.clone(),
            });
        Upstream::new(client, self.timeout, self.proxies)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("timeout", &self.timeout)
            .field("allow_private", &self.allow_private)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_idle_per_host", &self.max_idle_per_host)
            .finish_non_exhaustive()
    }
}
