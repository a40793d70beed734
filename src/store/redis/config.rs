//! Where Redis is, and how patient to be with it.

use std::{fmt, time::Duration};

use fred::types::config::Config;

use crate::store::StoreError;

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
    url: String,
    pub(super) prefix: String,
    pub(super) timeout: Duration,
    pub(super) max_object: u64,
}

impl RedisConfig {
    /// The Redis at `url`: `redis://[[user:]password@]host[:port][/database]`, `rediss://` over
    /// TLS; with `-cluster` or `-sentinel` after the scheme for those deployments.
    pub fn new(url: impl Into<String>) -> Self {
        RedisConfig {
            url: url.into(),
            prefix: "larder".to_owned(),
            timeout: Duration::from_millis(50),
            max_object: 8 * 1024 * 1024,
        }
    }

    /// What every key begins with, before a colon: `larder`, unless told otherwise.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a lookup waits for Redis before it is a miss: 50 ms, unless told otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest body that is kept: 8 MiB, unless told otherwise.
    pub fn max_object(mut self, bytes: u64) -> Self {
        self.max_object = bytes;
        self
    }

    /// What fred makes of it. No error shows any of the URL: a password may be anywhere in one
    /// that is not well-formed.
    pub(super) fn parse(&self) -> Result<Config, StoreError> {
        if self.prefix.is_empty() || self.prefix.contains(|c: char| c <= ' ' || c == '\x7f') {
            let why = "the prefix of the keys in Redis is empty, or has blanks in it";
            return Err(StoreError::new(why));
        }
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme);
        let scheme = scheme.map(|scheme| scheme.trim_end_matches("-cluster"));
        let scheme = scheme.map(|scheme| scheme.trim_end_matches("-sentinel"));
        if !matches!(scheme, Some("redis" | "rediss" | "valkey" | "valkeys")) {
            let why = "the Redis URL does not begin with redis:// or rediss://";
            return Err(StoreError::new(why));
        }
        let mut config = Config::from_url(&self.url).map_err(|error| {
            let what = match error.details() {
                "InvalidPort" => "its port is not a number up to 65535",
                "EmptyHost" | "Invalid or missing host." => "it names no host",
                "Invalid database path." | "Invalid integer string." => {
                    "its path is not the number of a database"
                }
                "Invalid or missing sentinel service name." => "sentinelServiceName is missing",
                _ => "it is not well-formed",
            };
            StoreError::new(format!("the Redis URL is not valid: {what}"))
        })?;
        config.fail_fast = false; // Start while Redis is down.
        Ok(config)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("max_object", &self.max_object)
            .finish_non_exhaustive()
    }
}
