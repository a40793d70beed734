//! Forgetting a URI, or everything, with the fetches that are under way.

use std::sync::Arc;

use super::{
    core::{Core, Landing},
    gate::Ticket,
    patience::Patience,
};
use crate::{
    policy::{Key, Purge},
    store::{Removed, Seen, Store, StoreError},
};

/// Whether a flight could bring what this is about.
pub(super) fn concerns_flight(purge: &Purge, key: &Key, landing: Option<&Landing>) -> bool {
    match landing {
        Some(Landing::Live(live)) => purge.concerns(key, &live.head),
        Some(Landing::Stored(entry) | Landing::Stale(entry)) => purge.concerns(key, &entry.head),
        Some(Landing::Alone | Landing::Failed { .. }) => false,
        None => purge.may_concern(key),
    }
}

impl<S: Store> Core<S> {
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
