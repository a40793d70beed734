//! Things by their key, for as long as somebody holds them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::policy::Key;

/// See the module.
pub(super) struct Table<T>(Mutex<Inner<T>>);

struct Inner<T> {
    by_key: HashMap<Key, Weak<T>>,
    /// When there are so many, those that nobody holds are taken out.
    full: usize,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Table(Mutex::new(Inner {
            by_key: HashMap::new(),
            full: 0,
        }))
    }

    /// What somebody holds, or a new one.
    pub(super) fn get_or(&self, key: &Key, new: impl FnOnce() -> T) -> Arc<T> {
        let mut inner = self.lock();
        if let Some(held) = inner.by_key.get(key).and_then(Weak::upgrade) {
            return held;
        }
        if inner.by_key.len() >= inner.full {
            inner.by_key.retain(|_, held| held.strong_count() > 0);
            inner.full = (2 * inner.by_key.len()).max(64);
        }
        let held = Arc::new(new());
        inner.by_key.insert(key.clone(), Arc::downgrade(&held));
        held
    }

    /// What somebody holds.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<T>> {
        self.lock().by_key.get(key).and_then(Weak::upgrade)
    }

    /// All that is held.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let inner = self.lock();
        inner.by_key.values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_nothing_by_itself() {
        let table = Table::new();
        let (a, b) = (Key::parse("GET http://a/"), Key::parse("GET http://b/"));
        let first = table.get_or(&a, || 1);
        assert_eq!(*table.get_or(&a, || 2), 1);
        assert!(table.find(&b).is_none());
        drop(first);
        assert_eq!(*table.get_or(&a, || 3), 3);
        for n in 0..1000 {
            table.get_or(&Key::parse(&format!("GET http://a/{n}")), || n);
        }
        assert!(table.lock().by_key.len() <= 64);
    }
}
