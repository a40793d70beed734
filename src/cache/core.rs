//! What all clones of a layer share: the store, the rules, and who is fetching what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use http::{
    header::{AUTHORIZATION, COOKIE},
    request,
};

use super::{
    budget::Budget, flight::Flights, gate::Gate, patience::Patience, recording::Recording, shy::Shy,
};
use crate::{
    clock::Clock,
    policy::{Head, Key, Policy, Selection, Vary},
    store::{Changes, Entry, Seen, Store, Verdict},
};

/// Looks at the whole body of a response that is being stored: what it finds goes with the
/// record, and comes with each response as a [`Verdict`](crate::store::Verdict) among its
/// extensions. In a store of this process alone nobody looks before it is needed: whoever is the
/// first to need the verdict [looks](crate::store::Verdict::get_or_look), once for all.
pub type Inspect = fn(&Head, &[u8]) -> bool;

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

impl<S: Store> Core<S> {
    /// What a new request may wait for the store.
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.clock, self.store_timeout)
    }
}

/// Whether the request says who makes it: then its response may be nobody else's.
pub(super) fn credentials(req: &request::Parts) -> bool {
    req.headers.contains_key(AUTHORIZATION) || req.headers.contains_key(COOKIE)
}
