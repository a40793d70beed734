//! Where Redis is, and how patient to be with it.

use std::{fmt, time::Duration};

use fred::types::config::{Config, TlsConfig, TlsHostMapping};
use rustls::pki_types::CertificateDer;

use super::{
    names::fit_cluster,
    url::{Names, RedisUrl},
};
use crate::{store::StoreError, trust};

/// How to reach Redis, and what to keep there.
///
/// ```
/// use larder::store::RedisConfig;
///
/// let config = RedisConfig::new("redis://:secret@127.0.0.1:6379/1").prefix("shop");
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    url: Result<RedisUrl, &'static str>,
    roots: Vec<CertificateDer<'static>>,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) max_object: u64,
}

impl RedisConfig {
    /// The Redis at `url`, which is a [`RedisUrl`] in words.
    pub fn new(url: impl AsRef<str>) -> Self {
        RedisConfig::of(RedisUrl::parse(url.as_ref()))
    }

    /// The Redis at `url`.
    pub fn at(url: RedisUrl) -> Self {
        RedisConfig::of(Ok(url))
    }

    fn of(url: Result<RedisUrl, &'static str>) -> Self {
        RedisConfig {
            url,
            roots: Vec::new(),
            prefix: "larder".to_owned(),
            timeout: Duration::from_millis(50),
            max_object: 8 * 1024 * 1024,
        }
    }

    /// Over TLS, trusts these besides Mozilla's roots. There is no way to trust anybody.
    pub fn root_certificates(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = roots;
        self
    }

    /// What every key begins with, before a colon: `larder`, unless told otherwise.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long one lookup waits for Redis before it is a miss: 50 ms, unless told otherwise. A
    /// request may make more than one: see
    /// [`store_timeout`](crate::cache::Builder::store_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest body that is kept: 8 MiB, unless told otherwise.
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.max_object = bytes;
        self
    }

    /// What fred makes of it. No error shows any of the URL.
    pub(super) fn parse(&self) -> Result<Config, StoreError> {
        if self.prefix.is_empty() || self.prefix.contains(|c: char| c <= ' ' || c == '\x7f') {
            let why = "the prefix of the keys in Redis is empty, or has blanks in it";
            return Err(StoreError::new(why));
        }
        let url = self.url.as_ref().map_err(|accepted| {
            StoreError::new(format!("the Redis URL is not valid: it must be {accepted}"))
        })?;
        let mut config = url.config.clone();
        if config.server.is_clustered() && !fit_cluster(&self.prefix) {
            let why = "in a cluster, a `{` in the prefix of the keys must have a `}` further on, and \
                something between them";
            return Err(StoreError::new(why));
        }
        config.tls = url.tls.map(|names| TlsConfig {
            connector: trust::client_config(self.roots.clone()).into(),
            hostnames: match names {
                Names::OfUrl => TlsHostMapping::DefaultHost,
                Names::Own => TlsHostMapping::None,
            },
        });
        Ok(config)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("max_object", &self.max_object)
            .finish_non_exhaustive()
    }
}
