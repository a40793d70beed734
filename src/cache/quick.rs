//! The quick way: a hit that needs no thought and no waiting, answered within the call.
//!
//! Most requests to a cache are plain, and what most of them ask for is fresh and in memory.
//! Those are answered without a future, without a key of their own and without a touch of the
//! inner service. What is not found here goes the long way of `exchange`, which knows all rules:
//! this one never says anything else than that one would.

use std::{cell::RefCell, sync::Arc};

use http::{Response, request};

use super::{answer, core::Core};
use crate::{
    policy::{Head, Key},
    store::{Entry, Payload, Record, Store},
};

thread_local! {
    /// Where keys are written to be looked up.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A stored response that answers a plain request as it is, and that is counted as used.
pub(crate) struct Hit {
    head: Arc<Head>,
    pub(crate) body: Payload,
    age: u64,
    /// Seconds that it stays fresh: more than none.
    pub(crate) ttl: i64,
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
    body.verdict().count_hit();
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
    /// The response's head, as it is told now, with this body.
    pub(crate) fn response<B>(&self, body: B) -> Response<B> {
        answer::fresh(&self.head, self.age, self.ttl, body)
    }
}
