//! The store that is chosen when the program starts.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::time::timeout;

use super::{
    StartError,
    config::{BackendKind, Config},
};
use crate::{
    metrics::Metrics,
    policy::{Head, Key, Purge},
    store::{
        Ask, Availability, EntryId, Front, Judge, Looked, MemoryStore, Record, RedisConfig,
        RedisStore, Removed, Seen, Store, StoreError, TieredStore, Told, Turn,
    },
    upstream::tls,
};

/// How long the start waits for Redis. It goes on without.
const REDIS_START: Duration = Duration::from_millis(500);

/// One of the stores.
#[derive(Debug)]
pub(super) enum Backend {
    Memory(MemoryStore),
    Redis(TieredStore),
}

impl Backend {
    /// The store that `config` asks for. What it keeps is shown in `metrics`.
    pub(super) async fn open(config: &Config, metrics: &Metrics) -> Result<Self, StartError> {
        match config.backend {
            BackendKind::Memory => {
                let store = memory(config);
                show(&store, metrics);
                Ok(Backend::Memory(store))
            }
            BackendKind::Redis => {
                let mut settings = RedisConfig::at(config.redis_url.clone())
                    .prefix(&config.redis_prefix)
                    .timeout(config.redis_timeout)
                    .max_object(config.max_object);
                if let Some(file) = &config.redis_ca {
                    let roots = tls::read_pem(file);
                    let roots = roots.map_err(|error| StartError(format!("{error}.")))?;
                    settings = settings.root_certificates(roots);
                }
                let store = RedisStore::connect(settings);
                let store = store.map_err(|error| StartError(format!("Redis: {error}.")))?;
                let (up, calls) = (store.state(), store.clone());
                metrics.gauge("redis_up", "Whether Redis can be used", move || {
                    i64::from(matches!(
                        *up.borrow(),
                        Availability::Up | Availability::Full
                    ))
                });
                metrics.gauge("redis_calls", "Calls to Redis under way", move || {
                    i64::try_from(calls.calls()).unwrap_or(i64::MAX)
                });
                let full = store.state();
                metrics.gauge("redis_full", "Whether Redis keeps nothing new", move || {
                    i64::from(*full.borrow() == Availability::Full)
                });
                let mut state = store.state();
                let known = state.wait_for(|state| *state != Availability::Connecting);
                let _ = timeout(REDIS_START, known).await;
                tokio::spawn(tell_of_redis(store.state(), config.redis_url.to_string()));
                let store = match config.near {
                    false => TieredStore::without_near(store),
                    true => {
                        let near = memory(config);
                        show(&near, metrics);
                        TieredStore::with_near(store, near, config.near_ttl)
                    }
                };
                Ok(Backend::Redis(store))
            }
        }
    }

    /// A question that may be asked at any time: whether it does all that it should.
    pub(super) fn is_well(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let redis = match self {
            Backend::Memory(_) => None,
            Backend::Redis(store) => Some(store.far().state()),
        };
        move || {
            redis
                .as_ref()
                .is_none_or(|state| *state.borrow() == Availability::Up)
        }
    }
}

/// A store in memory, of the size that was chosen.
fn memory(config: &Config) -> MemoryStore {
    let store = MemoryStore::new(config.memory).with_max_object(config.max_object);
    if store.heaviest() < config.max_object {
        tracing::warn!(
            memory = config.memory,
            max_object = config.max_object,
            largest = store.heaviest(),
            "the memory is too small for the largest objects: they are fetched each time (--memory, \
             --max-object)"
        );
    }
    store
}

/// Shows what is kept in memory.
fn show(store: &MemoryStore, metrics: &Metrics) {
    let (entries, bytes) = (store.clone(), store.clone());
    metrics.gauge("cache_entries", "Records in memory", move || {
        i64::try_from(entries.stats().entries).unwrap_or(i64::MAX)
    });
    metrics.gauge("cache_bytes", "Bytes that the records take", move || {
        i64::try_from(bytes.stats().bytes).unwrap_or(i64::MAX)
    });
}

/// Logs when Redis is lost, and when it is back. Ends with the store.
async fn tell_of_redis(mut state: tokio::sync::watch::Receiver<Availability>, url: String) {
    let mut before = Availability::Connecting;
    loop {
        let now = state.borrow_and_update().clone();
        match (&before, &now) {
            (_, Availability::Connecting) => {}
            (Availability::Connecting, Availability::Up) => {
                tracing::info!(redis = url, "redis connected");
            }
            (Availability::Full, Availability::Up) => {
                tracing::info!(redis = url, "redis has room again");
            }
            (_, Availability::Up) => tracing::info!(redis = url, "redis is back"),
            (_, Availability::Full) => {
                let said = "redis is full: nothing new is kept until it has room";
                tracing::warn!(redis = url, "{said}");
            }
            (_, Availability::Down(reason)) => {
                let said = "redis lost: serving from the upstream until it is back";
                tracing::warn!(redis = url, reason, "{said}");
            }
        }
        before = now;
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// What a store is asked, asked of the one that was chosen.
///
/// What it takes to ask Redis is some 8 KB, and would be carried about by every request that is
/// answered from memory: it is in a box.
macro_rules! ask {
    ($backend:expr, $store:ident => $question:expr, await) => {
        match $backend {
            Backend::Memory($store) => $question.await,
            Backend::Redis($store) => Box::pin($question).await,
        }
    };
    ($backend:expr, $store:ident => $question:expr) => {
        match $backend {
            Backend::Memory($store) => $question,
            Backend::Redis($store) => $question,
        }
    };
}

impl Store for Backend {
    async fn get(&self, key: &Key) -> Result<Looked, StoreError> {
        ask!(self, store => store.get(key), await)
    }

    async fn get_or_turn(
        &self,
        key: &Key,
        ask: Ask,
        fields: &HeaderMap,
    ) -> Result<(Looked, Turn), StoreError> {
        ask!(self, store => store.get_or_turn(key, ask, fields), await)
    }

    fn is_shared(&self) -> bool {
        ask!(self, store => store.is_shared())
    }

    fn is_heard_since(&self, seen: Seen) -> bool {
        ask!(self, store => store.is_heard_since(seen))
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        ask!(self, store => store.peek(key), await)
    }

    fn at_hand(&self, key: &str) -> Option<Record> {
        ask!(self, store => store.at_hand(key))
    }

    fn is_local(&self) -> bool {
        ask!(self, store => store.is_local())
    }

    async fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        seen: Seen,
    ) -> Result<(), StoreError> {
        ask!(self, store => store.put(key, record, keep, seen), await)
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, StoreError> {
        ask!(self, store => store.refresh(key, old, head, keep, seen), await)
    }

    async fn remove(&self, key: &Key) -> Result<Removed, StoreError> {
        ask!(self, store => store.remove(key), await)
    }

    async fn announce(&self, purge: &Purge) -> Result<Seen, StoreError> {
        ask!(self, store => store.announce(purge), await)
    }

    async fn swept(&self, at: Seen) -> Result<(), StoreError> {
        ask!(self, store => store.swept(at), await)
    }

    fn listen(&self, told: Told) {
        ask!(self, store => store.listen(told))
    }

    async fn clear(&self) -> Result<(), StoreError> {
        ask!(self, store => store.clear(), await)
    }

    async fn sweep(
        &self,
        start: &str,
        at: Option<Seen>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        ask!(self, store => store.sweep(start, at, judge), await)
    }
}
