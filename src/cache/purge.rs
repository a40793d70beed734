//! Forgetting, or making stale, more than one key at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use super::{core::Core, forget::concerns_flight, patience::Patience};
use crate::{
    policy::{Head, Key, Purge},
    store::{Front, Record, Seen, Store, StoreError, Sweep},
};

/// How long the answer to an unsafe request waits until groups are forgotten.
const PATIENCE: Duration = Duration::from_secs(1);

/// What becomes of what is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It is forgotten.
    Forget,
    /// It is stale from now on: it may be validated, or served while it is fetched anew, or in
    /// place of an error, as far as it says so.
    Expire,
    /// Nothing: it is only counted.
    Count,
}

/// What a purge came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// How many responses, each variant for itself.
    pub count: u64,
    /// The URIs of some of them: of at most [`Purged::NAMED`].
    pub keys: Vec<Key>,
}

// === impl Purged ===

impl Purged {
    /// How many keys are named.
    pub const NAMED: usize = 20;

    fn add(&mut self, key: &Key) {
        self.count += 1;
        let known = self.keys.iter().any(|one| one.primary() == key.primary());
        if self.keys.len() < Self::NAMED && !known {
            self.keys.push(Key::parse(key.primary()));
        }
    }
}

/// Forgets these groups of the key's origin (RFC 9875). Who waits for it does so for a while only,
/// and when they leave it goes on.
pub(super) async fn groups<S: Store>(
    core: &Arc<Core<S>>,
    origin: Key,
    names: Vec<String>,
    patience: &mut Patience,
) {
    let core = Arc::clone(core);
    let purging = tokio::spawn(async move {
        let purge = Purge::Groups(origin, names);
        // A store that cannot forget now has an expiry.
        let _ = core.purge_by(&purge, Manner::Forget).await;
    });
    let purged = async { Ok(timeout(PATIENCE, purging).await) };
    let _ = patience.wait(purged).await;
}

// === impl Core ===

impl<S: Store> Core<S> {
    /// Purges in this manner what is stored, and lets nothing of it come back from a fetch that
    /// is in flight. Takes time by how much is stored, unless it is one URI without variants.
    pub(super) async fn purge_by(
        self: &Arc<Self>,
        purge: &Purge,
        manner: Manner,
    ) -> Result<Purged, StoreError> {
        let changes = manner != Manner::Count;
        if changes {
            self.gate.purge(purge.clone()).await;
            self.flights
                .close(|key, landing| concerns_flight(purge, key, landing));
        }
        let purged = match purge {
            Purge::Uri(key) => self.purge_uri(purge, key, manner).await,
            _ => self.purge_many(purge, manner).await,
        };
        if changes {
            self.changes.add_everywhere();
        }
        purged
    }

    async fn purge_many(&self, purge: &Purge, manner: Manner) -> Result<Purged, StoreError> {
        let at = match manner {
            Manner::Count => None,
            Manner::Forget | Manner::Expire => Some(self.store.announce(purge).await?),
        };
        self.sweep(purge, &purge.starts(), manner, at).await
    }

    async fn purge_uri(
        self: &Arc<Self>,
        purge: &Purge,
        key: &Key,
        manner: Manner,
    ) -> Result<Purged, StoreError> {
        let key = Key::parse(key.primary());
        let [get, query] = key.of_each_class();
        let found = tokio::join!(self.store.get(&get), self.store.get(&query));
        let mut all = vec![(get, found.0), (query, found.1)];
        let mark = self.store.get(&key.search_mark()).await.unwrap_or_default();
        if let Some(Record::Search(search)) = mark.record {
            let same = search.key(&key);
            let found = self.store.get(&same).await;
            all.push((same, found));
        }
        let at = match manner {
            Manner::Count => None,
            Manner::Forget => {
                self.remove(&key).await?;
                None
            }
            Manner::Expire => Some(self.store.announce(purge).await?),
        };
        let (mut alone, mut variants) = (Vec::new(), Vec::new());
        for (key, found) in all {
            let found = found?;
            match found.record {
                Some(Record::Vary(vary)) => variants.push(key.start_of_variants(&vary)),
                Some(Record::Response(entry)) => {
                    if let Some(at) = at {
                        match self.expired(&entry.head) {
                            Sweep::Renew(head, keep) => {
                                let seen = found.seen.as_of(at);
                                self.store.refresh(&key, entry.id, head, keep, seen).await?;
                            }
                            _ => drop(self.store.remove(&key).await?),
                        }
                    }
                    alone.push(key);
                }
                Some(Record::Search(_)) | None => {}
            }
        }
        let mut purged = self.sweep(purge, &variants, manner, at).await?;
        for key in &alone {
            purged.add(key);
        }
        Ok(purged)
    }

    async fn sweep(
        &self,
        purge: &Purge,
        starts: &[String],
        manner: Manner,
        at: Option<Seen>,
    ) -> Result<Purged, StoreError> {
        let purged = Mutex::new(Purged::default());
        let judge = |key: &Key, front: &Front| match front {
            Front::Response { head, .. } if purge.concerns(key, head) => {
                purged
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(key);
                match manner {
                    Manner::Forget => Sweep::Remove,
                    Manner::Expire => self.expired(head),
                    Manner::Count => Sweep::Keep,
                }
            }
            Front::Response { .. } => Sweep::Keep,
            Front::Vary(_) | Front::Search(_) => {
                let gone = purge.is_by_key() && purge.concerns_key(key);
                if gone && manner == Manner::Forget {
                    Sweep::Remove
                } else {
                    Sweep::Keep
                }
            }
        };
        for start in starts {
            self.store.sweep(start, at, &judge).await?;
        }
        if let Some(at) = at {
            self.store.swept(at).await?;
        }
        Ok(purged.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn expired(&self, head: &Head) -> Sweep {
        match self.policy.expire(head, self.clock.now()) {
            Some((head, keep)) => Sweep::Renew(Arc::new(head), keep),
            None => Sweep::Remove,
        }
    }
}
