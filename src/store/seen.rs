//! What is known of a key besides its record: what makes a late write harmless.

use tokio::time::Instant;

use super::Record;
use crate::policy::Key;

/// What a lookup found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The record.
    pub record: Option<Record>,
    /// What a write has to know that follows from this.
    pub seen: Seen,
    /// Where the record is the mark of variants: the one that was asked for, with its key, if it came
    /// along.
    pub variant: Option<Box<(Key, Looked)>>,
}

/// What came of removing a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Whether there was anything.
    pub any: bool,
    /// By this, a write counts that comes in its place.
    pub seen: Seen,
}

/// How far purges had come when something was looked up.
///
/// A write that follows from a lookup hands it back, and counts only if what it brings was not
/// purged since. To a store that nobody shares, it means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of the last purge in the journal; 0 when it is not known.
    pub(crate) number: u64,
    /// Which removal of the key was the last; 0 when none is remembered.
    pub(crate) nonce: u64,
    /// The session in which others' purges were listened to.
    pub(crate) session: u64,
    /// When it was.
    pub(crate) at: Option<Instant>,
}

impl Looked {
    /// There is nothing.
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(super) fn nothing(seen: Seen) -> Self {
        Looked {
            seen,
            ..Looked::default()
        }
    }
}

impl Seen {
    /// Nobody looked.
    pub(crate) const NOTHING: Seen = Seen {
        number: 0,
        nonce: 0,
        session: 0,
        at: None,
    };

    /// As if another key, that nobody removed, had been seen at the same time.
    pub(crate) fn elsewhere(self) -> Seen {
        Seen { nonce: 0, ..self }
    }

    /// This key, as it is since a purge was announced.
    pub(crate) fn as_of(self, announced: Seen) -> Seen {
        Seen {
            nonce: self.nonce,
            ..announced
        }
    }
}

impl From<Option<Record>> for Looked {
    fn from(record: Option<Record>) -> Self {
        Looked {
            record,
            ..Looked::default()
        }
    }
}
