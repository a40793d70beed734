//! Whether newcomers are let in at once, or by lot: as would have hit more, tried on a sample.
//!
//! Where what is asked for goes round, in a turn longer than there is room, each newcomer drives
//! out what is asked for before it is: then it is better to let few in. Where anything else is
//! asked for, it is not: in `benches/hit_ratio` it costs up to 6 points. So two small tables of
//! keys alone, with a share of the budget for the same share of the keys, see what is asked for of
//! those: one lets all in, the other by lot. The store does as the latter only while that is
//! clearly ahead.

use std::{
    hash::BuildHasher,
    num::NonZeroU64,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use quick_cache::{DefaultHashBuilder, Weighter, unsync::Cache};

use super::{TYPICAL, options};
use crate::policy::Key;

/// One newcomer in so many is let in by lot. With more, what goes round is served better yet, and
/// worse where it is mixed with something else.
const ODDS: u64 = 4;

/// How many records a sample should have room for, at least, if they are of [`TYPICAL`] size.
const ENOUGH: u64 = 256;

/// One key in so many is looked at, at most and at least.
const SHARES: (u64, u64) = (2, 64);

pub(super) struct Trial {
    hasher: DefaultHashBuilder,
    /// One key in so many is looked at.
    share: u64,
    tried: Mutex<Tried>,
    by_lot: AtomicBool,
    drawn: AtomicU64,
}

/// A key that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sample(NonZeroU64);

struct Tried {
    at_once: Table,
    by_lot: Table,
    /// How many more hits the latter had than the former, as far as that matters.
    ahead: i64,
}

/// With the weight of each record.
type Table = Cache<Sample, u64, Weight>;

struct Weight;

impl Trial {
    /// A trial for a store of so many bytes.
    pub(super) fn new(budget: u64) -> Self {
        let share = (budget / TYPICAL / ENOUGH).clamp(SHARES.0, SHARES.1);
        let table = || {
            let hasher = DefaultHashBuilder::default();
            Table::with_options(
                options(budget / share, 1),
                Weight,
                hasher,
                Default::default(),
            )
        };
        Trial {
            hasher: DefaultHashBuilder::default(),
            share,
            tried: Mutex::new(Tried {
                at_once: table(),
                by_lot: table(),
                ahead: 0,
            }),
            by_lot: AtomicBool::new(false),
            drawn: AtomicU64::new(0),
        }
    }

    /// What stands for this key, if it is one that is looked at.
    pub(super) fn sample(&self, key: &Key) -> Option<Sample> {
        let hash = self.hasher.hash_one(key);
        let sample = NonZeroU64::new(hash).map(Sample);
        // By the upper bits: tables find places by the lower ones.
        sample.filter(|_| (hash >> 32).is_multiple_of(self.share))
    }

    /// It was asked for, whether it was there or not. Nobody waits here: what comes while another
    /// is looked at is left out.
    pub(super) fn ask(&self, sample: Sample, weight: u64) {
        let Ok(mut tried) = self.tried.try_lock() else {
            return;
        };
        let Tried {
            at_once,
            by_lot,
            ahead,
        } = &mut *tried;
        let full = by_lot.weight() + weight > by_lot.capacity();
        let lets_in = !full || self.draw();
        *ahead -= i64::from(ask(at_once, sample, weight, true));
        *ahead += i64::from(ask(by_lot, sample, weight, lets_in));
        // Chance alone makes no difference as large as this.
        let clear = (at_once.len() as i64 / 4).max(32);
        *ahead = (*ahead).clamp(-clear, clear);
        if *ahead == clear {
            self.by_lot.store(true, Ordering::Relaxed);
        } else if *ahead <= 0 {
            self.by_lot.store(false, Ordering::Relaxed);
        }
    }

    /// Whether newcomers are let in by lot at present.
    pub(super) fn is_by_lot(&self) -> bool {
        self.by_lot.load(Ordering::Relaxed)
    }

    /// Draws for a newcomer: whether it is let in.
    pub(super) fn draw(&self) -> bool {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.hasher.hash_one(drawn).is_multiple_of(ODDS)
    }
}

/// Whether it was there; it is from now on if it is let in.
fn ask(table: &mut Table, sample: Sample, weight: u64, lets_in: bool) -> bool {
    let there = table.get(&sample).is_some();
    if !there && lets_in {
        table.insert(sample, weight);
    }
    there
}

impl Weighter<Sample, u64> for Weight {
    fn weight(&self, _: &Sample, weight: &u64) -> u64 {
        *weight
    }
}
