//! Of which queries not all matters (`No-Vary-Search`): where such responses are stored.
//!
//! A response whose head has a rule is stored under a key for all URIs that are the same by it. The
//! mark of the path tells the rule, and the epoch that is part of those keys. The newest response of
//! a path says what its rule is: with another, or none, the older mark goes, and what was stored
//! under it cannot be reached.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use http::request;

use super::{
    core::{Core, Live},
    fetch::Trip,
    find::{Asking, Found, Wanted},
    patience::Patience,
};
use crate::{
    policy::{Digest, Head, Key, Search},
    store::{Looked, Record, Seen, Store, StoreError, random},
};

/// What was found for a request, and where.
pub(super) struct Sought {
    pub(super) found: Found,
    /// The key where many queries of its path are answered, where it was looked for there.
    pub(super) same: Option<Key>,
    /// How often what is there had changed before.
    pub(super) seen: u64,
}

/// Where a response is stored that answers many queries of its path.
pub(super) struct Place {
    pub(super) key: Key,
    /// The key of the mark that leads there, and what is kept under it, for so long.
    mark: Key,
    search: Arc<Search>,
    keep: Duration,
    seen: Seen,
}

impl Sought {
    fn exact(found: Found, seen: u64) -> Self {
        Sought {
            found,
            same: None,
            seen,
        }
    }
}

impl<S: Store> Core<S> {
    /// What [`Core::find`] finds, and where that is nothing, what it finds for all queries that are
    /// the same. Where it takes time to know, as much is asked for at once as can be.
    pub(super) async fn seek(&self, wanted: Wanted<'_>, patience: &mut Patience) -> Sought {
        let key = wanted.key;
        let seen = self.changes.seen(key);
        let exact = |found| Sought::exact(found, seen);
        let may_search = self.may_search(key);
        if may_search && let Some(search) = self.search_at_hand(&wanted) {
            return Box::pin(self.seek_both(wanted, &search, patience)).await;
        }
        let mut aside = patience.clone();
        let (found, search) = {
            let mut find = pin!(self.find(wanted, patience));
            match poll_fn(|cx| Poll::Ready(find.as_mut().poll(cx))).await {
                Poll::Ready(found) if !may_search || !found.is_nothing() => return exact(found),
                Poll::Ready(found) => (found, self.search(key, &mut aside).await),
                Poll::Pending if !may_search => return exact(find.await),
                Poll::Pending => {
                    let search = self.search(key, &mut aside);
                    Box::pin(async { tokio::join!(find, search) }).await
                }
            }
        };
        patience.no_longer_than(&aside);
        match search.filter(|_| found.is_nothing()) {
            Some(search) => Box::pin(self.seek_same(wanted, &search, patience)).await,
            None => exact(found),
        }
    }

    /// The same where the rule for the path is known before anything else.
    async fn seek_both(
        &self,
        wanted: Wanted<'_>,
        search: &Search,
        patience: &mut Patience,
    ) -> Sought {
        let seen = self.changes.seen(wanted.key);
        let mut aside = patience.clone();
        let exact = Wanted {
            // Nobody is to fetch what the rule says is elsewhere.
            asking: Asking::Nobody,
            ..wanted
        };
        let (found, same) = tokio::join!(
            self.find(exact, patience),
            self.seek_same(wanted, search, &mut aside)
        );
        patience.no_longer_than(&aside);
        match found.is_nothing() {
            true => same,
            false => Sought::exact(found, seen),
        }
    }

    /// What is found for all queries that are the same by a rule.
    async fn seek_same(
        &self,
        wanted: Wanted<'_>,
        search: &Search,
        patience: &mut Patience,
    ) -> Sought {
        let same = search.key(wanted.key);
        let wanted = Wanted {
            key: &same,
            ..wanted
        };
        Sought {
            seen: self.changes.seen(&same),
            found: self.find(wanted, patience).await,
            same: Some(same),
        }
    }

    /// The mark of the path of a URI, if it is in memory, and what is kept is not: all else is asked
    /// for at once then.
    fn search_at_hand(&self, wanted: &Wanted<'_>) -> Option<Arc<Search>> {
        let (key, asking) = (wanted.key, wanted.asking);
        let is_of_use = !self.store.is_local()
            && self.searches.load(Ordering::Relaxed)
            && matches!(asking, Asking::Nobody | Asking::Others)
            && self.store.at_hand(key.as_str()).is_none();
        if !is_of_use {
            return None;
        }
        match self.store.at_hand(key.search_mark().as_str()) {
            Some(Record::Search(search)) => Some(search),
            _ => None,
        }
    }

