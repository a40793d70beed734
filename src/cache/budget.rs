//! Bytes that many bodies may take together, like all those being recorded.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// So many bytes, shared by all.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
}

/// What one of them has taken of a [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    taken: u64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Budget {
            left: AtomicU64::new(bytes),
        })
    }

    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: Arc::clone(self),
            taken: 0,
        }
    }
}

impl Share {
    /// Takes `bytes` more; `false` when they are not there.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let taken = self
            .budget
            .left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok();
        if taken {
            self.taken += bytes;
        }
        taken
    }

    /// Gives back all that was taken.
    pub(crate) fn give_back(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::Relaxed);
        self.taken = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_what_is_left_and_give_it_back() {
        let budget = Budget::new(10);
        let mut first = budget.share();
        let mut second = budget.share();
        assert!(first.take(6));
        assert!(!second.take(5));
        assert!(second.take(4));
        drop(first);
        assert!(second.take(6));
        second.give_back();
        assert!(budget.share().take(10));
    }
}
