//! Records in memory, bounded in bytes.
//!
//! Heads are kept [packed](packed): a response of 1 KiB with 8 fields takes 693 bytes besides its
//! body, all told (`tests/memory.rs`); with its head as it is used, it took 2428. What a thread
//! unpacked last it has [ready](ready), and a hit on it takes no longer than before. A hit on
//! another unpacks it, which took about as long as the inner service of `benches/in_process` takes
//! to answer.
//!
//! What makes room is chosen by quick_cache, by a variant of CLOCK-Pro. In `benches/hit_ratio` it
//! comes within 1.7 points of the best of S3-FIFO, W-TinyLFU and ARC, or is better, as long as it
//! remembers about half as many evicted keys as it keeps records. With a quarter, it loses up to
//! 2.2 points (many keys that are asked for once); with twice as many, up to 2.5, with eight times
//! as many, up to 6 (even popularity). How many records fit is not known beforehand: as many keys
//! are remembered as if records took [`TYPICAL`] bytes.
//!
//! What is asked for in turn is another matter: by itself, quick_cache stays 9 points behind
//! W-TinyLFU where the turn is a fifth longer than there is room, and 4 where that is mixed with
//! what is popular. To let newcomers in by lot is better there, and costs up to 6 points
//! elsewhere; so it is done where a [trial](trial) shows that it pays. With that, nothing is more
//! than 1.9 points behind the best.

mod item;
mod names;
mod packed;
mod ready;
#[cfg(test)]
mod tests;
mod trial;

use std::{hash::Hash, sync::Arc, thread::available_parallelism, time::Duration};

use quick_cache::{
    DefaultHashBuilder, Equivalent, Options, OptionsBuilder,
    sync::{Cache, DefaultLifecycle, EntryAction, EntryResult},
};
use tokio::{task::yield_now, time::Instant};

pub(super) use self::item::Copied;
use self::{
    item::{ByWeight, Item, Kept, What, weight},
    packed::Packed,
    trial::Trial,
};
use super::{EntryId, Front, Judge, Looked, Record, Removed, Seen, Store, StoreError, Sweep, Told};
use crate::{
    clock::Clock,
    policy::{Head, Key, Purge},
};

/// The weight of a record, for want of knowing, when it is decided how many evicted keys are
/// remembered: one for each so many bytes of the budget.
const TYPICAL: u64 = 4096;

/// How much of the budget, in thousandths, is for what was asked for again. With less, what is asked
/// for in turn is evicted before its turn comes; with more, so is what was popular of late.
const HOT: u64 = 980;

/// The room left for the head and key of a record when shards are made to fit the largest.
const HEAD_ROOM: u64 = 64 * 1024;

/// How many records a sweep looks at before it lets others have the processor.
const AT_A_TIME: usize = 256;

/// The largest body that is kept unless told otherwise.
const MAX_OBJECT: u64 = 8 * 1024 * 1024;

/// Keeps records in memory, within a budget of bytes.
///
/// Bodies, heads, keys and what it takes to keep them count alike. When the budget is spent,
/// what is used least makes room (CLOCK-Pro). Clones share what they keep.
///
/// ```
/// use larder::store::MemoryStore;
///
/// let store = MemoryStore::new(256 * 1024 * 1024).with_max_object(1024 * 1024);
/// assert_eq!(store.stats().entries, 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    table: Arc<Table>,
    trial: Arc<Trial>,
    budget: u64,
    max_object: u64,
    /// The weight above which the table would silently refuse a record.
    heaviest: u64,
    clock: Clock,
}

/// How much a [`MemoryStore`] keeps at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStats {
    /// How many records, those included that have expired and were not asked for since.
    pub entries: u64,
    /// What they weigh, in bytes, against the budget.
    pub bytes: u64,
}

type Table = Cache<Key, Kept, ByWeight>;

impl MemoryStore {
    /// A store of at most `budget` bytes, that keeps bodies of at most 8 MiB.
    pub fn new(budget: u64) -> Self {
        Self::build(budget, MAX_OBJECT)
    }

    /// A new, empty store of the same budget, that keeps bodies of at most `bytes`.
    ///
    /// A record larger than this is not kept. One that is too large for a small budget (its
    /// weight above some 98 % of it) is not kept either.
    pub fn with_max_object(self, bytes: u64) -> Self {
        Self::build(self.budget, bytes)
    }

