//! The quick way: a hit that needs no thought and no waiting, answered within the call.
//!
//! Most requests to a cache are plain, and what most of them ask for is fresh and in memory.
//! Those are answered without a future, without a key of their own and without a touch of the
//! inner service. What is not found here goes the long way of `exchange`, which knows all rules:
//! this one never says anything else than that one would.

use std::cell::RefCell;

use http::{Response, request};

use super::{answer, body::ResponseBody, core::Core};
use crate::{
    policy::Key,
    store::{Entry, Record, Store},
};

thread_local! {
    /// Where keys are written to be looked up.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The stored response to this request, if it is at hand.
pub(super) fn answer<S: Store, B>(
    core: &Core<S>,
    req: &request::Parts,
) -> Option<Response<ResponseBody<B>>> {
    if core.debug_headers || !core.policy.is_plain(req) {
        return None;
    }
    let entry = KEY.with_borrow_mut(|key| find(core, req, key))?;
    let is_whole = entry.head.part().is_none();
    let (age, ttl) = core.policy.reuse_plainly(&entry.head, core.clock.now())?;
    is_whole.then(|| {
        entry.body.verdict().count_hit();
        answer::plainly(core, &entry, age, ttl)
    })
}

fn find<S: Store>(core: &Core<S>, req: &request::Parts, key: &mut String) -> Option<Entry> {
    key.clear();
    Key::write(req, key);
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
