//! What a request comes to by what is stored for it (§4): the one place where that is decided,
//! for the requests that are answered and for those that are only explained.

use http::request;

use super::find::Found;
use crate::{
    outcome::Forward,
    policy::{ByteRange, Head, Policy, Reason, Reuse},
    store::Entry,
};

/// See the module.
pub(super) enum Use<'a> {
    /// The stored response answers.
    Whole {
        entry: &'a Entry,
        age: u64,
        ttl: i64,
    },
    /// The stored response answers, and is fetched anew behind the client's back.
    Stale {
        entry: &'a Entry,
        age: u64,
        ttl: i64,
    },
    /// These ranges of a stored part are all that is asked for.
    Part {
        part: &'a Entry,
        ranges: Vec<ByteRange>,
        age: u64,
        ttl: i64,
    },
    /// The origin is to be asked, for this reason.
    Forward(Forward, Option<Reason>),
}

/// Judges what was found; `reuse` tells whether a head may answer the request now.
pub(super) fn judge<'a>(
    found: &'a Found,
    policy: &Policy,
    req: &request::Parts,
    reuse: impl FnOnce(&Head) -> Reuse,
) -> Use<'a> {
    match (&found.entry, &found.part) {
        (Some(entry), _) => match reuse(&entry.head) {
            Reuse::Fresh { age, ttl } => Use::Whole { entry, age, ttl },
            Reuse::StaleWhileRevalidate { age, ttl } => Use::Stale { entry, age, ttl },
            Reuse::Validate { fresh, reason } => Use::Forward(insisted(fresh), Some(reason)),
        },
        (None, Some(part)) => match reuse(&part.head) {
            Reuse::Fresh { age, ttl } => match policy.select_held(req, &part.head) {
                Some(ranges) => Use::Part {
                    part,
                    ranges,
                    age,
                    ttl,
                },
                None => Use::Forward(Forward::Partial, None),
            },
            Reuse::StaleWhileRevalidate { .. } => Use::Forward(Forward::Stale, Some(Reason::Stale)),
            Reuse::Validate { fresh, reason } => Use::Forward(insisted(fresh), Some(reason)),
        },
        (None, None) => Use::Forward(found.miss(), None),
    }
}

/// Why a request is forwarded though a response is stored, `fresh` or not.
fn insisted(fresh: bool) -> Forward {
    if fresh {
        Forward::Request
    } else {
        Forward::Stale
    }
}
