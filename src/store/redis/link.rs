//! The way to Redis: bounded calls over fred's client.
//!
//! fred alone is not enough for a cache that must never wait: its queue has no bound that works,
//! calls that time out stay in it, and a connection that hangs is not noticed under traffic. So
//! each call has a deadline, and calls and bytes under way are counted and the excess refused.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::Error,
    interfaces::{ClientLike, ClusterInterface, KeysInterface},
    types::{
        InfoKind, Value,
        config::{Config, ConnectionConfig, Options, ReconnectPolicy, Server, TcpConfig},
    },
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{
    breaker::Breaker,
    scripts::command,
    trouble::{CallError, Trouble},
};
use crate::{clock::Clock, store::StoreError};

/// Calls under way at a time.
const CALLS: usize = 256;

/// Chunks of large bodies that are read at a time. Lookups share the connection with them, and are
/// not to wait for more than these; so they are few, and the others wait.
const READING: usize = 16;

/// Bytes on their way to Redis at a time, at least. Permits count KiB.
const BYTES: u64 = 64 * 1024 * 1024;

/// What one step of making a connection may take: so that a try against a Redis that hangs is
/// given up soon, and the next one finds it well.
const STEP: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between two tries to connect, in milliseconds.
const PAUSE: (u32, u32) = (50, 250);

/// Does once each thing that is asked of Redis anywhere, to a key that is of no use: who may not do
/// one of them, as its user has no leave to, cannot be helped. The first command takes no room, so
/// that one that is full lets the others pass.
const PROBE: &str = r"
local key = KEYS[1]
redis.call('UNLINK', key)
redis.call('HSET', key, 'n', 1)
redis.call('HGET', key, 'n')
redis.call('HMGET', key, 'n')
redis.call('HEXISTS', key, 'n')
redis.call('HDEL', key, 'n')
redis.call('SETRANGE', key, 0, '1')
redis.call('SET', key, '1', 'PX', 60000)
redis.call('GET', key)
redis.call('GETRANGE', key, 0, 0)
redis.call('STRLEN', key)
redis.call('EXISTS', key)
redis.call('TYPE', key)
redis.call('TIME')
redis.call('EXPIRE', key, 60)
redis.call('PEXPIRE', key, 60000)
redis.call('PTTL', key)
redis.call('RENAME', key, key)
redis.call('DEL', key)
redis.call('PUBLISH', ARGV[1], '')
return 1";

pub(super) struct Link {
    config: Config,
    client: RwLock<Client>,
    /// What a lookup may take.
    patience: Duration,
    /// A key of ours that never holds anything for long, and a channel that nobody listens to.
    probe: String,
    silence: String,
    pub(super) breaker: Breaker,
    full: Notify,
    calls: Semaphore,
    reading: Semaphore,
    bytes: Semaphore,
}

impl Link {
    /// `largest` is the size of the largest value that is to fit, `patience` what a lookup may
    /// take, and `prefix` what all names begin with.
    pub(super) fn new(config: Config, largest: u64, patience: Duration, prefix: &str) -> Self {
        let bytes = kib(BYTES.max(largest));
        Link {
            client: RwLock::new(client(&config)),
            config,
            patience,
            probe: format!("{prefix}::probe"),
            silence: format!("{prefix}::events:probe"),
            breaker: Breaker::new(),
            full: Notify::new(),
            calls: Semaphore::new(CALLS),
            reading: Semaphore::new(READING),
            bytes: Semaphore::new(bytes as usize),
        }
    }

    /// A further client, for listening. It connects once: when that ends, it is of no use.
    #[cfg(feature = "memory")]
    pub(super) fn listener(&self) -> Client {
        let mut config = self.config.clone();
        config.fail_fast = true; // Without a policy, fred would not begin otherwise.
        connected_by(&config, None)
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

    /// Leave to read a chunk of a body, when it is one's turn.
    pub(super) async fn turn_to_read(&self) -> Option<SemaphorePermit<'_>> {
        self.reading.acquire().await.ok() // It is never closed.
    }