    fn build(budget: u64, max_object: u64) -> Self {
        let shards = shards(budget, max_object);
        let table = Cache::with_options(
            // All shards have the same capacity, rounded up: so that the sum is not above budget.
            options(budget - budget % shards as u64, shards),
            ByWeight,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        MemoryStore {
            // An item must fit into the hot part of its shard.
            heaviest: table.shard_capacity() / 1000 * HOT,
            table: Arc::new(table),
            trial: Arc::new(Trial::new(budget)),
            budget,
            max_object,
            clock: Clock::system(),
        }
    }

    /// What the largest record weighs that is kept, in bytes: its body, head and key.
    pub fn heaviest(&self) -> u64 {
        self.heaviest
    }

    /// How much is kept at present.
    pub fn stats(&self) -> MemoryStats {
        MemoryStats {
            entries: self.table.len() as u64,
            bytes: self.table.weight(),
        }
    }

    /// The copy of a record that is kept elsewhere, what it was copied by, and what time it is.
    #[cfg(feature = "redis")]
    pub(super) fn copy(&self, key: &Key) -> Option<(Record, Arc<Copied>, Instant)> {
        let (kept, now) = self.look(key)?;
        Some((kept.record(), kept.copied.clone()?, now))
    }

    /// The same, by the text of its key.
    #[cfg(feature = "redis")]
    pub(super) fn copy_at_hand(&self, key: &str) -> Option<(Record, Arc<Copied>)> {
        let kept = self.get(key)?;
        Some((kept.record(), kept.copied.clone()?))
    }

    /// Keeps the copy of a record until it is evicted or removed.
    #[cfg(feature = "redis")]
    pub(super) fn put_copy(&self, key: &Key, record: Record, copied: Copied) {
        self.keep(key, record, Duration::MAX, Some(Arc::new(copied)));
    }

    /// Gives the copy of the response `old` a new head; forgets the copy of another.
    #[cfg(feature = "redis")]
    pub(super) fn refresh_copy(&self, key: &Key, old: EntryId, head: Arc<Head>) {
        if !self.renew(key, old, head, Duration::MAX) {
            self.forget(key);
        }
    }

    /// Drops what is under a key.
    #[cfg(feature = "redis")]
    pub(super) fn forget(&self, key: &Key) {
        self.table.remove(key);
    }

    #[cfg(feature = "redis")]
    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    fn renew(&self, key: &Key, old: EntryId, head: Arc<Head>, keep: Duration) -> bool {
        let now = self.clock.instant();
        let until = self.until(keep);
        // The closure runs under the shard's lock: it must not touch the table. The table weighs
        // the item anew when it is done. Should the item have grown beyond the budget, the next
        // put makes room. As no placeholder outlives this call, there is nothing to wait for.
        let done = self.table.entry(key, Some(Duration::ZERO), |key, kept| {
            let what = match &kept.what {
                What::Response { id, body, .. } if *id == old && !kept.expired(now) => {
                    What::Response {
                        id: old,
                        head: Packed::new(&head),
                        body: body.clone(),
                    }
                }
                _ => return EntryAction::Retain(false),
            };
            let weight = weight(key, &what);
            if weight > self.heaviest {
                return EntryAction::Remove;
            }
            *kept = Arc::new(Item {
                what,
                until,
                weight,
                sample: kept.sample,
                copied: kept.copied.clone(),
            });
            EntryAction::Retain(true)
        });
        matches!(done, EntryResult::Retained(true))
    }

    fn get<Q>(&self, key: &Q) -> Option<Kept>
    where
        Q: Hash + Equivalent<Key> + ?Sized,
    {
        let kept = self.table.get(key)?;
        if let Some(sample) = kept.sample {
            self.trial.ask(sample, kept.weight);
        }
        Some(kept)
    }

    fn look(&self, key: &Key) -> Option<(Kept, Instant)> {
        let kept = self.get(key)?;
        let now = self.clock.instant();
        if kept.expired(now) {
            self.table.remove_if(key, |kept| kept.expired(now));
            return None;
        }
        Some((kept, now))
    }

    fn keep(&self, key: &Key, record: Record, keep: Duration, copied: Option<Arc<Copied>>) {
        let body = match &record {
            Record::Response(entry) => entry.body.len(),
            Record::Vary(_) | Record::Search(_) => 0,
        };
        let what = What::from(record);
        let weight = weight(key, &what);
        if body > self.max_object || weight > self.heaviest || keep.is_zero() {
            // Not kept, but what it would have replaced is out of date all the same.
            self.table.remove(key);
            return;
        }
        let sample = self.trial.sample(key);
        if let Some(sample) = sample {
            self.trial.ask(sample, weight);
        }
        if matches!(what, What::Response { .. }) && !self.lets_in(key) {
            return;
        }
        let item = Item {
            what,
            until: self.until(keep),
            weight,
            sample,
            copied,
        };
        self.table.insert(key.clone(), Arc::new(item));
    }

    /// Whether a response that comes is kept. What is there is replaced in any case.
    fn lets_in(&self, key: &Key) -> bool {
        let full = || self.table.weight() > self.budget - self.budget / 16;
        !self.trial.is_by_lot() || self.trial.draw() || !full() || self.table.contains_key(key)
    }

    fn until(&self, keep: Duration) -> Option<Instant> {
        self.clock.instant().checked_add(keep)
    }
}

impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Looked, StoreError> {
        Ok(self.look(key).map(|(kept, _)| kept.record()).into())
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        let now = self.clock.instant();
        let kept = self.table.peek(key).filter(|kept| !kept.expired(now));
        Ok(kept.map(|kept| kept.front()))
    }

