//! The way to Redis: bounded calls over fred's client.
//!
//! fred alone is not enough for a cache that must never wait: its queue has no bound that works,
//! calls that time out stay in it, and a connection that hangs is not noticed under traffic. So
//! each call has a deadline, and calls and bytes under way are counted and the excess refused.

use std::{
    fmt,
    future::Future,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::config::{Config, ConnectionConfig, Options, ReconnectPolicy, TcpConfig},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::breaker::Breaker;
use crate::store::StoreError;

/// Calls under way at a time.
const CALLS: usize = 256;

/// Bytes on their way to Redis at a time, at least. Permits count KiB.
const BYTES: u64 = 64 * 1024 * 1024;

/// What one step of making a connection may take: so that a try against a Redis that hangs is
/// given up soon, and the next one finds it well.
const STEP: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between two tries to connect, in milliseconds.
const PAUSE: (u32, u32) = (50, 500);

pub(super) struct Link {
    config: Config,
    client: RwLock<Client>,
    pub(super) breaker: Breaker,
    calls: Semaphore,
    bytes: Semaphore,
}

impl Link {
    /// `largest` is the size of the largest value that is to fit.
    pub(super) fn new(config: Config, largest: u64) -> Self {
        let bytes = kib(BYTES.max(largest));
        Link {
            client: RwLock::new(client(&config)),
            config,
            breaker: Breaker::new(),
            calls: Semaphore::new(CALLS),
            bytes: Semaphore::new(bytes as usize),
        }
    }

    pub(super) fn client(&self) -> Client {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }

    /// A new client in place of the old one, with nothing queued.
    pub(super) fn start_over(&self) -> Client {
        let client = client(&self.config);
        let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
        *current = client.clone();
        client
    }

    /// Leave to make a call, if there are not too many under way.
    pub(super) fn turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let turn = self.calls.try_acquire();
        turn.map_err(|_| StoreError::new("too many calls to Redis are under way"))
    }

    /// Leave to send this many bytes, if there are not too many under way.
    pub(super) fn room(&self, bytes: u64) -> Result<SemaphorePermit<'_>, StoreError> {
        let room = self.bytes.try_acquire_many(kib(bytes));
        room.map_err(|_| StoreError::new("too many bytes are on their way to Redis"))
    }

    /// Makes a call, and lets the breaker know how it went.
    pub(super) async fn call<T, F>(
        &self,
        within: Duration,
        run: impl FnOnce(WithOptions<Client>) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if self.breaker.is_open() {
            return Err(CallError::Open);
        }
        let result = self.attempt(within, run).await;
        match &result {
            Err(error) if is_trouble(error) => self.breaker.failure(),
            _ => self.breaker.success(),
        }
        result.map_err(CallError::Failed)
    }

    /// Asks whether Redis answers. Says why not.
    pub(super) async fn probe(&self, within: Duration) -> Result<(), Error> {
        let pong = self.attempt(within, async |client| client.ping::<()>(None).await);
        match pong.await {
            Err(error) if is_trouble(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn attempt<T, F>(
        &self,
        within: Duration,
        run: impl FnOnce(WithOptions<Client>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let options = Options {
            timeout: Some(within),
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        };
        run(self.client().with_options(&options)).await
    }
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(super) enum CallError {
    /// It was not made: Redis is out of reach.
    Open,
    /// It was made, and failed.
    Failed(Error),
}

impl CallError {
    /// Whether Redis said that something other than a record is under the key.
    pub(super) fn is_wrong_type(&self) -> bool {
        matches!(self, CallError::Failed(error) if error.details().starts_with("WRONGTYPE"))
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Open => StoreError::new("Redis is out of reach"),
            CallError::Failed(error) => StoreError::because("a call to Redis failed", error),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the config: it holds the password.
        f.debug_struct("Link")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

fn client(config: &Config) -> Client {
    let connection = ConnectionConfig {
        connection_timeout: STEP,
        internal_command_timeout: STEP,
        max_command_attempts: 1,
        // No bound on fred's queue: after it was reached once, the client never flushed again.
        max_command_buffer_len: 0,
        tcp: TcpConfig {
            nodelay: Some(true),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let (shortest, longest) = PAUSE;
    let mut policy = ReconnectPolicy::new_exponential(0, shortest, longest, 2);
    policy.set_jitter(20);
    Client::new(config.clone(), None, Some(connection), Some(policy))
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// Whether the error tells that Redis cannot be used at present, and not only that it refused
/// this one call. What it replies begins with a word in capitals.
fn is_trouble(error: &Error) -> bool {
    let word = error.details().split(' ').next().unwrap_or_default();
    let reply = word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase());
    let unable = matches!(
        word,
        "NOAUTH" | "WRONGPASS" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN"
    );
    (!reply || unable) && !matches!(error.kind(), ErrorKind::Parse | ErrorKind::InvalidArgument)
}