    /// Leave to send this many bytes, if there are not too many under way.
    pub(super) fn room(&self, bytes: u64) -> Result<SemaphorePermit<'_>, StoreError> {
        let room = self.bytes.try_acquire_many(kib(bytes));
        room.map_err(|_| StoreError::new("too many bytes are on their way to Redis"))
    }

    /// How many calls are under way.
    pub(super) fn calls(&self) -> usize {
        let reading = READING - self.reading.available_permits();
        CALLS - self.calls.available_permits() + reading
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
        let left = Left::after(self);
        // In a box: those who wait for a call are not to be as large as all that it takes.
        let result = Box::pin(self.attempt(within, run)).await;
        left.stayed();
        match result.as_ref().err().map(Trouble::of) {
            None | Some(Trouble::Refused) => self.breaker.success(),
            Some(Trouble::Full) => {
                self.breaker.success();
                self.full.notify_one();
            }
            Some(Trouble::Lost) => self.breaker.failure(),
            Some(Trouble::Useless) => self.breaker.trip(),
        }
        result.map_err(CallError::Failed)
    }

    /// Waits until Redis has refused to keep something for want of room.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// Forgets that it has: there was room since.
    fn not_full(&self) {
        pin!(self.full.notified()).enable();
    }

    /// Asks whether Redis can be used. Says why not, or which servers it is: others, or others
    /// again, may not know all that these were told.
    pub(super) async fn probe(&self) -> Result<String, Error> {
        // Deleting is what must never fail, and what a replica, for one, refuses.
        let delete = async |client: WithOptions<Client>| client.unlink(&self.probe).await;
        let within = self.patience.min(STEP);
        self.attempt::<Value, _>(within, delete).await?;
        let keys = vec![self.probe.clone().into()];
        let (eval, all) = command(PROBE.to_owned(), keys, vec![self.silence.clone().into()]);
        let everything = async |client: WithOptions<Client>| client.custom(eval, all).await;
        self.attempt::<Value, _>(within, everything).await?;
        let client = self.client();
        if !client.is_clustered() {
            return self.who_is(within, None).await;
        }
        let mut servers = String::new();
        let nodes = client.cached_cluster_state();
        for node in nodes.map_or_else(Vec::new, |nodes| nodes.unique_primary_nodes()) {
            servers += &self.who_is(within, Some(node)).await?;
        }
        Ok(servers)
    }

    /// The name that a server has from its start to its end.
    async fn who_is(&self, within: Duration, node: Option<Server>) -> Result<String, Error> {
        let info = async |client| {
            let client = on(&client, node.as_ref());
            client.info::<String>(Some(InfoKind::Server)).await
        };
        let info = self.attempt(within, info).await?;
        let name = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(name.unwrap_or_default().to_owned())
    }

    /// Asks whether there is room in Redis.
    pub(super) async fn has_room(&self) -> bool {
        // It is refused when there is none, and makes nothing of a key that is not there.
        let write = async |client: WithOptions<Client>| client.setrange(&self.probe, 0, "").await;
        let has_room = match self.attempt::<Value, _>(self.patience, write).await {
            Ok(_) => true,
            Err(error) => Trouble::of(&error) == Trouble::Refused,
        };
        if has_room {
            self.not_full();
        }
        has_room
    }

    pub(super) fn is_clustered(&self) -> bool {
        self.config.server.is_clustered()
    }

    /// How often a command may be sent. In a cluster once more for each time that a node knows
    /// better where the key is.
    fn attempts(&self) -> u32 {
        if self.is_clustered() { 3 } else { 1 }
    }

    /// Makes a call whatever the breaker says.
    pub(super) async fn attempt<T, F>(
        &self,
        within: Duration,
        run: impl FnOnce(WithOptions<Client>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let options = Options {
            timeout: Some(within),
            max_attempts: Some(self.attempts()),
            fail_fast: true,
            ..Options::default()
        };
        run(self.client().with_options(&options)).await
    }
}

/// Notices when a call is given up while Redis makes it wait: whoever leaves before the timeout
/// would else keep the breaker closed for all who come.
struct Left<'a> {
    link: &'a Link,
    since: Instant,
}

impl<'a> Left<'a> {
    fn after(link: &'a Link) -> Self {
        let since = Clock::system().instant();
        Left { link, since }
    }

    fn stayed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        let waited = Clock::system().instant() - self.since;
        if waited >= self.link.patience / 2 {
            self.link.breaker.failure();
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
    let (shortest, longest) = PAUSE;
    let mut policy = ReconnectPolicy::new_exponential(0, shortest, longest, 2);
    policy.set_jitter(20);
    connected_by(config, Some(policy))
}

fn connected_by(config: &Config, policy: Option<ReconnectPolicy>) -> Client {
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
    Client::new(config.clone(), None, Some(connection), policy)
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// The same, for one server of a cluster.
pub(super) fn on(client: &WithOptions<Client>, node: Option<&Server>) -> WithOptions<Client> {
    let mut options = client.options().clone();
    options.cluster_node = node.cloned();
    // On the client within: options around options do not add up.
    Client::with_options(client, &options)
}
