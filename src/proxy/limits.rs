//! What one client, or all of them together, may take of larder, and how often it was too much.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::metrics::Metrics;

/// The limits, as they are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at a time; further ones wait to be accepted.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head: u64,
    /// Bytes of a request's target.
    pub target: u64,
    /// Fields of a request.
    pub fields: usize,
    /// For a head, from its first byte to its last, and for a TLS handshake.
    pub head_time: Duration,
    /// For a connection on which nothing is asked.
    pub idle_time: Duration,
    /// After that, a connection in HTTP/2 takes no further requests.
    pub h2_age: Duration,
    /// Requests at a time on a connection in HTTP/2.
    pub h2_streams: usize,
    /// Requests that it may reset before they were looked at.
    pub h2_resets: usize,
    /// Bytes of bodies that it may send before somebody reads them.
    pub h2_window: u64,
    /// Requests that wait for the same fetch.
    pub waiting: usize,
    /// Bytes that all bodies being received for the store may take together.
    pub fills: u64,
    /// Bytes that all bodies which `/proxy` holds may take together.
    pub envelopes: u64,
}

/// The limits, and how often each was met. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) limits: Limits,
    /// How long a client may keep larder from writing to it.
    pub(super) stall: Duration,
    met: Arc<Met>,
}

#[derive(Debug, Default)]
struct Met([AtomicU64; NAMES.len()]);

/// What was met.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// All places for connections were taken.
    Connections,
    /// A head that is no HTTP.
    Malformed,
    /// A head, or the number of its fields.
    Head,
    /// A target.
    Target,
    /// The time for a head.
    HeadTime,
    /// The time for a client to read.
    Stall,
    /// The bytes of bodies for `/proxy`.
    Envelopes,
    /// The time between two pieces of a request's body.
    Body,
    /// The time for a TLS handshake.
    Handshake,
    /// The time for a connection on which nothing is asked.
    Idle,
    /// The age of a connection in HTTP/2.
    Age,
    /// The requests that it may reset, or other frames of no use.
    Floods,
    /// The requests at a time on a connection in HTTP/2.
    Streams,
    /// The content of a request that larder itself answers.
    Content,
}

/// The counters, in the order of [`Limit`].
const NAMES: [(&str, &str); 14] = [
    (
        "refused_connections",
        "Connections that had to wait for a place",
    ),
    (
        "refused_malformed",
        "Requests and connections that were no HTTP",
    ),
    (
        "refused_heads",
        "Requests whose head or number of fields was too large",
    ),
    ("refused_targets", "Requests whose target was too long"),
    ("refused_slow_heads", "Requests whose head took too long"),
    (
        "refused_slow_readers",
        "Connections whose client did not read",
    ),
    (
        "refused_envelopes",
        "Requests for /proxy that there was no room for",
    ),
    (
        "refused_slow_bodies",
        "Requests whose body did not go on in time",
    ),
    (
        "refused_slow_handshakes",
        "Connections whose TLS handshake took too long",
    ),
    (
        "closed_idle",
        "Connections on which nothing was asked for too long",
    ),
    (
        "closed_aged",
        "Connections in HTTP/2 that were told to go for their age",
    ),
    (
        "refused_floods",
        "Connections in HTTP/2 that reset too many requests, or sent other frames of no use",
    ),
    (
        "refused_streams",
        "Requests in HTTP/2 beyond those that a client may make at a time",
    ),
    (
        "refused_contents",
        "Requests to larder itself whose content was too large",
    ),
];

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 10_000,
            head: 32 << 10,
            target: 8 << 10,
            fields: 100,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            h2_age: Duration::from_secs(3600),
            h2_streams: 200,
            h2_resets: 50,
            h2_window: 1 << 20,
            waiting: 1000,
            fills: 128 << 20,
            envelopes: 256 << 20,
        }
    }
}

impl Bounds {
    pub(super) fn new(limits: Limits, stall: Duration) -> Self {
        Bounds {
            limits,
            stall,
            met: Arc::default(),
        }
    }

    /// Counts that `limit` was met.
    pub(super) fn met(&self, limit: Limit) {
        self.met.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Shows the counts in `metrics`.
    pub(super) fn show(&self, metrics: &Metrics) {
        for (nth, (name, help)) in NAMES.into_iter().enumerate() {
            let met = Arc::clone(&self.met);
            metrics.counter(name, help, move || met.0[nth].load(Ordering::Relaxed));
        }
    }
}
