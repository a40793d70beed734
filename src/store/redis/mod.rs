//! Records in Redis.
//!
//! One key for each record (see [`names`]), whose value is the framing of [`codec`](super::codec) and
//! whose expiry is the server's; and one more for a body above 64 KiB, which is read from there as it
//! is consumed (see [`bodies`]). Redis may be slow, hang, be down, or
//! be written to by others; none of it makes a request wait for more than the timeout, and while
//! it is out of reach calls fail at once (see [`breaker`], [`link`] and [`keeper`]).
//!
//! Several instances share what is kept, and a purge on one holds for all. A purge of many
//! responses is written into a [`journal`]; every record tells how much of it its fetch knew of,
//! and counts only if nothing that came after concerns it. The purge of one URI leaves a mark
//! with a nonce at its key for ten minutes. Whatever is stored there carries the nonce on, and a
//! write counts only if the nonce is the one that its lookup saw (see [`scripts`]). So a fetch
//! that was in flight on any instance cannot bring back what was purged meanwhile, whether or not
//! the instances hear each other. Purges that Redis could not be told are told it before anything
//! of it is read again; and so are those of the last minutes where another server has taken its
//! place, which may not know of them.

#[cfg(feature = "memory")]
mod along;
mod bodies;
mod breaker;
mod config;
mod journal;
mod keeper;
#[cfg(feature = "memory")]
mod leases;
mod link;
#[cfg(feature = "memory")]
mod listener;
mod look;
mod names;
mod recent;
mod scripts;
mod sweep;
mod trouble;
mod url;

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use tokio::sync::watch;

pub(super) use self::keeper::Task;
pub use self::{config::RedisConfig, keeper::Availability, url::RedisUrl};
use self::{
    journal::Journal, keeper::Keeper, link::Link, names::Names, scripts::Way, trouble::CallError,
};
#[cfg(feature = "memory")]
pub(super) use self::{
    leases::{Claim, Holder},
    listener::Ears,
};
#[cfg(feature = "memory")]
use super::table::Table;
use super::{
    EntryId, Front, Judge, Looked, Record, Removed, Seen, Store, StoreError, Sweep, Told, codec,
    reading::CHUNK,
};
use crate::{
    clock::Clock,
    policy::{Head, Key, Purge},
};

/// The room for the head and key of a record, besides the largest body.
const HEAD_ROOM: u64 = 256 * 1024;

/// The largest value that is written as a record, and read: the rest of a large body is elsewhere.
const LARGEST: u64 = HEAD_ROOM + CHUNK;

/// A write is not waited for by any request, and may be long: it has this many times the time
/// of a lookup.
const WRITE_PATIENCE: u32 = 10;

/// What was fetched for longer is not stored: it is not remembered for much longer what was purged
/// since.
const LONGEST_FETCH: Duration = Duration::from_secs(9 * 60);

/// The longest time to keep anything: some hundred years, in milliseconds.
const FOR_EVER: u128 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Keeps records in Redis, where they survive a restart and other instances see them.
///
/// Clones share a connection. When the last one is dropped, it is closed.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    state: watch::Receiver<Availability>,
    _keeper: Arc<Task>,
}

/// What store, keeper and listener share.
pub(super) struct Shared {
    link: Arc<Link>,
    config: RedisConfig,
    journal: Journal,
    names: Names,
    keeper: OnceLock<Weak<Task>>,
    #[cfg(feature = "memory")]
    claims: Table<Claim>,
    clock: Clock,
}

impl RedisStore {
    /// A store in the Redis that `config` tells of. Does not wait for it: as long as there is
    /// no connection, lookups fail at once, and it is tried again for ever.
    ///
    /// # Errors
    ///
    /// When the URL or the prefix cannot be right.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(config: RedisConfig) -> Result<Self, StoreError> {
        let largest = config.max_object.saturating_add(HEAD_ROOM);
        let link = Link::new(config.parse()?, largest, config.timeout, &config.prefix);
        let shared = Arc::new(Shared {
            link: Arc::new(link),
            names: Names::new(&config.prefix),
            config,
            journal: Journal::new(),
            keeper: OnceLock::new(),
            #[cfg(feature = "memory")]
            claims: Table::new(),
            clock: Clock::system(),
        });
        let (keeper, state) = Keeper::start(Arc::clone(&shared));
        let keeper = Arc::new(keeper);
        let _ = shared.keeper.set(Arc::downgrade(&keeper));
        Ok(RedisStore {
            shared,
            state,
            _keeper: keeper,
        })
    }

    /// Whether Redis can be used, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<Availability> {
        self.state.clone()
    }

    /// How many calls to Redis are under way: a few hundred at the most, whatever happens.
    pub fn calls(&self) -> usize {
        self.shared.link.calls()
    }

    #[cfg(feature = "memory")]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stores a record, and answers whether it did.
    pub(super) async fn write(
        &self,
        key: &Key,
        record: &Record,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let body = match record {
            Record::Response(entry) => entry.body.len(),
            Record::Vary(_) | Record::Search(_) => 0,
        };
        if body > shared.config.max_object || keep.is_zero() {
            return self.remove(key).await.map(|_| false);
        }
        if shared.link.breaker.is_open() {
            return Err(CallError::Open.into()); // Before the body is copied.
        }
        if !shared.is_recent(seen) {
            return Ok(false);
        }
        let _room = shared.link.room(body + HEAD_ROOM)?;
        let _turn = shared.link.turn()?;
        let (bytes, rest) = match record {
            Record::Response(entry) => {
                let data = entry.body.read().await?;
                let rest = shared.write_rest(key, &data).await?;
                let bytes = codec::encode_response(key, entry, &data, rest.as_ref(), seen);
                (bytes, rest.map(|rest| rest.token))
            }
            Record::Vary(vary) => (codec::encode_vary(key, vary, seen), None),
            Record::Search(search) => (codec::encode_search(key, search, seen), None),
        };
        if bytes.len() as u64 > LARGEST {
            return self.remove(key).await.map(|_| false);
        }
        Ok(shared.put(key, bytes, rest, keep, seen).await?)
    }
}

