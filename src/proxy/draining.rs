//! The end of a server: everybody can see that it has come, and wait for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

/// Tells whether the end has come. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Draining(Arc<End>);

#[derive(Debug, Default)]
struct End {
    /// What is looked at by each request takes no lock.
    has_come: AtomicBool,
    told: watch::Sender<bool>,
}

impl Draining {
    pub(super) fn is_on(&self) -> bool {
        self.0.has_come.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.0.has_come.store(true, Ordering::Relaxed);
        self.0.told.send_replace(true);
    }

    /// Until it has come.
    pub(super) async fn begun(&self) {
        let mut told = self.0.told.subscribe();
        let begun = told.wait_for(|on| *on).await;
        debug_assert!(begun.is_ok(), "the sender is here");
    }
}
