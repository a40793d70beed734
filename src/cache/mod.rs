//! The cache as a tower layer.
//!
//! [`CacheLayer`] wraps any service that answers HTTP requests: an axum `Router`, a hyper
//! service, a client. The parts, in order of what they know:
//!
//! - `flight`, `recording`, `gate`, `shy` and `budget` each do one thing for concurrent requests,
//!   and know keys and bytes only; `patience` is how long one waits for the store;
//! - `core` holds what all clones of a layer share; `find` finds records, and `search` knows of which
//!   queries not all matters; `commit` stores them, `parts` joins parts of one; `forget` forgets what
//!   is under a key, or everything, and `purge` all else that one may want to have forgotten;
//! - `judge` says what a request comes to by what is stored, and `explain` tells it, as an
//!   `explanation`;
//! - `exchange` conducts one request through [`policy`](crate::policy), store and flight, top to
//!   bottom; `fetch` asks the inner service, `returned` decides what becomes of its answer,
//!   `fill` receives a body for the store, `share` lets others read along, all of it or a range,
//!   `answer` makes responses, and `spare` asks once more where the body of one comes to nothing;
//! - `quick` answers plain hits in memory at once, with the texts that `seconds` holds ready;
//! - `layer`, `service`, `future` and `body` are the tower shell.

mod answer;
mod body;
pub(crate) mod budget;
mod commit;
mod core;
mod exchange;
mod explain;
mod explanation;
mod fetch;
mod fill;
mod find;
mod flight;
mod forget;
mod future;
mod gate;
mod judge;
mod layer;
mod parts;
mod patience;
mod purge;
mod quick;
mod recording;
mod returned;
mod search;
mod seconds;
mod service;
mod share;
mod shy;
mod spare;

#[cfg(feature = "proxy")]
pub(crate) use self::quick::Hit;
pub use self::{
    body::ResponseBody,
    core::Inspect,
    explanation::{Decision, Explanation, Selecting, Stored},
    future::ResponseFuture,
    layer::{Builder, CacheHandle, CacheLayer},
    purge::{Manner, Purged},
    recording::Interrupted,
    service::Cache,
};
pub use crate::policy::Purge;
