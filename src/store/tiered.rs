//! Two tiers: a near one in memory before the one in Redis.
//!
//! What is read from Redis, or stored there, is copied into memory, unless it would drive too much
//! else out; a large body when somebody has read all of it. A copy is served while it is
//! sure that its purge would have been heard of, or for a short time after Redis was asked; after
//! that Redis is asked again, and while it is out of reach there is nothing. Purges of many
//! responses are not carried out on the copies: each copy is held against those that came since
//! it was last served, so a hit costs no more than a comparison of two numbers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Ask, Entry, EntryId, Front, Judge, Lease, Looked, MemoryStats, MemoryStore, Payload, Record,
    RedisStore, Removed, Seen, Store, StoreError, Sweep, Told, Turn, Wait,
    memory::Copied,
    reading::Taker,
    redis::{Claim, Ears, Holder, Shared, Task},
    together::Together,
};
use crate::{
    clock::Clock,
    policy::{Head, Key, Purge},
};

/// A body of more than this part of the near tier's budget stays in Redis only: it would drive
/// too much else out.
const LARGE: u64 = 64;

/// The part of the near tier's budget that bodies may take, all together, while they are copied as
/// they are read: what is read when there is no more is not copied.
const COPYING: u64 = 8;

/// Keeps records in Redis, and copies of those that are in use in memory.
///
/// Several instances may share a Redis: what one purges is gone on all of them. From Redis,
/// nothing older is served from the moment that the purge has answered; copies in memory go as
/// soon as it is heard of, and within [`near_ttl`](Self::with_near) whatever happens.
///
/// Clones share what they keep, and the connections to Redis.
#[derive(Clone)]
pub struct TieredStore {
    near: Option<Near>,
    far: RedisStore,
    ears: Arc<Ears>,
    looks: Arc<Together<(Looked, Holder)>>,
    clock: Clock,
    _listener: Arc<Task>,
}

#[derive(Clone)]
struct Near {
    store: MemoryStore,
    largest: u64,
    /// The room for bodies that are being copied, in KiB.
    copying: Arc<Semaphore>,
    /// How long a copy is good after Redis was asked, whatever is heard.
    good_for: Duration,
}

/// For how long what is being fetched is shared where nothing is heard, and there are no copies.
const UNHEARD: Duration = Duration::from_secs(2);

/// How often is it proved that others are heard where there are no copies.
const UNHURRIED: Duration = Duration::from_secs(8);

impl TieredStore {
    /// Keeps copies of what is in `far` within a budget of bytes. A copy is served for at most
    /// `near_ttl` after it was last certain that no other instance has purged it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or when `near_ttl` is zero.
    pub fn with_near(far: RedisStore, near: MemoryStore, near_ttl: Duration) -> Self {
        let near = Near {
            largest: near.budget() / LARGE,
            copying: Arc::new(Semaphore::new(kib(near.budget() / COPYING) as usize)),
            store: near,
            good_for: near_ttl,
        };
        TieredStore::build(far, Some(near), near_ttl)
    }

