//! A circuit breaker: after a few failures in a row, calls fail at once.
//!
//! Without one, every request that comes while Redis hangs would wait out the timeout.

use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use tokio::sync::Notify;

/// This many failures in a row open it.
const TOLERATED: u32 = 3;

/// Open from the start: nothing passes until somebody knows that Redis answers.
#[derive(Debug)]
pub(super) struct Breaker {
    open: AtomicBool,
    failures: AtomicU32,
    tripped: Notify,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Breaker {
            open: AtomicBool::new(true),
            failures: AtomicU32::new(0),
            tripped: Notify::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Acquire)
    }

    pub(super) fn success(&self) {
        // Most of the time it is 0 already: do not make the cores fight over a write.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(super) fn failure(&self) {
        if self.failures.fetch_add(1, Relaxed) + 1 >= TOLERATED {
            self.trip();
        }
    }

    /// Opens it, for a reason of one's own.
    pub(super) fn trip(&self) {
        if !self.open.swap(true, Release) {
            self.tripped.notify_one();
        }
    }

    /// Closes it: for the keeper alone, after a probe that went well.
    pub(super) fn close(&self) {
        self.failures.store(0, Relaxed);
        self.open.store(false, Release);
    }

    /// Waits until it has opened.
    pub(super) async fn tripped(&self) {
        while !self.is_open() {
            self.tripped.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new();
        assert!(breaker.is_open());
        breaker.close();
        for _ in 0..10 {
            breaker.failure();
            breaker.failure();
            breaker.success();
        }
        assert!(!breaker.is_open());
        breaker.failure();
        breaker.failure();
        breaker.failure();
        assert!(breaker.is_open());
        breaker.success();
        assert!(breaker.is_open(), "a straggler's success does not close it");
    }
}
