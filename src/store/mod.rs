//! Keeping records under keys.
//!
//! A store keeps, it does not judge: it never decides freshness and never picks a variant. It may
//! forget anything at any time.

mod changes;
#[cfg(feature = "redis")]
mod codec;
mod error;
mod gather;
#[cfg(feature = "memory")]
mod memory;
mod payload;
mod reading;
#[cfg(feature = "redis")]
mod redis;
mod seen;
mod spare;
#[cfg(all(feature = "memory", feature = "redis"))]
mod table;
#[cfg(all(feature = "memory", feature = "redis"))]
mod tiered;
#[cfg(all(feature = "memory", feature = "redis"))]
mod together;
mod turn;

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;

#[cfg(feature = "redis")]
#[doc(hidden)]
pub use self::codec::Codec;
#[cfg(all(feature = "redis", any(test, fuzzing)))]
pub use self::codec::fuzz_redis_record;
#[cfg(feature = "memory")]
pub use self::memory::{MemoryStats, MemoryStore};
#[cfg(feature = "redis")]
pub use self::redis::{Availability, RedisConfig, RedisStore, RedisUrl};
#[cfg(all(feature = "memory", feature = "redis"))]
pub use self::tiered::TieredStore;
pub(crate) use self::{
    changes::Changes,
    gather::gather,
    reading::Piece,
    spare::{Again, Elsewhere, Spare},
};
pub use self::{
    error::StoreError,
    payload::{Payload, Verdict},
    seen::{Looked, Removed, Seen},
    turn::{Ask, Lease, Turn, Wait},
};
use crate::policy::{Head, Key, Purge, Search, Vary};

