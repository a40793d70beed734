//! Storing what was fetched, with the marks that lead to it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request;

use super::{
    core::{Core, Variant},
    fetch::Trip,
};
use crate::{
    policy::{Digest, Fields, Head, Key, Varies, Vary},
    store::{Entry, Record, Seen, Store, StoreError, random},
};

impl<S: Store> Core<S> {
    /// Which variant a response with this head is, to this request; `None` when its URI has none.
    ///
    /// A URI's mark only ever gains fields: a response that varies by fewer is kept as if it
    /// varied by all, which costs hits and never gives a wrong answer.
    pub(super) fn variant_of(
        &self,
        head: &Head,
        marker: Option<&Arc<Vary>>,
        req: &request::Parts,
        until: SystemTime,
    ) -> Option<Variant> {
        let vary = match (head.varies(), marker) {
            (Varies::By(fields), Some(marker)) if !marker.fields.covers(fields) => {
                Arc::new(new_mark(marker.fields.union(fields), until))
            }
            (_, Some(marker)) => Arc::clone(marker),
            (Varies::By(fields), None) => Arc::new(new_mark(fields.clone(), until)),
            (_, None) if Digest::of(req).is_some() => Arc::new(new_mark(Fields::new([]), until)),
            (_, None) => return None,
        };
        let selection = vary.select(req);
        Some(Variant { vary, selection })
    }

    /// Stores a response, unless its key was purged since the trip began.
    pub(super) async fn commit(
        &self,
        trip: &Trip,
        variant: Option<&Variant>,
        entry: Entry,
        keep: Duration,
    ) {
        let asked = trip.exact();
        let Some(_passing) = self.gate.pass(trip.ticket, asked, &entry.head).await else {
            return;
        };
        if trip.asked.is_none() && entry.head.search().is_some() {
            // It goes elsewhere than where it was looked for: a removal there would not show.
            let looked = self.store.get(&trip.key).await.unwrap_or_default();
            if looked.seen.nonce != trip.found.seen.nonce {
                return;
            }
        }
        let place = self.place(trip, &entry.head, keep).await;
        let key = place.as_ref().map_or(asked, |place| &place.key);
        let put = async {
            match variant {
                None => self.put(key, entry, keep, trip.seen_of(key)).await,
                Some(variant) => Box::pin(self.put_variant(trip, key, variant, entry, keep)).await,
            }
        };
        match &place {
            None => put.await,
            // At once, the response first: who finds the mark finds what it leads to.
            Some(place) => {
                Box::pin(async { tokio::join!(put, self.keep_mark(place)) }).await;
            }
        }
        self.changes.add(&trip.key);
        if *key != trip.key {
            self.changes.add(key);
        }
    }

    async fn put_variant(
        &self,
        trip: &Trip,
        key: &Key,
        variant: &Variant,
        entry: Entry,
        keep: Duration,
    ) {
        let vary = self.current(trip, key, &variant.vary).await;
        let own = key.variant(&vary, &variant.selection);
        // At once: where there are tiers, both are near before the first is far.
        let (put, mark) = (
            self.put(&own, entry, keep, trip.seen_of(&own)),
            self.mark(trip, key, &vary, keep),
        );
        let _ = tokio::join!(put, mark);
    }

    /// The mark to store by: what was first asked of one URI at the same time, and differs, is
    /// stored under one mark.
    async fn current(&self, trip: &Trip, key: &Key, vary: &Arc<Vary>) -> Arc<Vary> {
        let unseen = *key != trip.key || trip.found.is_query && trip.found.marker.is_none();
        if unseen
            && let Ok(looked) = self.store.get(key).await
            && let Some(Record::Vary(stored)) = looked.record
            && stored.fields == vary.fields
            && (*key != trip.key || looked.seen.nonce == trip.found.seen.nonce)
        {
            return stored;
        }
        Arc::clone(vary)
    }

    async fn put(&self, key: &Key, entry: Entry, keep: Duration, seen: Seen) {
        let entry = match entry.head.part() {
            Some(_) => Box::pin(self.joined(key, entry)).await,
            None => Some(entry),
        };
        if let Some(entry) = entry {
            // What a store cannot keep is fetched again: nothing to be done about an error.
            let record = Record::Response(entry);
            let _ = self.store.put(key, record, keep, seen).await;
        }
    }

    /// Gives the stored response the head of `entry`, unless its key was purged, or the response
    /// replaced, since the trip began.
    pub(super) async fn refresh(&self, trip: &Trip, entry: &Entry, keep: Duration) -> bool {
        let key = &trip.key;
        let asked = trip.exact();
        let Some(_passing) = self.gate.pass(trip.ticket, asked, &entry.head).await else {
            return false;
        };
        let head = Arc::clone(&entry.head);
        let own = trip.seat();
        let seen = trip.seen_of(own);
        let refresh = self.store.refresh(own, entry.id, head, keep, seen);
        let mark = async {
            if let Some(marker) = &trip.found.marker {
                let _ = self.mark(trip, key, marker, keep).await;
            }
        };
        let (kept, ()) = tokio::join!(refresh, mark);
        if trip.asked.is_some() {
            // The mark is of use for longer now.
            if let Some(place) = self.place(trip, &entry.head, keep).await {
                self.keep_mark(&place).await;
            }
        }
        self.changes.add(key);
        kept.unwrap_or(false)
    }

    /// Marks `key` as one that has variants, for at least as long as `keep`.
    async fn mark(
        &self,
        trip: &Trip,
        key: &Key,
        vary: &Vary,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let until = vary.until.max(now + keep);
        let keep = until.duration_since(now).unwrap_or_default();
        let vary = Vary {
            until,
            ..vary.clone()
        };
        let mark = Record::Vary(Arc::new(vary));
        self.store.put(key, mark, keep, trip.seen_of(key)).await
    }
}

fn new_mark(fields: Fields, until: SystemTime) -> Vary {
    Vary {
        epoch: random(),
        fields,
        until,
    }
}
