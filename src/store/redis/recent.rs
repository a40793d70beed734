//! The URIs that were purged in the last while, on any instance that is heard.
//!
//! They are in no journal. Where another server takes the place of the one that was told, which may
//! not know of them, they are told again.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use super::journal::REMEMBERED;
use crate::policy::{Key, Purge};

/// So many are remembered. Where there were more, everything is purged.
const MOST: usize = 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Recent(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    keys: VecDeque<(Instant, Key)>,
    /// When one was purged that is not among them any more.
    lost: Option<Instant>,
}

impl Recent {
    /// A URI was purged, and Redis knows of it.
    pub(super) fn remember(&self, key: &Key, now: Instant) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = inner.keys.back_mut();
        if let Some((when, _)) = last.filter(|(_, last)| last.uri() == key.uri()) {
            *when = now; // of another class of methods
            return;
        }
        if inner.keys.len() >= MOST {
            inner.lost = inner.keys.pop_front().map(|(when, _)| when);
        }
        inner.keys.push_back((now, key.clone()));
    }

    /// What is to be purged again.
    pub(super) fn purges(&self, now: Instant) -> Vec<Purge> {
        let is_recent = |when: Instant| now.duration_since(when) < REMEMBERED;
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.lost.is_some_and(is_recent) {
            return vec![Purge::All];
        }
        inner.keys.retain(|(when, _)| is_recent(*when));
        let keys = inner.keys.iter();
        keys.map(|(_, key)| Purge::Uri(key.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn key(n: usize) -> Key {
        Key::parse(&format!("GET http://a/{n}"))
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_too_much_is_everything() {
        let (recent, start) = (Recent::default(), Clock::system().instant());
        let later = start + REMEMBERED / 2;
        recent.remember(&key(0), start);
        recent.remember(&Key::parse("QUERY http://a/0"), start);
        recent.remember(&key(1), later);
        let both = [0, 1].map(|n| Purge::Uri(key(n)));
        assert_eq!(recent.purges(later), both);
        let one_is_old = start + REMEMBERED;
        assert_eq!(recent.purges(one_is_old), both[1..]);
        for n in 0..=MOST {
            recent.remember(&key(n), one_is_old);
        }
        assert_eq!(recent.purges(one_is_old), [Purge::All]);
        let all_are_old = one_is_old + REMEMBERED + Duration::from_secs(1);
        assert_eq!(recent.purges(all_are_old), []);
    }
}
