//! What all clones of a layer share: the store, the rules, and who is fetching what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, SystemTime},
};

use http::{
    header::{AUTHORIZATION, COOKIE},
    request,
};

use super::{
    budget::Budget,
    fetch::Trip,
    flight::Flights,
    gate::{Gate, Ticket},
    layer::Inspect,
    patience::Patience,
    purge::concerns_flight,
    recording::Recording,
    shy::Shy,
};
use crate::{
    clock::Clock,
    outcome::Forward,
    policy::{Digest, Fields, Head, Key, Policy, Purge, Selection, Varies, Vary},
    store::{
        Ask, Changes, Entry, Looked, Record, Removed, Seen, Store, StoreError, Turn, Verdict,
        random,
    },
};

/// See the module.
pub(super) struct Core<S> {
    pub(super) store: S,
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    pub(super) max_object: u64,
    pub(super) store_timeout: Duration,
    pub(super) inspect: Option<Inspect>,
    pub(super) debug_headers: bool,
    pub(super) flights: Arc<Flights<Landing>>,
    pub(super) gate: Gate,
    pub(super) changes: Changes,
    pub(super) shy: Shy,
    /// A rule about queries was stored in the life of this process.
    pub(super) searches: AtomicBool,
    pub(super) budget: Arc<Budget>,
    pub(super) max_waiting: usize,
    /// How often [`Self::max_waiting`], [`Self::max_object`] and the budget were met.
    pub(super) turned_away: AtomicU64,
    pub(super) over_size: AtomicU64,
    pub(super) over_budget: AtomicU64,
}

/// How a flight came out.
#[derive(Clone)]
pub(super) enum Landing {
    /// A storable response, whose body is being received.
    Live(Live),
    /// The stored response, validated.
    Stored(Entry),
    /// The origin failed, and the stored response may stand in for it.
    Stale(Entry),
    /// Nothing that others can use: each fetches for itself.
    Alone,
    /// There was no answer at all. `usual`: nothing in the request is such as may be the reason.
    Failed { usual: bool },
}

impl Landing {
    /// Whether all there is of a body will come, whatever becomes of the store.
    pub(super) fn is_at_hand(&self) -> bool {
        match self {
            Landing::Stored(entry) | Landing::Stale(entry) => entry.body.data().is_some(),
            Landing::Live(_) | Landing::Alone | Landing::Failed { .. } => true,
        }
    }
}

/// A storable response whose body is being received.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) head: Arc<Head>,
    /// The key of the URI that it was asked for.
    pub(super) key: Key,
    pub(super) recording: Recording,
    /// What was known of the place for it when it was asked for.
    pub(super) seen: Seen,
    pub(super) variant: Option<Variant>,
    pub(super) verdict: Verdict,
}

/// Which variant of its URI a response is.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) vary: Arc<Vary>,
    pub(super) selection: Selection,
}

/// What a look into the store found.
pub(super) struct Found {
    /// The mark that the URI has variants.
    pub(super) marker: Option<Arc<Vary>>,
    /// The key of the request's variant, where there are variants, or will be.
    pub(super) variant: Option<Key>,
    /// The stored response that matches the request, fresh or not.
    pub(super) entry: Option<Entry>,
    /// A part of the response that matches the request: what it can answer is for who asks for
    /// no more.
    pub(super) part: Option<Entry>,
    /// The variants differ by what is asked, and not by fields alone.
    pub(super) is_query: bool,
    /// What is known of the key, for who stores something there.
    pub(super) seen: Seen,
    /// The same of the variant's key.
    pub(super) variant_seen: Seen,
    /// Where others share the store: who is to fetch what was not found.
    pub(super) turn: Turn,
}

/// Whether a lookup asks, too, who is to fetch: of all who share the store, one is enough.
#[derive(Clone, Copy)]
pub(super) enum Asking<'a> {
    Nobody,
    /// Where nothing is found.
    Others,
    /// And whatever is found under this key.
    About(&'a Key),
}

