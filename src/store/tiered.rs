//! Two tiers: a near one in memory before the one in Redis.
//!
//! What is read from Redis, or stored there, is copied into memory, unless it would drive too much
//! else out; a large body when somebody has read all of it. A copy is served while it is
//! sure that its purge would have been heard of, or for a short time after Redis was asked; after
//! that Redis is asked again, and while it is out of reach there is nothing. Purges of many
//! responses are not carried out on the copies: each copy is held against those that came since
//! it was last served, so a hit costs no more than a comparison of two numbers.

mod copies;

use std::{fmt, sync::Arc, time::Duration};

use self::copies::Near;
use super::{
    Ask, EntryId, Front, Judge, Lease, Looked, MemoryStats, MemoryStore, Record, RedisStore,
    Removed, Seen, Store, StoreError, Sweep, Told, Turn, Wait,
    redis::{Claim, Ears, Holder, Shared, Task},
    together::Together,
};
use crate::{
    clock::Clock,
    policy::{Head, Key, Purge},
};
use http::HeaderMap;

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
        let near = Near::new(near, near_ttl);
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

/// A change of a key whose copies go when it is done, or given up.
struct Changing<'a>(&'a TieredStore, &'a Key);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changed(self.1);
    }
}

impl Store for TieredStore {
    fn at_hand(&self, key: &str) -> Option<Record> {
        self.copy_at_hand(self.near.as_ref()?, key)
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
