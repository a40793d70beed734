//! Keys in the order in which they were last put in front: what all the simulated caches are
//! made of.

use std::collections::{HashMap, VecDeque};

/// A list of keys, each once.
#[derive(Default)]
pub(crate) struct Recency {
    /// When each key was put in front last.
    at: HashMap<u64, u64>,
    /// Oldest first; what is not as `at` says is out of date.
    order: VecDeque<(u64, u64)>,
    now: u64,
}

impl Recency {
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.at.contains_key(&key)
    }

    /// Puts a key in front, be it new or not.
    pub(crate) fn push(&mut self, key: u64) {
        self.now += 1;
        self.at.insert(key, self.now);
        self.order.push_back((key, self.now));
        if self.order.len() > 2 * self.at.len() + 64 {
            self.order.retain(|(key, at)| self.at.get(key) == Some(at));
        }
    }

    /// Takes a key out; `false` when it is not there.
    pub(crate) fn remove(&mut self, key: u64) -> bool {
        self.at.remove(&key).is_some()
    }

    /// The key at the end.
    pub(crate) fn last(&mut self) -> Option<u64> {
        while let Some((key, at)) = self.order.front() {
            if self.at.get(key) == Some(at) {
                return Some(*key);
            }
            self.order.pop_front();
        }
        None
    }

    /// Takes out the key at the end.
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let key = self.last()?;
        self.remove(key);
        Some(key)
    }
}
