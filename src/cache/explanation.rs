//! What is told of a URL, and of a request for it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderName, StatusCode};

use crate::{
    outcome::Forward,
    policy::{Head, Key, Reason, Stated, Step, Vary},
};

/// What [`CacheHandle::explain`](super::CacheHandle::explain) answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The key of the URL, without any variant's selection.
    pub key: Key,
    /// The request fields that select among the variants; empty where there are none.
    pub varies_by: Vec<HeaderName>,
    /// What is stored: the response, or the variants, at most [`Explanation::NAMED`] of them.
    pub stored: Vec<Stored>,
    /// How many are stored.
    pub count: u64,
    /// The time at which all this holds.
    pub now: SystemTime,
    /// What would become of the request.
    pub decision: Decision,
    /// The status of the answer, where the cache would give it.
    pub status: Option<StatusCode>,
    /// Why the request would be forwarded, in the words of RFC 9211.
    pub forward: Option<Forward>,
    /// Why what is stored would not be used, in a word.
    pub reason: Option<Reason>,
    /// The rules that lead to the decision, in the order in which they are applied. The last one
    /// decides.
    pub steps: Vec<Step>,
}

/// A stored response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stored {
    /// The values of the request fields that select this variant.
    pub selecting: Vec<Selecting>,
    /// The request that is explained selects it.
    pub selected: bool,
    /// Its head.
    pub head: Arc<Head>,
    /// The length of its body, where the store can tell.
    pub size: Option<u64>,
    /// How often it was served without the origin being asked, where the store can tell.
    pub hits: Option<u64>,
    /// Where its lifetime comes from.
    pub stated: Stated,
    /// For how long it is served stale while it is fetched anew.
    pub stale_while_revalidate: Option<Duration>,
    /// For how long it stands in, stale, for an origin that fails.
    pub stale_if_error: Option<Duration>,
}

/// A request field that selects a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selecting {
    /// Its name.
    pub name: HeaderName,
    /// Its value, normalised as for comparing, with `%XX` for what is not printable; `***` where
    /// it may be secret, and `None` where the request had no such field.
    pub value: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It is answered from the cache.
    Hit,
    /// It is answered from the cache, with what is stale and is fetched anew meanwhile.
    StaleWhileRevalidate,
    /// The origin is asked whether what is stored still holds.
    Revalidate,
    /// The origin is asked for the response.
    Miss,
    /// It is passed on: the cache has no part in it.
    Pass,
    /// It is passed on, and its success makes the cache forget the URL.
    Invalidate,
    /// It forbids to ask the origin, and nothing usable is stored: 504.
    OnlyIfCached,
}

// === impl Explanation ===

impl Explanation {
    /// How many stored responses are told of.
    pub const NAMED: usize = 100;
}

// === impl Decision ===

impl Decision {
    /// The decision in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Decision::Hit => "hit",
            Decision::StaleWhileRevalidate => "stale-while-revalidate",
            Decision::Revalidate => "revalidate",
            Decision::Miss => "miss",
            Decision::Pass => "pass",
            Decision::Invalidate => "invalidate",
            Decision::OnlyIfCached => "only-if-cached",
        }
    }
}

// === impl Selecting ===

impl Selecting {
    /// The fields of `vary` with the values that are in the text of a selection.
    pub(super) fn read(vary: &Vary, selection: &str) -> Vec<Selecting> {
        // What a QUERY asks comes before them (see `Vary::select`).
        let names = vary.fields.names();
        let before = selection
            .split('&')
            .count()
            .saturating_sub(names.len().max(1));
        let fields = names.iter().zip(selection.split('&').skip(before));
        fields
            .map(|(name, value)| Selecting {
                value: value.strip_prefix('=').map(|value| match is_secret(name) {
                    true => "***".to_owned(),
                    false => value.to_owned(),
                }),
                name: name.clone(),
            })
            .collect()
    }
}

/// Whether a field of this name may hold what only its sender is to know.
fn is_secret(name: &HeaderName) -> bool {
    let words = [
        "auth",
        "cookie",
        "credential",
        "key",
        "passw",
        "secret",
        "session",
        "signature",
        "token",
    ];
    words.iter().any(|word| name.as_str().contains(word))
}
