//! Who fetches a key, of all who share what is kept.
//!
//! Nothing that is stored depends on it: a lease that is lost, or that two believe to have, costs
//! one fetch more.

use std::{fmt, pin::Pin, sync::Arc};

/// Whether to fetch what was not found, or is stale.
#[derive(Debug, Default)]
pub enum Turn {
    /// Nobody knows of anybody else: fetch it.
    #[default]
    Free,
    /// Fetch it; others who share what is kept may wait for it.
    Mine(Lease),
    /// Somebody else fetches it.
    Others(Wait),
}

/// When to ask whose [turn](Turn) it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Not at all: what is fetched would not be kept.
    Never,
    /// When nothing is found.
    IfMissing,
    /// Whatever is found.
    Always,
}

/// The right to fetch a key while others wait. It ends when it is dropped: after what was fetched
/// is stored, or when it will not be.
pub struct Lease(Arc<dyn Claimed>);

/// What a store knows of a lease. It ends when it is dropped.
pub(super) trait Claimed: Send + Sync {
    /// What is fetched is of no use to others, and what comes next will not be either.
    fn is_in_vain(&self);
}

/// A while, until it is known what became of another's fetch, or until it takes too long.
pub struct Wait(Pin<Box<dyn Future<Output = bool> + Send + Sync>>);

// === impl Lease ===

impl Lease {
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(super) fn of(claimed: Arc<dyn Claimed>) -> Self {
        Lease(claimed)
    }

    /// What is fetched is of no use to others: for a while, nobody waits for anybody.
    pub(crate) fn is_in_vain(&self) {
        self.0.is_in_vain();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

// === impl Wait ===

impl Wait {
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(super) fn new(wait: impl Future<Output = bool> + Send + Sync + 'static) -> Self {
        Wait(Box::pin(wait))
    }

    /// Waits. Answers whether the fetch is over; what there is then may be of use, or not. If it
    /// is not known, ask whose turn it is: the other may be at it still.
    pub(crate) async fn over(self) -> bool {
        self.0.await
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wait")
    }
}