/// A place where records are kept.
///
/// # Contract
///
/// - An error means: not known. The cache then goes to the origin as on a miss; it never fails
///   a request because of a store. So a store answers soon, or with an error.
/// - `put` is all or nothing: no reader ever sees half a record.
/// - After `remove`, `announce` or `clear` has answered, nothing older is returned; and a write
///   that goes by something that was [seen](Seen) before does nothing.
/// - `keep` is how long the record is of use; a store drops it then, and may do so sooner.
pub trait Store: Send + Sync + 'static {
    /// The record kept under `key`, and what a write has to know that follows from it.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Looked, StoreError>> + Send;

    /// The same, and with it whether to fetch what is not there: of all who share what is kept,
    /// one does, and the others wait for it. Where there are variants, what is known of the one that
    /// is asked for by these `fields` of a request may come along with their mark; whose turn it is,
    /// is about that one then.
    fn get_or_turn(
        &self,
        key: &Key,
        ask: Ask,
        fields: &HeaderMap,
    ) -> impl Future<Output = Result<(Looked, Turn), StoreError>> + Send {
        let _ = (ask, fields);
        async move { Ok((self.get(key).await?, Turn::Free)) }
    }

    /// Whether others may keep and fetch the same, elsewhere.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether what others purge is heard of, and was without a break since something was `seen`:
    /// else what was begun then may have been purged meanwhile.
    fn is_heard_since(&self, seen: Seen) -> bool {
        let _ = seen;
        true
    }

    /// What is kept under `key`, without its body. It does not count as use, where a store makes
    /// room by use: who looks changes nothing.
    fn peek(&self, key: &Key) -> impl Future<Output = Result<Option<Front>, StoreError>> + Send;

    /// Whether keeping a record takes no longer than copying it: nothing outside of this process
    /// is waited for.
    fn is_local(&self) -> bool {
        false
    }

    /// The record under the key of this text, if it is at hand: in memory, with nothing to wait
    /// for. Nothing, or a record whose time is over, tells nothing.
    fn at_hand(&self, _key: &str) -> Option<Record> {
        None
    }

    /// Keeps `record` under `key`, in place of what was there; unless `key` was purged since it
    /// was `seen`.
    fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        seen: Seen,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the response `old` that is kept under `key` a new head, and keeps its body; does
    /// nothing and answers `false` when something else is there by now, or `key` was purged since
    /// it was `seen`.
    fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        seen: Seen,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Forgets `key`. Answers whether there was anything.
    fn remove(&self, key: &Key) -> impl Future<Output = Result<Removed, StoreError>> + Send;

    /// Lets nothing be stored or returned any more that `purge` concerns and that was seen
    /// before, here and by all others who share what is kept. A [sweep](Store::sweep) at what
    /// this answers then forgets it, or makes it stale.
    fn announce(&self, purge: &Purge) -> impl Future<Output = Result<Seen, StoreError>> + Send;

    /// All that an announced purge concerns was swept.
    fn swept(&self, at: Seen) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// From here on, calls `told` of each purge that somebody else announces who shares what is
    /// kept.
    fn listen(&self, told: Told);

    /// Forgets everything.
    fn clear(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Shows `judge` every record whose key's text begins with `start`, and does with each what
    /// it says. Takes time by how much is stored, and holds up nobody meanwhile; what comes or
    /// changes while it lasts may be shown, or not; of a purge that was announced (`at`), what
    /// was stored after it is not.
    fn sweep(
        &self,
        start: &str,
        at: Option<Seen>,
        judge: &Judge<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Decides about one record of a [sweep](Store::sweep).
pub type Judge<'a> = dyn Fn(&Key, &Front) -> Sweep + Send + Sync + 'a;

/// A number that nobody can guess, for telling things apart.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Is told of purges, within a tokio runtime. It does not wait.
pub type Told = Arc<dyn Fn(&Purge) + Send + Sync>;

/// A record without its body.
#[derive(Clone, Debug)]
pub enum Front {
    /// A response.
    Response {
        /// Which one.
        id: EntryId,
        /// Its head.
        head: Arc<Head>,
        /// The length of its body, where the store can tell without reading it.
        size: Option<u64>,
        /// How often it was served without the origin being asked, where the store can tell.
        hits: Option<u64>,
    },
    /// The mark that there are variants.
    Vary(Arc<Vary>),
    /// The mark that not all of a query matters.
    Search(Arc<Search>),
}

/// What becomes of a record that a [sweep](Store::sweep) came by.
#[derive(Clone, Debug)]
pub enum Sweep {
    /// It stays as it is.
    Keep,
    /// It is forgotten.
    Remove,
    /// It gets a new head, and is kept for so long, as [`Store::refresh`] does.
    Renew(Arc<Head>, Duration),
}

/// What is kept under a key.
#[derive(Clone, Debug)]
pub enum Record {
    /// A response.
    Response(Entry),
    /// The mark that the responses are kept under keys of their own, one for each variant.
    Vary(Arc<Vary>),
    /// The mark that responses are kept under keys of their own, one for all queries that are the
    /// same by its rule.
    Search(Arc<Search>),
}

impl Front {
    /// The head of a response; a mark has none.
    #[cfg(feature = "redis")]
    pub(crate) fn head(&self) -> Option<&Head> {
        match self {
            Front::Response { head, .. } => Some(head),
            Front::Vary(_) | Front::Search(_) => None,
        }
    }
}

impl Record {
    /// The head of a response; a mark has none.
    #[cfg(feature = "redis")]
    pub(crate) fn head(&self) -> Option<&Head> {
        match self {
            Record::Response(entry) => Some(&entry.head),
            Record::Vary(_) | Record::Search(_) => None,
        }
    }

    /// The record without its body.
    pub fn front(&self) -> Front {
        match self {
            Record::Response(Entry { id, head, body }) => Front::Response {
                id: *id,
                head: Arc::clone(head),
                size: Some(body.len()),
                hits: Some(body.verdict().hits()),
            },
            Record::Vary(vary) => Front::Vary(Arc::clone(vary)),
            Record::Search(search) => Front::Search(Arc::clone(search)),
        }
    }
}

/// A stored response. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which response this is, among all that were ever stored under its key.
    pub id: EntryId,
    /// Its head.
    pub head: Arc<Head>,
    /// Its body and trailers.
    pub body: Payload,
}

/// Identifies one stored response: it stays when the head is freshened, and changes when the
/// response is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub u64);
