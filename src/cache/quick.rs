//! The quick way: a hit that needs no thought and no waiting, answered within the call.
//!
//! Most requests to a cache are plain, and what most of them ask for is fresh and in memory.
//! Those are answered without a future, without a key of their own and without a touch of the
//! inner service. What is not found here goes the long way of `exchange`, which knows all rules:
//! this one never says anything else than that one would.

use std::{cell::RefCell, sync::Arc};

use http::{HeaderMap, HeaderValue, Response, header::AGE, request};

use super::{answer, core::Core, seconds};
use crate::{
    policy::{Head, Key},
    store::{Entry, Payload, Record, Store},
};

thread_local! {
    /// Where keys are written to be looked up.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A stored response that answers a plain request as it is.
pub(crate) struct Hit {
    pub(crate) head: Arc<Head>,
    pub(crate) body: Payload,
    age: u64,
    /// Seconds that it stays fresh: more than none.
    pub(super) ttl: i64,
}

/// The stored response to this request, if it is at hand.
pub(super) fn hit<S: Store>(core: &Core<S>, req: &request::Parts) -> Option<Hit> {
    find(core, req, |key| Key::write(req, key))
}

/// The same for a request whose key, if it has no variants, is what `write` writes.
pub(super) fn find<S: Store>(
    core: &Core<S>,
    req: &request::Parts,
    write: impl FnOnce(&mut String),
) -> Option<Hit> {
    if core.debug_headers || !core.policy.is_plain(req) {
        return None;
    }
    let Entry { head, body, .. } = KEY.with_borrow_mut(|key| {
        key.clear();
        write(key);
        at_hand(core, req, key)
    })?;
    let (age, ttl) = core.policy.reuse_plainly(&head, core.clock.now())?;
    if head.part().is_some() {
        return None;
    }
    Some(Hit {
        head,
        body,
        age,
        ttl,
    })
}

fn at_hand<S: Store>(core: &Core<S>, req: &request::Parts, key: &mut String) -> Option<Entry> {
    let mut record = core.store.at_hand(key)?;
    if let Record::Vary(vary) = record {
        vary.write(req, key);
        record = core.store.at_hand(key)?;
    }
    match record {
        Record::Response(entry) => Some(entry),
        Record::Vary(_) | Record::Search(_) => None,
    }
}

impl Hit {
    /// The response as it is told now, with this body.
    pub(crate) fn response<B>(&self, body: B) -> Response<B> {
        let mut res = answer::with_head(&self.head, body);
        self.tell(res.headers_mut());
        res
    }

    /// Counts it as used, and says so in fields that are, or were taken from, those that are
    /// stored: nothing but their slots is written to, and the one that says `HIT` says it already.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        self.count();
        headers.insert(AGE, self.age());
        answer::tell_status(headers, self.status());
    }

    /// Counts it as used.
    pub(crate) fn count(&self) {
        self.body.verdict().count_hit();
    }

    /// What its `Age` is told to be.
    pub(crate) fn age(&self) -> HeaderValue {
        seconds::age(self.age)
    }

    /// What the cache's own member of its `Cache-Status` says.
    pub(crate) fn status(&self) -> HeaderValue {
        answer::hit_status(self.ttl)
    }
}