    /// Whether there may be a rule for the path of a URI. One without a query is seldom one of
    /// several, so that no time is lost for it where no rule was ever seen.
    fn may_search(&self, key: &Key) -> bool {
        key.is_get() && (key.has_query() || self.searches.load(Ordering::Relaxed))
    }

    /// The mark of the path of a URI that nothing is stored for.
    pub(super) async fn search(&self, key: &Key, patience: &mut Patience) -> Option<Arc<Search>> {
        if !self.may_search(key) {
            return None;
        }
        let mark = key.search_mark();
        match patience.wait(self.store.get(&mark)).await {
            Ok(Looked {
                record: Some(Record::Search(search)),
                ..
            }) => Some(search),
            Ok(_) | Err(_) => None,
        }
    }

    /// The key to store a response under, where it is not that of its URI, with the mark of its
    /// path as it is to be from then on.
    pub(super) async fn place(&self, trip: &Trip, head: &Head, keep: Duration) -> Option<Place> {
        let may_differ = head.search().is_some()
            || trip.asked.is_some()
            || self.searches.load(Ordering::Relaxed);
        match may_differ && trip.exact().is_get() {
            true => Box::pin(self.other_place(trip, head, keep)).await,
            false => None,
        }
    }

    /// Keeps the mark that leads to a place.
    pub(super) async fn keep_mark(&self, place: &Place) {
        let record = Record::Search(Arc::clone(&place.search));
        let _ = self
            .store
            .put(&place.mark, record, place.keep, place.seen)
            .await;
    }

    async fn other_place(&self, trip: &Trip, head: &Head, keep: Duration) -> Option<Place> {
        let asked = trip.exact();
        let mark = asked.search_mark();
        let Some(rule) = head.search() else {
            let _ = self.store.remove(&mark).await;
            return None;
        };
        self.searches.store(true, Ordering::Relaxed);
        if trip.asked.is_none() {
            // It would be found first.
            let _ = self.store.remove(asked).await;
        }
        let now = self.clock.now();
        let Looked { record, seen, .. } = self.store.get(&mark).await.unwrap_or_default();
        let stored = match record {
            Some(Record::Search(search)) if search.rule == *rule => Some(search),
            _ => None,
        };
        let search = Search {
            epoch: stored.as_ref().map_or_else(random, |search| search.epoch),
            rule: rule.clone(),
            until: stored.map_or(now, |search| search.until).max(now + keep),
        };
        Some(Place {
            key: search.key(asked),
            keep: search.until.duration_since(now).unwrap_or_default(),
            search: Arc::new(search),
            mark,
            seen,
        })
    }

    /// Forgets what is stored for all URIs that are the same as this one.
    pub(super) async fn remove_same(&self, key: &Key) -> Result<bool, StoreError> {
        let mark = key.search_mark();
        match self.store.get(&mark).await {
            Ok(Looked {
                record: Some(Record::Search(search)),
                ..
            }) => {
                let same = search.key(key);
                let removed = self.store.remove(&same).await;
                self.changes.add(&same);
                Ok(removed?.any)
            }
            Ok(_) => Ok(false),
            // Then all of the path.
            Err(_) => Ok(self.store.remove(&mark).await?.any),
        }
    }

    /// What is shown of a request's key: without the variant's selection, which may hold what is
    /// secret, save the digest of what it asks.
    pub(super) async fn shown(&self, req: &request::Parts) -> String {
        let key = Key::of(req);
        if let Some(digest) = Digest::of(req) {
            return format!("{} {digest}", key.as_str());
        }
        match self.search(&key, &mut self.patience()).await {
            Some(search) => search.key(&key).as_str().to_owned(),
            None => key.as_str().to_owned(),
        }
    }
}

impl Live {
    /// Whether this answers what is asked for under `key`: the same URI, or one that is the same by
    /// its own rule.
    pub(super) fn answers(&self, key: &Key) -> bool {
        key.uri() == self.key.uri()
            || self
                .head
                .search()
                .is_some_and(|rule| rule.is_same(key, &self.key))
    }
}
