//! Every store keeps its contract: one suite, run over each.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod bodies;
mod coherence;
mod deployments;
mod failures;
mod hit_ratio;
mod keeping;
mod leases;
mod memory;
mod near;
mod redis;
mod samples;
mod spares;
mod sweeping;
mod trips;
mod versions;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use larder::{
    policy::{Fields, Head, Key, Lifetime, Rule, Search, Source, StoredHead, Vary},
    store::{Entry, EntryId, Front, Payload, Record, Seen, Store, Sweep, Verdict},
};

use self::{keeping::*, samples::*, sweeping::*};

/// Runs each of these functions as a test of its own on a new store.
macro_rules! suite {
    ($($test:ident)*) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&larder::store::MemoryStore::new(64 << 20)).await;
            })*
        }

        /// Runs all of them, each on a store with a prefix of its own.
        async fn each<F: Future<Output = larder::store::RedisStore>>(
            connect: impl Fn(&'static str) -> F,
        ) {
            $(let store = connect(concat!("larder-", stringify!($test))).await;
            $test(&store).await;)*
        }

        mod on_redis {
            $(#[tokio::test]
            async fn $test() {
                let redis = crate::support::redis::Redis::start();
                super::$test(&super::redis::store(&redis).await).await;
            })*
        }

        mod on_both {
            $(#[tokio::test]
            async fn $test() {
                let redis = crate::support::redis::Redis::start();
                let far = super::redis::store(&redis).await;
                let near = larder::store::MemoryStore::new(64 << 20);
                let ttl = std::time::Duration::from_secs(60);
                let store = larder::store::TieredStore::with_near(far, near, ttl);
                super::$test(&store).await;
            })*
        }
    };
}

suite! {
    what_is_put_is_got
    a_put_replaces
    every_byte_of_a_head_survives
    trailers_survive
    verdicts_survive
    markers_survive
    search_markers_survive
    an_empty_body_is_a_body
    a_large_body_survives
    no_time_to_keep_is_not_kept
    an_endless_time_to_keep_is_kept
    refresh_changes_the_head_alone
    refresh_keeps_a_large_body
    refresh_leaves_another_response_alone
    refresh_of_nothing_does_nothing
    refresh_leaves_a_marker_alone
    remove_forgets_one
    clear_forgets_all
    keys_are_told_apart_by_all_their_text
    a_peek_tells_all_but_the_body
    a_sweep_shows_what_begins_so
    a_sweep_removes_and_renews
    a_sweep_reads_heads_of_any_size
}
