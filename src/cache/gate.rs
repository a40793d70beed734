//! What makes a purge hold for fetches that are in flight.
//!
//! Every fetch takes a [`Ticket`] before it looks into the store, and passes the gate with it when
//! it wants to store. A purge closes the gate for a moment and writes itself down; a ticket from
//! before a purge that concerns its key no longer passes. Hits never come here.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::{RwLock, RwLockReadGuard};

use crate::policy::{Head, Key, Purge};

/// Purges that are remembered. A ticket that is older than all of them passes no more, so the
/// number bounds memory and never correctness.
const REMEMBERED: usize = 1024;

/// See the module.
pub(super) struct Gate {
    count: AtomicU64,
    journal: RwLock<Journal>,
}

/// Purges by their number, in order.
type Journal = VecDeque<(u64, Purge)>;

/// How many purges there had been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ticket(u64);

/// While this is held, no purge takes place.
pub(super) struct Passing<'a> {
    _journal: RwLockReadGuard<'a, Journal>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Gate {
            count: AtomicU64::new(0),
            journal: RwLock::default(),
        }
    }

    /// A ticket that is good until the next purge of what it is taken for.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.count.load(Ordering::Acquire))
    }

    /// Lets a fetch store a response with this head under `key` while the answer is held, unless
    /// such a one was purged since the ticket was taken.
    pub(super) async fn pass(&self, ticket: Ticket, key: &Key, head: &Head) -> Option<Passing<'_>> {
        let journal = self.journal.read().await;
        let good = ticket.is_good(&journal, |purge| purge.concerns(key, head));
        good.then_some(Passing { _journal: journal })
    }

    /// From here on, no ticket that was taken before lets `purge` be undone.
    pub(super) async fn purge(&self, purge: Purge) {
        let mut journal = self.journal.write().await;
        self.write(&mut journal, purge);
    }

    /// Purges `key`, and gives the right to store there what comes in its place: unless somebody
    /// else purged it since `ticket` was taken.
    pub(super) async fn supersede(&self, ticket: Ticket, key: &Key) -> Option<Ticket> {
        let mut journal = self.journal.write().await;
        let good = ticket.is_good(&journal, |purge| purge.may_concern(key));
        let renewed = self.write(&mut journal, Purge::Uri(key.clone()));
        good.then_some(renewed)
    }

    fn write(&self, journal: &mut Journal, purge: Purge) -> Ticket {
        let number = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if journal.len() == REMEMBERED {
            journal.pop_front();
        }
        journal.push_back((number, purge));
        Ticket(number)
    }
}

impl Ticket {
    /// Whether there was no purge since that matters.
    fn is_good(self, journal: &Journal, matters: impl Fn(&Purge) -> bool) -> bool {
        let forgotten = journal.front().map_or(0, |(number, _)| number - 1);
        let mut since = journal
            .iter()
            .rev()
            .take_while(|(number, _)| *number > self.0);
        self.0 >= forgotten && !since.any(|(_, purge)| matters(purge))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{Request, Response};

    use super::*;
    use crate::policy::Policy;

    fn key(path: &str) -> Key {
        Key::parse(&format!("GET http://a{path}"))
    }

    fn head() -> Head {
        tagged("other")
    }

    fn tagged(tag: &str) -> Head {
        let res = Response::builder().header("cache-tag", tag).body(());
        let (res, ()) = res.unwrap().into_parts();
        let (req, ()) = Request::new(()).into_parts();
        let now = SystemTime::UNIX_EPOCH;
        Policy::default().head(&req, &res, now, now)
    }

    #[tokio::test]
    async fn a_purge_by_prefix_or_tag_concerns_what_it_says() {
        let gate = Gate::new();
        let before = gate.ticket();
        gate.purge(Purge::Below(key("/a"))).await;
        gate.purge(Purge::Tag("red".to_owned())).await;
        for (path, tag, passes) in [
            ("/a", "other", false),
            ("/a/b", "other", false),
            ("/ab", "other", true),
            ("/ab", "blue, red", false),
        ] {
            let passed = gate.pass(before, &key(path), &tagged(tag)).await.is_some();
            assert_eq!(passed, passes, "{path} {tag}");
        }
    }

    #[tokio::test]
    async fn a_ticket_from_before_the_purge_of_its_key_passes_no_more() {
        let gate = Gate::new();
        let before = gate.ticket();
        gate.purge(Purge::Uri(key("/x"))).await;
        assert!(gate.pass(before, &key("/x"), &head()).await.is_none());
        assert!(gate.pass(before, &key("/y"), &head()).await.is_some());
        assert!(
            gate.pass(gate.ticket(), &key("/x"), &head())
                .await
                .is_some()
        );
        gate.purge(Purge::All).await;
        assert!(gate.pass(before, &key("/y"), &head()).await.is_none());
    }

    #[tokio::test]
    async fn who_purges_may_store_what_comes_instead_if_nobody_else_purged() {
        let gate = Gate::new();
        let (first, second) = (gate.ticket(), gate.ticket());
        let renewed = gate.supersede(first, &key("/x")).await.unwrap();
        assert!(gate.pass(renewed, &key("/x"), &head()).await.is_some());
        assert!(gate.pass(first, &key("/x"), &head()).await.is_none());
        assert!(gate.supersede(second, &key("/x")).await.is_none());
        assert!(gate.pass(renewed, &key("/x"), &head()).await.is_none());
        assert!(gate.supersede(second, &key("/y")).await.is_some());
        gate.purge(Purge::Tag("red".to_owned())).await;
        assert!(
            gate.supersede(second, &key("/z")).await.is_none(),
            "what replaces it may carry the tag"
        );
    }

    #[tokio::test]
    async fn a_ticket_older_than_memory_does_not_pass() {
        let gate = Gate::new();
        let old = gate.ticket();
        for n in 0..REMEMBERED {
            gate.purge(Purge::Uri(key(&format!("/{n}")))).await;
        }
        assert!(gate.pass(old, &key("/other"), &head()).await.is_some());
        gate.purge(Purge::Uri(key("/one-more"))).await;
        assert!(gate.pass(old, &key("/other"), &head()).await.is_none());
    }

    #[tokio::test]
    async fn a_purge_waits_for_who_is_passing() {
        let gate = Gate::new();
        let passing = gate.pass(gate.ticket(), &key("/x"), &head()).await;
        let mut purge = std::pin::pin!(gate.purge(Purge::All));
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(purge.as_mut().poll(cx).is_pending()));
        assert!(pending.await);
        drop(passing);
        purge.await;
    }
}