impl Shared {
    /// How many purges are known here.
    #[cfg(feature = "memory")]
    pub(super) fn known_purges(&self) -> u64 {
        self.journal.number()
    }

    /// Whether the copy of what was in Redis after so many purges is there still.
    #[cfg(feature = "memory")]
    pub(super) fn holds_copy(&self, key: &Key, head: Option<&Head>, number: u64) -> bool {
        self.journal.holds_copy(key, head, number)
    }

    /// Whether nothing that is said there is lost unnoticed. The nodes of a cluster pass on to each
    /// other what they are told, and miss nothing that does not come.
    #[cfg(feature = "memory")]
    pub(super) fn is_heard_from(&self) -> bool {
        !self.link.is_clustered()
    }

    fn write_timeout(&self) -> Duration {
        self.config.timeout.saturating_mul(WRITE_PATIENCE)
    }

    /// Whether all purges since then are remembered.
    fn is_recent(&self, seen: Seen) -> bool {
        let now = self.clock.instant();
        let age = seen.at.map(|at| now.duration_since(at));
        seen.number > 0 && age.is_some_and(|age| age < LONGEST_FETCH)
    }

    /// Forgets in Redis what a purge concerns that Redis could not be told when it was made.
    fn sweep_later(self: &Arc<Self>, purge: Purge, number: u64) {
        let shared = Arc::clone(self);
        // What stays for an error is of no use to anybody, and expires.
        tokio::spawn(async move {
            let judge = |key: &Key, front: &Front| match front {
                Front::Response { head, .. } if purge.concerns(key, head) => Sweep::Remove,
                _ => Sweep::Keep,
            };
            for start in purge.starts() {
                sweep::sweep(&shared, &start, Some(number), &judge).await?;
            }
            shared.swept(number).await.map_err(StoreError::from)
        });
    }
}

impl Store for RedisStore {
    async fn get(&self, key: &Key) -> Result<Looked, StoreError> {
        self.shared.look(key).await
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        sweep::peek(&self.shared, key).await
    }

    async fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        seen: Seen,
    ) -> Result<(), StoreError> {
        self.write(key, &record, keep, seen).await.map(drop)
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, StoreError> {
        let shared = &self.shared;
        if !shared.is_recent(seen) {
            return Ok(false);
        }
        let _turn = shared.link.turn()?;
        match shared.refresh(key, old, &head, keep, seen).await {
            Ok(done) => Ok(done),
            Err(error) if error.is_wrong_type() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&self, key: &Key) -> Result<Removed, StoreError> {
        let shared = &self.shared;
        let at = Some(shared.clock.instant());
        let number = shared.journal.number();
        let removed = match shared.link.turn() {
            Ok(_turn) => shared
                .remove(Way::Open, key)
                .await
                .map_err(StoreError::from),
            Err(error) => Err(error),
        };
        match removed {
            Ok((any, nonce)) => {
                shared.journal.recent.remember(key, shared.clock.instant());
                let seen = Seen {
                    number,
                    nonce,
                    session: 0,
                    at,
                };
                Ok(Removed { any, seen })
            }
            Err(error) => {
                shared.postpone(&Purge::Uri(key.clone()));
                Err(error)
            }
        }
    }

    async fn announce(&self, purge: &Purge) -> Result<Seen, StoreError> {
        self.shared.announce(purge).await
    }

    async fn swept(&self, at: Seen) -> Result<(), StoreError> {
        Ok(self.shared.swept(at.number).await?)
    }

    fn listen(&self, told: Told) {
        self.shared.journal.listen(told);
    }

    /// Deletes what is there when it begins. Touches no key but this store's own.
    async fn clear(&self) -> Result<(), StoreError> {
        sweep::clear(&self.shared).await
    }

    async fn sweep(
        &self,
        start: &str,
        at: Option<Seen>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        sweep::sweep(&self.shared, start, at.map(|at| at.number), judge).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.shared.config)
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
