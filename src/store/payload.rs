//! The bytes of a stored response's body.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::HeaderMap;

use crate::policy::apart;

/// A whole body in one piece, its trailers, and what somebody found out about it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    data: Bytes,
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
            trailers: trailers.map(|fields| Arc::new(apart(&fields))),
            verdict: Verdict::default(),
        }
    }

    /// The same body, with what is known of it already.
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// All bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
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