    /// Keeps no copies, but hears of what other instances purge.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn without_near(far: RedisStore) -> Self {
        TieredStore::build(far, None, UNHURRIED)
    }

    fn build(far: RedisStore, near: Option<Near>, good_for: Duration) -> Self {
        let copies = near.as_ref().map(|near| near.store.clone());
        let (ears, listener) = far.shared().listen(good_for, move |key| {
            if let Some(copies) = &copies {
                copies.forget(key);
            }
        });
        TieredStore {
            near,
            far,
            ears,
            looks: Arc::new(Together::new()),
            clock: Clock::system(),
            _listener: Arc::new(listener),
        }
    }

    /// The tier in Redis.
    pub fn far(&self) -> &RedisStore {
        &self.far
    }

    /// Whether it is sure to hear what other instances do. Without, copies are good for a short
    /// time only, and nobody waits for what another fetches.
    pub fn hears(&self) -> bool {
        let session = self.ears.session();
        self.ears.has_heard(session, self.clock.instant())
    }

    /// How much the near tier keeps at present.
    pub fn near(&self) -> Option<MemoryStats> {
        self.near.as_ref().map(|near| near.store.stats())
    }

    fn shared(&self) -> &Arc<Shared> {
        self.far.shared()
    }

    /// The copy of a record, if it may be served now.
    fn copy(&self, near: &Near, key: &Key) -> Option<Looked> {
        let (record, copied, now) = near.store.copy(key)?;
        let seen = copied.seen;
        if !self.is_sure(near, seen, now) {
            return None;
        }
        let number = self.shared().known_purges();
        if copied.holds.load(Ordering::Acquire) != number {
            // There were purges since it was last served.
            let holds = copied.holds.load(Ordering::Acquire);
            if !self.shared().holds_copy(key, record.head(), holds) {
                near.store.forget(key);
                return None;
            }
            copied.holds.store(number, Ordering::Release);
        }
        Some(Looked {
            record: Some(record),
            seen: Seen {
                number,
                at: Some(now),
                ..seen
            },
            variant: None,
        })
    }

    /// Whether a copy of what was `seen` may be served at `now`: its purge would have been heard of,
    /// or Redis was asked not long ago.
    fn is_sure(&self, near: &Near, seen: Seen, now: Instant) -> bool {
        let confirmed = || {
            let age = seen.at.map(|at| now.duration_since(at));
            age.is_some_and(|age| age < near.good_for)
        };
        self.shared().is_heard_from() && self.ears.has_heard(seen.session, now) || confirmed()
    }

    /// Copies what a look into Redis finds.
    async fn copied<T: Default>(
        &self,
        key: &Key,
        looked: impl Future<Output = Result<(Looked, T), StoreError>>,
    ) -> Result<(Looked, T), StoreError> {
        let session = self.ears.session();
        let Some(near) = &self.near else {
            let (mut looked, more) = looked.await?;
            looked.seen.session = session;
            if let Some((_, along)) = looked.variant.as_deref_mut() {
                along.seen.session = session;
            }
            return Ok((looked, more));
        };
        let changes = self.ears.changes.seen(key);
        let at = self.clock.instant();
        let Ok((mut looked, more)) = looked.await else {
            // What comes instead may be copied for a while, though not be stored in Redis.
            let seen = Seen {
                number: self.shared().known_purges(),
                at: Some(at),
                ..Seen::NOTHING
            };
            return Ok((
                Looked {
                    seen,
                    ..Looked::default()
                },
                T::default(),
            ));
        };
        looked.seen.session = session;
        self.copy_found(near, key, &mut looked, changes);
        if let Some((key, along)) = looked.variant.as_deref_mut() {
            along.seen.session = session;
            self.copy_found(near, key, along, changes);
        }
        Ok((looked, more))
    }

    /// Copies what was found, unless the key has changed after `changes`.
    fn copy_found(&self, near: &Near, key: &Key, looked: &mut Looked, changes: u64) {
        if self.ears.changes.seen(key) != changes {
            return; // What came meanwhile is newer.
        }
        let seen = looked.seen;
        match &mut looked.record {
            Some(Record::Response(entry)) if entry.body.data().is_none() => {
                near.store.forget(key);
                *entry = self.copied_when_read(near, key, entry.clone(), seen, changes);
            }
            Some(record) => self.keep(near, key, record.clone(), seen, changes),
            None => near.store.forget(key),
        }
    }

    /// The same response, which is copied, if it is not too large, as soon as somebody has read all
    /// of it.
    fn copied_when_read(
        &self,
        near: &Near,
        key: &Key,
        entry: Entry,
        seen: Seen,
        changes: u64,
    ) -> Entry {
        let length = entry.body.len();
        if length > near.largest {
            return entry;
        }
        let (tiers, near, key, found) = (self.clone(), near.clone(), key.clone(), entry.clone());
        let copier = move || {
            let room = Arc::clone(&near.copying).try_acquire_many_owned(kib(length));
            let room = room.ok()?;
            let (tiers, near, key) = (tiers.clone(), near.clone(), key.clone());
            let (head, trailers) = (Arc::clone(&found.head), found.body.trailers().cloned());
            let (id, verdict) = (found.id, found.body.verdict().clone());
            let take: Taker = Box::new(move |data| {
                let trailers = trailers.map(Arc::unwrap_or_clone);
                let body = Payload::new(data, trailers).with_verdict(verdict);
                let copy = Record::Response(Entry { id, head, body });
                tiers.keep(&near, &key, copy, seen, changes);
                drop(room);
            });
            Some(take)
        };
        let body = entry.body.map_rest(|rest| rest.copied_by(copier));
        Entry { body, ..entry }
    }

    /// Copies what is in Redis since it was `seen`, unless the key has changed after `changes`.
    fn keep(&self, near: &Near, key: &Key, record: Record, seen: Seen, changes: u64) {
        let large = match &record {
            Record::Response(entry) => entry.body.len() > near.largest,
            Record::Vary(_) | Record::Search(_) => false,
        };
        if large {
            near.store.forget(key);
            return;
        }
        let holds = AtomicU64::new(seen.number);
        near.store.put_copy(key, record, Copied { seen, holds });
        if self.ears.changes.seen(key) != changes {
            near.store.forget(key);
        }
    }

    /// Has copies of a key dropped, and those that are being made.
    fn changed(&self, key: &Key) {
        self.ears.changes.add(key);
        if let Some(near) = &self.near {
            near.store.forget(key);
        }
    }
}

