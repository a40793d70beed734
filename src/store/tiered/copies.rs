//! Which copies are served, and which are made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::TieredStore;
use crate::{
    policy::Key,
    store::{
        Entry, Looked, MemoryStore, Payload, Record, Seen, StoreError, memory::Copied,
        reading::Taker,
    },
};

/// A body of more than this part of the near tier's budget stays in Redis only: it would drive
/// too much else out.
const LARGE: u64 = 64;

/// The part of the near tier's budget that bodies may take, all together, while they are copied as
/// they are read: what is read when there is no more is not copied.
const COPYING: u64 = 8;

/// The near tier.
#[derive(Clone)]
pub(super) struct Near {
    pub(super) store: MemoryStore,
    /// No larger body is copied.
    largest: u64,
    /// The room for bodies that are being copied, in KiB.
    copying: Arc<Semaphore>,
    /// How long a copy is good after Redis was asked, whatever is heard.
    pub(super) good_for: Duration,
}

impl Near {
    pub(super) fn new(store: MemoryStore, good_for: Duration) -> Self {
        let budget = store.budget();
        Near {
            store,
            largest: budget / LARGE,
            copying: Arc::new(Semaphore::new(kib(budget / COPYING) as usize)),
            good_for,
        }
    }
}

impl TieredStore {
    /// The copy of a record, if it may be served now.
    pub(super) fn copy(&self, near: &Near, key: &Key) -> Option<Looked> {
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

    /// The same where there were no purges since it was last served.
    pub(super) fn copy_at_hand(&self, near: &Near, key: &str) -> Option<Record> {
        let (record, copied) = near.store.copy_at_hand(key)?;
        let holds = copied.holds.load(Ordering::Acquire) == self.shared().known_purges();
        (holds && self.is_sure(near, copied.seen, self.clock.instant())).then_some(record)
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
    pub(super) async fn copied<T: Default>(
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
    pub(super) fn keep(&self, near: &Near, key: &Key, record: Record, seen: Seen, changes: u64) {
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
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