impl Found {
    /// Nobody looked.
    pub(super) const NOTHING: Found = Found {
        marker: None,
        variant: None,
        entry: None,
        part: None,
        is_query: false,
        seen: Seen::NOTHING,
        variant_seen: Seen::NOTHING,
        turn: Turn::Free,
    };

    /// The whole, or the part of it, that is stored.
    pub(super) fn with(
        marker: Option<Arc<Vary>>,
        variant: Option<Key>,
        entry: Option<Entry>,
    ) -> Self {
        let (part, entry) = match entry {
            Some(entry) if entry.head.part().is_some() => (Some(entry), None),
            entry => (None, entry),
        };
        Found {
            marker,
            variant,
            entry,
            part,
            ..Found::NOTHING
        }
    }

    /// Passes over bodies that are to be read from the store yet.
    pub(super) fn at_hand(mut self) -> Self {
        let is_elsewhere = |entry: &mut Entry| entry.body.data().is_none();
        self.entry.take_if(is_elsewhere);
        self.part.take_if(is_elsewhere);
        self
    }

    /// There is no response for the request, nor a part of one.
    pub(super) fn is_nothing(&self) -> bool {
        self.entry.is_none() && self.part.is_none()
    }

    /// Why the request is forwarded if there is no entry.
    pub(super) fn miss(&self) -> Forward {
        match self.marker {
            Some(_) if self.is_query => Forward::Miss,
            Some(_) => Forward::VaryMiss,
            None => Forward::UriMiss,
        }
    }
}

