//! Whether anything was stored or purged under a key since somebody looked.
//!
//! Between a miss and a seat in a flight, the fetch that would have answered may have landed.
//! Who comes to lead looks again if this says so, and only then.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::policy::Key;

const SHARDS: usize = 256;

/// Counts changes, by a fingerprint of the key.
pub(crate) struct Changes {
    counts: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Changes {
            counts: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The changes so far under `key` and all its variants.
    pub(crate) fn seen(&self, key: &Key) -> u64 {
        self.count(key).load(Ordering::Acquire)
    }

    /// There was one more. Call it after the change can be seen.
    pub(crate) fn add(&self, key: &Key) {
        self.count(key).fetch_add(1, Ordering::AcqRel);
    }

    /// There was one more under every key.
    pub(crate) fn add_everywhere(&self) {
        for count in &self.counts {
            count.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn count(&self, key: &Key) -> &AtomicU64 {
        &self.counts[self.hasher.hash_one(key.primary()) as usize % SHARDS]
    }
}
