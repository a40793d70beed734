//! A circuit breaker: after a few failures, calls fail at once.
//!
//! Without one, every request that comes while Redis hangs would wait out the timeout. Where one
//! node of a cluster hangs, failures come between successes: so it opens, too, when more than one
//! call in ten fails for a while.

use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use tokio::sync::Notify;

/// What a failure counts; a success takes one away.
const FAILURE: u32 = 10;

/// This much opens it: three failures in a row, or as many with some successes between them.
const TOO_MUCH: u32 = 21;

/// Open from the start: nothing passes until somebody knows that Redis answers.
#[derive(Debug)]
pub(super) struct Breaker {
    open: AtomicBool,
    trouble: AtomicU32,
    tripped: Notify,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Breaker {
            open: AtomicBool::new(true),
            trouble: AtomicU32::new(0),
            tripped: Notify::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Acquire)
    }

    pub(super) fn success(&self) {
        // Most of the time it is 0 already: do not make the cores fight over a write.
        let trouble = self.trouble.load(Relaxed);
        if trouble != 0 {
            // Where another changes it at the same time, this one success is lost: no matter.
            let _ = self
                .trouble
                .compare_exchange(trouble, trouble - 1, Relaxed, Relaxed);
        }
    }

    pub(super) fn failure(&self) {
        if self.trouble.fetch_add(FAILURE, Relaxed) + FAILURE >= TOO_MUCH {
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
        self.trouble.store(0, Relaxed);
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
    fn opens_after_three_failures_and_stays_open() {
        let breaker = Breaker::new();
        assert!(breaker.is_open());
        breaker.close();
        breaker.failure();
        breaker.failure();
        assert!(!breaker.is_open());
        breaker.failure();
        assert!(breaker.is_open());
        breaker.success();
        assert!(breaker.is_open(), "a straggler's success does not close it");
    }

    #[test]
    fn bears_a_failure_now_and_then_but_not_many() {
        let breaker = Breaker::new();
        breaker.close();
        for _ in 0..100 {
            breaker.failure();
            (0..12).for_each(|_| breaker.success());
        }
        assert!(!breaker.is_open());
        for _ in 0..10 {
            breaker.failure();
            (0..2).for_each(|_| breaker.success());
        }
        assert!(breaker.is_open());
    }
}