impl<S: Store> Core<S> {
    /// What a new request may wait for the store.
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.clock, self.store_timeout)
    }

    /// Looks for the response to a request. `hint` is a mark that may not be
    /// in the store yet; it counts where it tells more than the one that is. A store that fails
    /// has found nothing.
    pub(super) async fn find(
        &self,
        key: &Key,
        hint: Option<&Arc<Vary>>,
        req: &request::Parts,
        asking: Asking<'_>,
        patience: &mut Patience,
    ) -> Found {
        let is_query = Digest::of(req).is_some();
        let of_all = match is_query {
            true => Asking::Nobody, // They differ.
            false => asking,
        };
        let (looked, mut turn) = self.look(key, of_all, req, patience).await;
        let Looked {
            record,
            seen,
            variant: along,
        } = looked;
        let marker = match record {
            Some(Record::Response(entry)) if !is_query => {
                let found = Found::with(None, None, Some(entry));
                return Found {
                    seen,
                    turn,
                    ..found
                };
            }
            Some(Record::Vary(marker)) => match hint {
                Some(hint) if !marker.fields.covers(&hint.fields) => Some(Arc::clone(hint)),
                _ => Some(marker),
            },
            _ => hint.cloned(),
        };
        let variant = marker.as_ref().map(|marker| marker.key(key, req));
        let is_asked = |along: &(Key, Looked)| match asking {
            // Whose turn it is, is asked of this one, and with the mark it was not.
            Asking::About(about) if *about == along.0 => false,
            _ => variant.as_ref() == Some(&along.0),
        };
        let along = along.filter(|along| is_asked(along));
        let of_variant = match (&variant, along) {
            (Some(_), Some(along)) => along.1,
            (Some(variant), None) => {
                let (looked, its_turn) = self.look(variant, asking, req, patience).await;
                turn = its_turn;
                looked
            }
            (None, _) => Looked::default(),
        };
        let entry = match of_variant.record {
            Some(Record::Response(entry)) => Some(entry),
            _ => None,
        };
        // Who asks something else of the URI is not to be waited for.
        let unknown = variant.is_none() && is_query;
        let variant = match unknown {
            true => Some(Vary::unknown().key(key, req)),
            false => variant,
        };
        let variant_seen = match unknown {
            true => seen.elsewhere(),
            false => of_variant.seen,
        };
        Found {
            is_query,
            seen,
            variant_seen,
            turn,
            ..Found::with(marker, variant, entry)
        }
    }

    async fn look(
        &self,
        key: &Key,
        asking: Asking<'_>,
        req: &request::Parts,
        patience: &mut Patience,
    ) -> (Looked, Turn) {
        let ask = match asking {
            Asking::Nobody => Ask::Never,
            Asking::About(about) if about == key => Ask::Always,
            Asking::Others | Asking::About(_) => Ask::IfMissing,
        };
        let look = self.store.get_or_turn(key, ask, &req.headers);
        patience.wait(look).await.unwrap_or_default()
    }

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

    /// Forgets everything, fetches in flight included.
    pub(super) async fn clear(&self) -> Result<(), StoreError> {
        self.gate.purge(Purge::All).await;
        self.flights.close(|_, _| true);
        let announced = self.store.announce(&Purge::All).await;
        let cleared = self.store.clear().await;
        self.changes.add_everywhere();
        announced.and(cleared)
    }

    /// Forgets a URI with all its variants, whatever the method, fetches in flight included. It is
    /// done even where nobody waits for it any more, nor for a commit under way.
    pub(super) async fn purge(
        self: &Arc<Self>,
        key: &Key,
        patience: &mut Patience,
    ) -> Result<bool, StoreError> {
        let (core, key) = (Arc::clone(self), Key::parse(key.primary()));
        let purging = async move {
            core.gate.purge(Purge::Uri(key.clone())).await;
            core.forget(&key).await
        };
        Ok(patience.see_through(Box::pin(purging)).await?.any)
    }

    /// The same, and gives the right to store what comes in its place: unless it was purged by
    /// another since `ticket` was taken.
    pub(super) async fn supersede(
        self: &Arc<Self>,
        key: &Key,
        ticket: Ticket,
        patience: &mut Patience,
    ) -> Option<(Ticket, Seen)> {
        let (core, key) = (Arc::clone(self), key.clone());
        let superseding = async move {
            let renewed = core.gate.supersede(ticket, &key).await;
            // A store that cannot forget now has an expiry, and cannot be waited for.
            let removed = core.forget(&key).await.unwrap_or_default();
            Ok(renewed.map(|ticket| (ticket, removed.seen)))
        };
        patience
            .see_through(Box::pin(superseding))
            .await
            .ok()
            .flatten()
    }

    /// Forgets what is stored for a URI. It is done even where nobody waits for it any more.
    pub(super) async fn remove(self: &Arc<Self>, key: &Key) -> Result<(), StoreError> {
        let (core, key) = (Arc::clone(self), key.clone());
        let removal = async move { core.forget(&key).await };
        Patience::endless()
            .see_through(Box::pin(removal))
            .await
            .map(drop)
    }

    /// What is known then is that of the `key` as it is, of its class of methods.
    async fn forget(&self, key: &Key) -> Result<Removed, StoreError> {
        self.flights.close(|flying, _| flying.path() == key.path());
        let [get, query] = key.of_each_class();
        let removed = tokio::join!(
            self.store.remove(&get),
            self.store.remove(&query),
            self.remove_same(key)
        );
        self.changes.add(&get);
        self.changes.add(&query);
        let (of_get, of_query) = (removed.0?, removed.1?);
        let own = match get == *key {
            true => of_get,
            false => of_query,
        };
        Ok(Removed {
            any: of_get.any | of_query.any | removed.2?,
            ..own
        })
    }

    /// Does here what another, who shares the store, has purged there.
    pub(super) fn told(self: &Arc<Self>, purge: &Purge) {
        self.flights
            .close(|key, landing| concerns_flight(purge, key, landing));
        match purge {
            Purge::Uri(key) => {
                let keys = key.of_each_class();
                keys.iter().for_each(|key| self.changes.add(key));
            }
            _ => self.changes.add_everywhere(),
        }
        let (core, purge) = (Arc::clone(self), purge.clone());
        tokio::spawn(async move { core.gate.purge(purge).await });
    }
}

fn new_mark(fields: Fields, until: SystemTime) -> Vary {
    Vary {
        epoch: random(),
        fields,
        until,
    }
}

/// Whether the request says who makes it: then its response may be nobody else's.
pub(super) fn credentials(req: &request::Parts) -> bool {
    req.headers.contains_key(AUTHORIZATION) || req.headers.contains_key(COOKIE)
}
