//! Forgetting, or making stale, more than one key at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    core::{Core, Landing},
    patience::Patience,
};
use crate::{
    policy::{Head, Key},
    store::{Front, Record, Store, StoreError, Sweep},
};

/// How long the answer to an unsafe request waits until groups are forgotten.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// Everything.
    All,
    /// A URI, with all its variants, whatever the method.
    Uri(Key),
    /// A URI and all that is [below](Key::is_below) it.
    Below(Key),
    /// What carries this [tag](Head::tags).
    Tag(String),
    /// What is in one of these groups (RFC 9875), of the origin that the key is of.
    Groups(Key, Vec<String>),
}

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

// === impl Purge ===

impl Purge {
    /// Whether this may be about something under `key`.
    pub(super) fn concerns_key(&self, key: &Key) -> bool {
        match self {
            Purge::All | Purge::Tag(_) => true,
            Purge::Uri(uri) => key.uri() == uri.uri(),
            Purge::Below(top) => key.is_below(top),
            Purge::Groups(origin, _) => key.origin() == origin.origin(),
        }
    }

    /// The same of a response to come, which may say that not all of its query matters.
    pub(super) fn may_concern(&self, key: &Key) -> bool {
        match self {
            Purge::Uri(uri) => key.path() == uri.path(),
            Purge::Below(top) => key.is_below(top) || key.search_mark().is_below(top),
            _ => self.concerns_key(key),
        }
    }

    /// Whether this is about the response that has this head under `key`, or answers more than
    /// that.
    pub(super) fn concerns(&self, key: &Key, head: &Head) -> bool {
        let by_key = self.concerns_key(key)
            || match (self, head.search()) {
                (Purge::Uri(uri), Some(rule)) => rule.is_same(key, uri),
                (Purge::Below(top), Some(_)) => key.search_mark().is_below(top),
                _ => false,
            };
        by_key
            && match self {
                Purge::All | Purge::Uri(_) | Purge::Below(_) => true,
                Purge::Tag(tag) => head.tags().any(|other| other == *tag),
                Purge::Groups(_, names) => head.groups().iter().any(|own| names.contains(own)),
            }
    }

    /// Whether a flight could bring what this is about.
    fn concerns_flight(&self, key: &Key, landing: Option<&Landing>) -> bool {
        match landing {
            Some(Landing::Live(live)) => self.concerns(key, &live.head),
            Some(Landing::Stored(entry) | Landing::Stale(entry)) => self.concerns(key, &entry.head),
            Some(Landing::Alone) => false,
            None => self.may_concern(key),
        }
    }

    /// Whether all variants of a URI are purged, or only those with the right head.
    fn is_by_key(&self) -> bool {
        matches!(self, Purge::All | Purge::Uri(_) | Purge::Below(_))
    }

    /// How the keys begin that this may be about.
    fn starts(&self) -> Vec<String> {
        match self {
            Purge::All | Purge::Tag(_) => vec![String::new()],
            Purge::Uri(key) | Purge::Below(key) => key.starts().into(),
            Purge::Groups(key, _) => key.starts_of_origin().into(),
        }
    }
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
        &self,
        purge: &Purge,
        manner: Manner,
    ) -> Result<Purged, StoreError> {
        let changes = manner != Manner::Count;
        if changes {
            self.gate.purge(purge.clone()).await;
            self.flights
                .close(|key, landing| purge.concerns_flight(key, landing));
        }
        let purged = match purge {
            Purge::Uri(key) => self.purge_uri(purge, key, manner).await,
            _ => self.sweep(purge, &purge.starts(), manner).await,
        };
        if changes {
            self.changes.add_everywhere();
        }
        purged
    }

    async fn purge_uri(
        &self,
        purge: &Purge,
        key: &Key,
        manner: Manner,
    ) -> Result<Purged, StoreError> {
        let key = Key::parse(key.primary());
        let [get, query] = key.of_each_class();
        let found = tokio::join!(self.store.get(&get), self.store.get(&query));
        let mut all = vec![(get, found.0), (query, found.1)];
        if let Ok(Some(Record::Search(search))) = self.store.get(&key.search_mark()).await {
            let same = search.key(&key);
            let found = self.store.get(&same).await;
            all.push((same, found));
        }
        if manner == Manner::Forget {
            self.remove(&key, &mut Patience::endless()).await?;
        }
        let (mut alone, mut variants) = (Vec::new(), Vec::new());
        for (key, found) in all {
            match found? {
                Some(Record::Vary(vary)) => variants.push(key.start_of_variants(&vary)),
                Some(Record::Response(entry)) => {
                    if manner == Manner::Expire {
                        match self.expired(&entry.head) {
                            Sweep::Renew(head, keep) => {
                                self.store.refresh(&key, entry.id, head, keep).await?;
                            }
                            _ => drop(self.store.remove(&key).await?),
                        }
                    }
                    alone.push(key);
                }
                Some(Record::Search(_)) | None => {}
            }
        }
        let mut purged = self.sweep(purge, &variants, manner).await?;
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
            self.store.sweep(start, &judge).await?;
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
