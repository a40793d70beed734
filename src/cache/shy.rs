//! Keys that were lately found not to be cacheable, so that requests for them do not queue up
//! behind one another only to learn it again.
//!
//! A fixed table of fingerprints: a wrong or a forgotten entry costs a fetch that was not shared
//! or was waited for, and never a wrong answer.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::policy::Key;

const PLACES: usize = 4096;
const REMEMBERED: Duration = Duration::from_secs(10);

/// A fingerprint, and until when it is remembered.
type Place = Mutex<Option<(u64, SystemTime)>>;

/// The keys that are better fetched by each for itself.
pub(super) struct Shy {
    places: Box<[Place]>,
    hasher: RandomState,
}

impl Shy {
    pub(super) fn new() -> Self {
        Shy {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Remembers `key` for some seconds, for requests with or without credentials.
    pub(super) fn remember(&self, key: &Key, credentials: bool, now: SystemTime) {
        let (mut place, print) = self.place(key, credentials);
        *place = Some((print, now + REMEMBERED));
    }

    /// Takes `key` out again: its last response could be stored.
    pub(super) fn forget(&self, key: &Key, credentials: bool) {
        let (mut place, print) = self.place(key, credentials);
        if place.is_some_and(|(kept, _)| kept == print) {
            *place = None;
        }
    }

    /// Whether `key` is remembered.
    pub(super) fn knows(&self, key: &Key, credentials: bool, now: SystemTime) -> bool {
        let (place, print) = self.place(key, credentials);
        place.is_some_and(|(kept, until)| kept == print && now < until)
    }

    fn place(
        &self,
        key: &Key,
        credentials: bool,
    ) -> (MutexGuard<'_, Option<(u64, SystemTime)>>, u64) {
        let print = self.hasher.hash_one((key, credentials));
        let place = self.places[print as usize % PLACES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (place, print)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_a_while_and_tells_credentials_apart() {
        let shy = Shy::new();
        let key = Key::parse("GET http://a/");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        shy.remember(&key, true, now);
        assert!(shy.knows(&key, true, now));
        assert!(!shy.knows(&key, false, now));
        assert!(!shy.knows(&key, true, now + REMEMBERED));
        shy.forget(&key, true);
        assert!(!shy.knows(&key, true, now));
    }
}
