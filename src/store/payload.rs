//! The bytes of a stored response's body.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    StoreError,
    reading::{Piece, Reading, Rest},
};
use crate::policy::apart;

/// A whole body, its trailers, and what somebody found out about it. Cheap to clone.
///
/// A large one may be at hand with its beginning alone: the rest is read from its store as it is
/// needed. What was promised when it was found may then come to nothing, so reading is fallible.
#[derive(Clone, Default)]
pub struct Payload {
    /// All bytes, or the first of them.
    data: Bytes,
    rest: Option<Arc<Rest>>,
    trailers: Option<Arc<HeaderMap>>,
    verdict: Verdict,
}

/// What somebody who looked at all the bytes found: yes, no, or nobody looked yet.
///
/// All clones share it, so a costly look is taken once for each stored response, and not once
/// for each time it is served. It knows how often that was, too.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    found: OnceLock<bool>,
    hits: AtomicU64,
}

impl Payload {
    /// A body of these bytes. The trailers are copied: they share no buffer that they came in.
    pub fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Payload {
            data,
            rest: None,
            trailers: trailers.map(|fields| Arc::new(apart(&fields, |_| true))),
            verdict: Verdict::default(),
        }
    }

    /// A body that begins with these bytes, and goes on elsewhere.
    #[cfg(feature = "redis")]
    pub(super) fn begun(first: Bytes, rest: Rest, trailers: Option<HeaderMap>) -> Self {
        Payload {
            rest: Some(Arc::new(rest)),
            ..Payload::new(first, trailers)
        }
    }

    /// The same body, with what is known of it already.
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// The same body, with what is to be done with its rest.
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(super) fn map_rest(mut self, map: impl FnOnce(&Rest) -> Rest) -> Self {
        self.rest = self.rest.map(|rest| Arc::new(map(&rest)));
        self
    }

    /// All bytes, where they are at hand.
    pub fn data(&self) -> Option<&Bytes> {
        self.rest.is_none().then_some(&self.data)
    }

    /// How many bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody needs to know")]
    pub fn len(&self) -> u64 {
        match &self.rest {
            None => self.data.len() as u64,
            Some(rest) => rest.length(),
        }
    }

    /// All bytes, wherever they are.
    ///
    /// # Errors
    ///
    /// When some of them are elsewhere, and cannot be had.
    pub async fn read(&self) -> Result<Bytes, StoreError> {
        match self.part(0..self.len()) {
            Piece::Here(data) => Ok(data),
            Piece::Coming(reading) => reading.all().await,
        }
    }

    /// Those of these bytes that there are.
    pub(crate) fn part(&self, range: Range<u64>) -> Piece {
        let at_hand = self.data.len() as u64;
        match &self.rest {
            Some(rest) if range.end > at_hand => {
                let range = range.start..range.end.min(rest.length());
                Piece::Coming(Reading::new(self.data.clone(), Arc::clone(rest), range))
            }
            _ => {
                let place = |byte: u64| byte.min(at_hand) as usize;
                Piece::Here(self.data.slice(place(range.start)..place(range.end)))
            }
        }
    }

    /// The trailer fields that came after them.
    pub fn trailers(&self) -> Option<&Arc<HeaderMap>> {
        self.trailers.as_ref()
    }

    /// The memory that it takes, in bytes, approximately: for a store's budget.
    pub fn weight(&self) -> usize {
        let trailers = self.trailers.iter().flat_map(|fields| fields.iter());
        let trailers = trailers.map(|(name, value)| 64 + name.as_str().len() + value.len());
        self.data.len() + trailers.sum::<usize>()
    }

    /// What was found out about the bytes.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("data", &self.data)
            .field("length", &self.len())
            .field("trailers", &self.trailers)
            .field("verdict", &self.verdict)
            .finish()
    }
}

impl Verdict {
    /// A verdict that was reached before.
    pub fn known(found: bool) -> Self {
        let notes = Notes {
            found: OnceLock::from(found),
            ..Notes::default()
        };
        Verdict(Arc::new(notes))
    }

    /// What was found, if anybody looked.
    pub fn get(&self) -> Option<bool> {
        self.0.found.get().copied()
    }

    /// What was found; `look` is called if nobody looked yet.
    pub fn get_or_look(&self, look: impl FnOnce() -> bool) -> bool {
        *self.0.found.get_or_init(look)
    }

    /// Counts that it was served without the origin being asked.
    pub(crate) fn count_hit(&self) {
        self.0.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was, since it was stored or, where that is not in memory, read.
    pub fn hits(&self) -> u64 {
        self.0.hits.load(Ordering::Relaxed)
    }
}
