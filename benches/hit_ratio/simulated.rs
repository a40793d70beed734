//! Caches of keys, each as its paper has it: what larder's store is compared with.

use std::collections::HashMap;

use super::recency::Recency;

/// A cache of a number of keys.
pub(crate) trait Simulated {
    fn new(capacity: usize) -> Self
    where
        Self: Sized;

    /// Asks for a key, which is there from then on, if the cache takes it; answers whether it was.
    fn ask(&mut self, key: u64) -> bool;
}

/// What was not used for the longest time goes.
pub(crate) struct Lru {
    capacity: usize,
    keys: Recency,
}

/// Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.
pub(crate) struct S3Fifo {
    small_capacity: usize,
    main_capacity: usize,
    small: Recency,
    main: Recency,
    ghost: Recency,
    /// How often each key in `small` or `main` was used, up to 3.
    uses: HashMap<u64, u8>,
}

/// Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM TOS 2017:
/// a window of 1 %, and counts that nothing is lost of (a sketch loses a little).
pub(crate) struct WTinyLfu {
    window_capacity: usize,
    protected_capacity: usize,
    main_capacity: usize,
    window: Recency,
    probation: Recency,
    protected: Recency,
    counts: HashMap<u64, u8>,
    counted: usize,
}

/// Megiddo, Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003.
pub(crate) struct Arc {
    capacity: usize,
    /// How long `once` should be.
    target: usize,
    once: Recency,
    often: Recency,
    once_ghost: Recency,
    often_ghost: Recency,
}

impl Simulated for Lru {
    fn new(capacity: usize) -> Self {
        let keys = Recency::default();
        Lru { capacity, keys }
    }

    fn ask(&mut self, key: u64) -> bool {
        let hit = self.keys.contains(key);
        self.keys.push(key);
        if self.keys.len() > self.capacity {
            self.keys.pop();
        }
        hit
    }
}

impl Simulated for S3Fifo {
    fn new(capacity: usize) -> Self {
        let small_capacity = capacity / 10;
        S3Fifo {
            small_capacity,
            main_capacity: capacity - small_capacity,
            small: Recency::default(),
            main: Recency::default(),
            ghost: Recency::default(),
            uses: HashMap::new(),
        }
    }

    fn ask(&mut self, key: u64) -> bool {
        if let Some(uses) = self.uses.get_mut(&key) {
            *uses = (*uses + 1).min(3);
            return true;
        }
        if self.uses.len() == self.small_capacity + self.main_capacity {
            self.evict();
        }
        let known = self.ghost.remove(key);
        let queue = if known {
            &mut self.main
        } else {
            &mut self.small
        };
        queue.push(key);
        self.uses.insert(key, 0);
        false
    }
}

impl S3Fifo {
    fn evict(&mut self) {
        if self.small.len() >= self.small_capacity {
            while let Some(key) = self.small.pop() {
                if self.uses[&key] <= 1 {
                    self.uses.remove(&key);
                    self.ghost.push(key);
                    if self.ghost.len() > self.main_capacity {
                        self.ghost.pop();
                    }
                    return;
                }
                self.uses.insert(key, 0);
                self.main.push(key);
                if self.main.len() > self.main_capacity {
                    return self.evict_main();
                }
            }
        }
        self.evict_main();
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop() {
            if self.uses[&key] == 0 {
                self.uses.remove(&key);
                return;
            }
            self.uses.entry(key).and_modify(|uses| *uses -= 1);
            self.main.push(key);
        }
    }
}

impl Simulated for WTinyLfu {
    fn new(capacity: usize) -> Self {
        let window_capacity = (capacity / 100).max(1);
        let main_capacity = capacity - window_capacity;
        WTinyLfu {
            window_capacity,
            main_capacity,
            protected_capacity: main_capacity * 8 / 10,
            window: Recency::default(),
            probation: Recency::default(),
            protected: Recency::default(),
            counts: HashMap::new(),
            counted: 0,
        }
    }

    fn ask(&mut self, key: u64) -> bool {
        self.count(key);
        if self.window.contains(key) {
            self.window.push(key);
            return true;
        }
        if self.protected.contains(key) || self.probation.remove(key) {
            self.protected.push(key);
            if self.protected.len() > self.protected_capacity {
                let demoted = self.protected.pop().expect("there is one at least");
                self.probation.push(demoted);
            }
            return true;
        }
        self.window.push(key);
        if self.window.len() > self.window_capacity {
            let candidate = self.window.pop().expect("there is one at least");
            self.admit(candidate);
        }
        false
    }
}

impl WTinyLfu {
    fn count(&mut self, key: u64) {
        let count = self.counts.entry(key).or_default();
        *count = (*count + 1).min(15);
        self.counted += 1;
        if self.counted == 10 * (self.window_capacity + self.main_capacity) {
            self.counted /= 2;
            self.counts.retain(|_, count| {
                *count /= 2;
                *count > 0
            });
        }
    }

    fn admit(&mut self, candidate: u64) {
        if self.probation.len() + self.protected.len() < self.main_capacity {
            return self.probation.push(candidate);
        }
        let count = |key| self.counts.get(&key).copied().unwrap_or_default();
        let victim = self.probation.last();
        if victim.is_none_or(|victim| count(candidate) > count(victim)) {
            self.probation.pop().or_else(|| self.protected.pop());
            self.probation.push(candidate);
        }
    }
}

impl Simulated for Arc {
    fn new(capacity: usize) -> Self {
        Arc {
            capacity,
            target: 0,
            once: Recency::default(),
            often: Recency::default(),
            once_ghost: Recency::default(),
            often_ghost: Recency::default(),
        }
    }

    fn ask(&mut self, key: u64) -> bool {
        if self.once.remove(key) || self.often.contains(key) {
            self.often.push(key);
            return true;
        }
        let (once, often) = (self.once_ghost.len(), self.often_ghost.len());
        if self.once_ghost.contains(key) {
            self.target = (self.target + (often / once).max(1)).min(self.capacity);
            self.replace(false);
            self.once_ghost.remove(key);
            self.often.push(key);
        } else if self.often_ghost.contains(key) {
            self.target = self.target.saturating_sub((once / often).max(1));
            self.replace(true);
            self.often_ghost.remove(key);
            self.often.push(key);
        } else {
            self.make_room();
            self.once.push(key);
        }
        false
    }
}

impl Arc {
    fn make_room(&mut self) {
        let recent = self.once.len() + self.once_ghost.len();
        let all = recent + self.often.len() + self.often_ghost.len();
        if recent == self.capacity {
            if self.once.len() < self.capacity {
                self.once_ghost.pop();
                self.replace(false);
            } else {
                self.once.pop();
            }
        } else if all >= self.capacity {
            if all == 2 * self.capacity {
                self.often_ghost.pop();
            }
            self.replace(false);
        }
    }

    fn replace(&mut self, from_often_ghost: bool) {
        if self.once.len() + self.often.len() < self.capacity {
            return;
        }
        let once = self.once.len();
        if once > 0 && (once > self.target || (from_often_ghost && once == self.target)) {
            let key = self.once.pop().expect("there is one at least");
            self.once_ghost.push(key);
        } else if let Some(key) = self.often.pop() {
            self.often_ghost.push(key);
        }
    }
}