/// It is kept from here on, until it is dropped.
fn mine(claim: Arc<Claim>) -> Turn {
    claim.keep();
    Turn::Mine(Lease::of(claim))
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// A change of a key whose copies go when it is done, or given up.
struct Changing<'a>(&'a TieredStore, &'a Key);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changed(self.1);
    }
}

impl Store for TieredStore {
    fn at_hand(&self, key: &str) -> Option<Record> {
        let near = self.near.as_ref()?;
        let (record, copied) = near.store.copy_at_hand(key)?;
        let holds = copied.holds.load(Ordering::Acquire) == self.shared().known_purges();
        (holds && self.is_sure(near, copied.seen, self.clock.instant())).then_some(record)
    }

    async fn get(&self, key: &Key) -> Result<Looked, StoreError> {
        if let Some(near) = &self.near
            && let Some(looked) = self.copy(near, key)
        {
            return Ok(looked);
        }
        // In a box: a hit in memory is not to carry around what it takes to ask Redis.
        let looked = Box::pin(async { Ok((self.far.get(key).await?, ())) });
        Ok(self.copied(key, looked).await?.0)
    }

    async fn get_or_turn(
        &self,
        key: &Key,
        ask: Ask,
        fields: &HeaderMap,
    ) -> Result<(Looked, Turn), StoreError> {
        if ask != Ask::Always
            && let Some(near) = &self.near
            && let Some(looked) = self.copy(near, key)
        {
            return Ok((looked, Turn::Free));
        }
        // Who does not hear that another is done does not wait for it.
        let claim = self.hears().then(|| self.shared().claim(key));
        let Some(claim) = claim else {
            return Ok((self.get(key).await?, Turn::Free));
        };
        let expecting = self.ears.expect(key);
        let far = Box::pin(self.shared().look_and_ask(key, &claim, ask, fields));
        let look = self.copied(key, far);
        let (looked, holder) = match ask {
            Ask::IfMissing => self.looks.look(key, look).await?,
            Ask::Never | Ask::Always => look.await?,
        };
        let turn = match holder {
            Holder::Nobody => Turn::Free,
            Holder::Us => mine(claim),
            Holder::OfVariant(claim) => mine(claim),
            Holder::Another(left) => Turn::Others(Wait::new(expecting.over(left))),
        };
        Ok((looked, turn))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_heard_since(&self, seen: Seen) -> bool {
        let now = self.clock.instant();
        let good_for = self.near.as_ref().map_or(UNHEARD, |near| near.good_for);
        let age = seen.at.map(|at| now.duration_since(at));
        self.ears.has_heard(seen.session, now) || age.is_some_and(|age| age < good_for)
    }

    async fn peek(&self, key: &Key) -> Result<Option<Front>, StoreError> {
        self.far.peek(key).await
    }

    async fn put(
        &self,
        key: &Key,
        record: Record,
        keep: Duration,
        seen: Seen,
    ) -> Result<(), StoreError> {
        let Some(near) = &self.near else {
            return self.far.put(key, record, keep, seen).await;
        };
        // Who looks meanwhile may find what was there before.
        self.ears.changes.add(key);
        let changes = self.ears.changes.seen(key);
        // Before anything is waited for: what was received is at hand at once.
        if !keep.is_zero() {
            self.keep(near, key, record.clone(), seen, changes);
        }
        let written = self.far.write(key, &record, keep, seen).await;
        match written {
            Ok(true) => {}
            Ok(false) => near.store.forget(key),
            Err(_) if keep.is_zero() => near.store.forget(key),
            // Nobody hears it when another stores something there, as it replaces nothing.
            Err(_) => {
                let seen = Seen { session: 0, ..seen };
                self.keep(near, key, record, seen, changes);
            }
        }
        written.map(drop)
    }

    async fn refresh(
        &self,
        key: &Key,
        old: EntryId,
        head: Arc<Head>,
        keep: Duration,
        seen: Seen,
    ) -> Result<bool, StoreError> {
        let done = self
            .far
            .refresh(key, old, Arc::clone(&head), keep, seen)
            .await;
        if let Some(near) = &self.near {
            match done {
                Ok(true) => near.store.refresh_copy(key, old, head),
                _ => near.store.forget(key),
            }
        }
        done
    }

    async fn remove(&self, key: &Key) -> Result<Removed, StoreError> {
        let session = self.ears.session();
        // After it is gone from Redis: nobody can copy it any more.
        let changing = Changing(self, key);
        let removed = self.far.remove(key).await;
        drop(changing);
        removed.map(|mut removed| {
            removed.seen.session = session;
            removed
        })
    }

    async fn announce(&self, purge: &Purge) -> Result<Seen, StoreError> {
        let announced = self.far.announce(purge).await;
        if let Some(near) = &self.near {
            match (&announced, purge) {
                (_, Purge::All) => near.store.clear().await?,
                (Ok(_), _) => {} // The copies are held against the journal.
                (Err(_), _) => {
                    self.ears.changes.add_everywhere();
                    let judge = |key: &Key, front: &Front| match front.head() {
                        Some(head) if purge.concerns(key, head) => Sweep::Remove,
                        None if purge.is_by_key() && purge.concerns_key(key) => Sweep::Remove,
                        _ => Sweep::Keep,
                    };
                    for start in purge.starts() {
                        near.store.sweep(&start, None, &judge).await?;
                    }
                }
            }
        }
        announced
    }

    async fn swept(&self, at: Seen) -> Result<(), StoreError> {
        self.far.swept(at).await
    }

    fn listen(&self, told: Told) {
        self.ears.listen(Arc::clone(&told));
        self.far.listen(told);
    }

    async fn clear(&self) -> Result<(), StoreError> {
        if let Some(near) = &self.near {
            near.store.clear().await?;
        }
        self.far.clear().await
    }

    async fn sweep(
        &self,
        start: &str,
        at: Option<Seen>,
        judge: &Judge<'_>,
    ) -> Result<(), StoreError> {
        let judge = |key: &Key, front: &Front| {
            let verdict = judge(key, front);
            if !matches!(verdict, Sweep::Keep) {
                self.changed(key);
            }
            verdict
        };
        self.far.sweep(start, at, &judge).await
    }
}

impl fmt::Debug for TieredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TieredStore")
            .field("near", &self.near.as_ref().map(|near| &near.store))
            .field("far", &self.far)
            .finish_non_exhaustive()
    }
}
