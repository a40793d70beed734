//! The purges of many responses at a time, in their order, as all instances see them.
//!
//! Redis holds the journal in one hash: the number of the last purge (`n`), the purges by their
//! numbers, the number of the last that is no longer told (`o`), and the floor (`f`): what was
//! fetched when there were fewer purges than that is gone altogether. Clearing everything raises
//! the floor. A purge that is old leaves the journal; where nobody has said that all it concerns
//! is out of Redis (`s` and its number), the floor rises above it instead. So forgetting a purge
//! may forget too much, and never too little. A journal that is lost (`FLUSHALL`, a failover) is
//! begun anew, with a higher number and floor. The purges of single URIs are not in it
//! (see [`recent`](super::recent)).
//!
//! Every record carries the number of purges that its fetch knew of, and counts only if none that
//! came after concerns it. Each instance has a copy of the journal for that, and each lookup
//! reads its number along with the record: what is lacking is fetched before the record is judged.

mod far;
mod text;

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::far::Reach;
use super::recent::Recent;
use crate::{
    policy::{Head, Key, Purge},
    store::{Told, random},
};

/// How long the copy remembers a purge: longer than Redis does.
pub(super) const REMEMBERED: Duration = Duration::from_secs(11 * 60);

/// Purges that wait for Redis to be back. When there are more, everything is purged.
const PENDING: usize = 1024;

/// An instance's copy.
pub(super) struct Journal {
    number: AtomicU64,
    known: RwLock<Known>,
    pending: Mutex<VecDeque<Purge>>,
    pub(super) recent: Recent,
    told: RwLock<Vec<Told>>,
    pub(super) sender: u64,
}

#[derive(Default)]
struct Known {
    number: u64,
    floor: u64,
    /// The last purge that is no longer known, if there was one.
    forgotten: u64,
    purges: VecDeque<(u64, Instant, Purge)>,
}

// === impl Journal ===

impl Journal {
    pub(super) fn new() -> Self {
        Journal {
            number: AtomicU64::new(0),
            known: RwLock::default(),
            pending: Mutex::default(),
            recent: Recent::default(),
            told: RwLock::default(),
            sender: random(),
        }
    }

    /// The number of the last purge that is known here.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(super) fn listen(&self, told: Told) {
        let mut all = self.told.write().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
    }

    pub(super) fn tell(&self, purge: &Purge) {
        let all = self.told.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|told| told(purge));
    }

    /// Whether what was fetched at `number` is there still, for all purges but `besides`. `head`
    /// is that of a response, and none that of a mark.
    pub(super) fn holds(
        &self,
        key: &Key,
        head: Option<&Head>,
        number: u64,
        besides: Option<u64>,
    ) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let within = number >= known.floor && number <= known.number;
        let mut since = known.purges.iter().rev();
        let mut since = since.by_ref().take_while(|(n, ..)| *n > number);
        within
            && !since.any(|(n, _, purge)| {
                Some(*n) != besides
                    && match head {
                        Some(head) => purge.concerns(key, head),
                        None => purge.is_by_key() && purge.concerns_key(key),
                    }
            })
    }

    /// The same of a copy that no sweep has come by: what is not known counts against it.
    #[cfg(feature = "memory")]
    pub(super) fn holds_copy(&self, key: &Key, head: Option<&Head>, number: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let told = number >= known.forgotten;
        drop(known);
        told && self.holds(key, head, number, None)
    }

    /// Takes in what Redis told: how far it is, and the purges that were lacking. Tells of all
    /// but one's `own`.
    fn learn(
        &self,
        reach: Reach,
        purges: Vec<(u64, Option<Purge>)>,
        own: Option<u64>,
        now: Instant,
    ) {
        let mut news = Vec::new();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let first = known.number == 0;
        if reach.forgotten > known.number {
            known.forgotten = reach.forgotten;
        }
        for (number, purge) in purges {
            if number <= known.number {
                continue;
            }
            known.number = number;
            let Some(purge) = purge else {
                known.forgotten = number;
                continue;
            };
            if Some(number) != own {
                news.push(purge.clone());
            }
            known.purges.push_back((number, now, purge));
        }
        known.number = known.number.max(reach.number);
        if reach.floor > known.floor {
            known.floor = reach.floor;
            if Some(reach.floor) != own {
                news = vec![Purge::All];
            }
        }
        while let Some((number, since, _)) = known.purges.front()
            && (*number <= known.floor || now.duration_since(*since) > REMEMBERED)
        {
            known.forgotten = known.forgotten.max(*number);
            known.purges.pop_front();
        }
        if !first {
            news.iter().for_each(|purge| self.tell(purge));
        }
        // After those were told who act on it.
        self.number.store(known.number, Ordering::Release);
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<Purge>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another server has the place of the one that was told of purges.
    pub(super) fn postpone_recent(&self, now: Instant) {
        let recent = self.recent.purges(now);
        recent.iter().for_each(|purge| self.postpone(purge));
    }

    /// Remembers a purge that Redis could not be told.
    fn postpone(&self, purge: &Purge) {
        let mut pending = self.pending();
        if pending.len() >= PENDING || *purge == Purge::All {
            pending.clear();
            pending.push_back(Purge::All);
        } else if pending.front() != Some(&Purge::All) {
            pending.push_back(purge.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn too_many_purges_that_wait_are_one_of_everything() {
        let journal = Journal::new();
        for n in 0..=PENDING {
            journal.postpone(&Purge::Tag(n.to_string()));
        }
        assert_eq!(*journal.pending(), [Purge::All]);
        journal.postpone(&Purge::Tag("more".to_owned()));
        assert_eq!(*journal.pending(), [Purge::All]);
    }
}