    fn is_local(&self) -> bool {
        true
    }

    fn at_hand(&self, key: &str) -> Option<Record> {
        self.get(key).map(|kept| kept.record())
    }

    async fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        _: Seen,
    ) -> Result<(), StoreError> {
        self.keep(key, record, keep, None);
        Ok(())
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        _: Seen,
    ) -> Result<bool, StoreError> {
        Ok(self.renew(key, old, head, keep))
    }

    async fn remove(&self, key: &Key) -> Result<Removed, StoreError> {
        let now = self.clock.instant();
        let removed = self.table.remove(key);
        Ok(Removed {
            any: removed.is_some_and(|(_, kept)| !kept.expired(now)),
            ..Removed::default()
        })
    }

    async fn announce(&self, _: &Purge) -> Result<Seen, StoreError> {
        Ok(Seen::default()) // Who sweeps next has it forgotten.
    }

    async fn swept(&self, _: Seen) -> Result<(), StoreError> {
        Ok(())
    }

    fn listen(&self, _: Told) {
        // Nobody shares it but who purges it.
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.table.clear();
        Ok(())
    }

    async fn sweep(
        &self,
        start: &str,
        _: Option<Seen>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        // The table is locked for one step at a time.
        for (n, (key, kept)) in self.table.iter().enumerate() {
            if n % AT_A_TIME == 0 {
                yield_now().await;
            }
            if !key.as_str().starts_with(start) || kept.expired(self.clock.instant()) {
                continue;
            }
            let front = kept.front();
            match (judge(&key, &front), front) {
                (Sweep::Keep, _) => {}
                (Sweep::Renew(head, keep), Front::Response { id, .. }) => {
                    self.refresh(&key, id, head, keep, Seen::default()).await?;
                }
                (Sweep::Remove | Sweep::Renew(..), _) => {
                    self.table.remove(&key);
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore")
            .field("budget", &self.budget)
            .field("max_object", &self.max_object)
            .field("stats", &self.stats())
            .finish()
    }
}

/// For a table of so many bytes.
fn options(bytes: u64, shards: usize) -> Options {
    OptionsBuilder::new()
        .shards(shards)
        .weight_capacity(bytes)
        // How many evicted keys are remembered, to tell returning ones from newcomers.
        .estimated_items_capacity((bytes / TYPICAL).clamp(1, 1 << 20) as usize)
        .ghost_allocation(1.0)
        .hot_allocation(HOT as f64 / 1000.0)
        .build()
        .expect("both capacities are given")
}

/// How many shards: four for each core, so that cores seldom meet at one lock, unless the budget
/// is small. Capacity is per shard, and a shard should hold four of the largest records: one
/// that does not fit is refused, and one that just fits drives everything else out of its shard.
fn shards(budget: u64, max_object: u64) -> usize {
    let largest = max_object.saturating_add(HEAD_ROOM);
    let fit = (budget / largest.saturating_mul(4)).max(1);
    let wanted = 4 * available_parallelism().map_or(1, |cores| cores.get());
    // The table rounds up to a power of two: round down before.
    1 << fit.min(wanted as u64).ilog2()
}
