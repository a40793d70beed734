//! What is kept under a key, and what it weighs.

use std::sync::{Arc, atomic::AtomicU64};

use quick_cache::Weighter;
use tokio::time::Instant;

use super::{packed::Packed, ready, trial::Sample};
use crate::{
    policy::{Key, Search, Vary},
    store::{Entry, EntryId, Front, Payload, Record, Seen},
};

/// What a record costs besides its bytes: its place in the table (which is up to half empty, or
/// has places of evicted ones), the item itself, what its body shares out, and what the allocator
/// takes for each of these pieces.
const OVERHEAD: usize = 2 * (size_of::<Kept>() + size_of::<Key>() + 32) + size_of::<Item>() + 160;

/// A record in the table.
pub(super) type Kept = Arc<Item>;

pub(super) struct Item {
    pub(super) what: What,
    /// When it is of no use any more; `None` is so far off that no clock can say it.
    pub(super) until: Option<Instant>,
    /// Reckoned once: the table's books are wrong if an item's weight differs between two looks.
    pub(super) weight: u64,
    /// For the trial, if it is one that is looked at there.
    pub(super) sample: Option<Sample>,
    /// What the copy of a record that is kept elsewhere was copied by.
    pub(super) copied: Option<Arc<Copied>>,
}

/// A [`Record`], at rest.
pub(super) enum What {
    Response {
        id: EntryId,
        head: Packed,
        body: Payload,
    },
    Vary(Arc<Vary>),
    Search(Arc<Search>),
}

/// What is known of a record that is kept elsewhere, as its copy was made.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "nothing is copied")
)]
pub(in crate::store) struct Copied {
    pub(in crate::store) seen: Seen,
    /// The number of the last purge that is known to leave the copy alone.
    pub(in crate::store) holds: AtomicU64,
}

#[derive(Clone)]
pub(super) struct ByWeight;

impl Item {
    pub(super) fn expired(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The record, to be used.
    pub(super) fn record(&self) -> Record {
        match &self.what {
            What::Response { id, head, body } => Record::Response(Entry {
                id: *id,
                head: ready::head(head),
                body: body.clone(),
            }),
            What::Vary(vary) => Record::Vary(Arc::clone(vary)),
            What::Search(search) => Record::Search(Arc::clone(search)),
        }
    }

    /// The record without its body, to be looked at.
    pub(super) fn front(&self) -> Front {
        match &self.what {
            What::Response { id, head, body } => Front::Response {
                id: *id,
                head: Arc::new(head.unpack()),
                size: Some(body.len()),
                hits: Some(body.verdict().hits()),
            },
            What::Vary(vary) => Front::Vary(Arc::clone(vary)),
            What::Search(search) => Front::Search(Arc::clone(search)),
        }
    }
}

impl From<Record> for What {
    fn from(record: Record) -> What {
        match record {
            Record::Response(Entry { id, head, body }) => What::Response {
                id,
                head: Packed::new(&head),
                body,
            },
            Record::Vary(vary) => What::Vary(vary),
            Record::Search(search) => What::Search(search),
        }
    }
}

impl Weighter<Key, Kept> for ByWeight {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        kept.weight
    }
}

/// What keeping this takes, in bytes. Never 0: that would mean "never evict".
pub(super) fn weight(key: &Key, what: &What) -> u64 {
    let what = match what {
        What::Response { head, body, .. } => head.weight() + body.weight(),
        What::Vary(vary) => size_of_val(&**vary) + vary.fields.names().len() * 48,
        What::Search(search) => size_of_val(&**search) + search.rule.weight(),
    };
    (OVERHEAD + key.as_str().len() + what) as u64
}
