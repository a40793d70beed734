//! One fetch per key at a time: the first to board leads, the others follow and wait.
//!
//! Knows nothing of HTTP. Cancellation is local: a follower that is dropped changes nothing; a
//! lead that is dropped before it announced anything wakes its followers, who board again, and
//! one of them leads.
//!
//! The same where a fetch brings no answer at all: a connection that was cut is worth one fetch
//! more, made by one for all. But they board only once more, or each could wait behind one that
//! fails after another. Who was let down twice is told so where the second fetch failed: what
//! would they hear who ask a thousand times what is silent? They ask for themselves, all at once,
//! where the one who led has left, or where something in its request may be what the origin fails
//! at: else who can provoke a failure could have all others served it. So nobody waits for more
//! than two fetches of others, and the origin is asked by one at a time for as long as it fails.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::policy::Key;

const SHARDS: usize = 64;

/// Who is fetching what. `T` is what a lead announces to its followers.
pub(super) struct Flights<T> {
    shards: [Mutex<HashMap<Key, Flight<T>>>; SHARDS],
    next_id: AtomicU64,
}

struct Flight<T> {
    id: u64,
    since: u64,
    board: Arc<Board<T>>,
}

/// What all who sit in a flight look at.
struct Board<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    followers: Followers,
}

/// Those who follow, and do not know yet what was announced. Clones are one and the same.
#[derive(Clone, Default)]
pub(super) struct Followers(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    /// Who is to be woken when nobody waits any more.
    wakers: Mutex<Vec<Waker>>,
}

enum State<T> {
    Waiting,
    Landed(T),
    /// The lead has left, and announced nothing.
    Left,
}

/// A place in a flight.
pub(super) enum Seat<T> {
    /// Nobody else is fetching this key: fetch it, and [`announce`](Lead::announce).
    Lead(Lead<T>),
    /// Somebody is: wait for them.
    Follow(Follow<T>),
}

/// The right, and the duty, to fetch a key. The flight lasts until this is dropped.
pub(super) struct Lead<T> {
    flights: Arc<Flights<T>>,
    key: Key,
    id: u64,
    board: Arc<Board<T>>,
}

/// Waits for what the lead announces.
pub(super) struct Follow<T> {
    board: Arc<Board<T>>,
}

// === impl Flights ===

impl<T> Flights<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Flights {
            shards: std::array::from_fn(|_| Mutex::default()),
            next_id: AtomicU64::new(0),
        })
    }

    /// Boards the flight of `key`, or begins one. `since` tells which removal of the key was the
    /// last that was seen: a flight from before another one is boarded no more.
    pub(super) fn board(self: &Arc<Self>, key: &Key, since: u64) -> Seat<T> {
        match self.shard(key).entry(key.clone()) {
            Entry::Occupied(flight) if flight.get().since == since => {
                Seat::Follow(Follow::new(&flight.get().board))
            }
            place => {
                let board = Arc::new(Board {
                    state: Mutex::new(State::Waiting),
                    changed: Notify::new(),
                    followers: Followers::default(),
                });
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                place.insert_entry(Flight {
                    id,
                    since,
                    board: Arc::clone(&board),
                });
                Seat::Lead(Lead {
                    flights: Arc::clone(self),
                    key: key.clone(),
                    id,
                    board,
                })
            }
        }
    }

    /// Boards the flight of `key` if there is one, and begins none.
    pub(super) fn follow(&self, key: &Key, since: u64) -> Option<Follow<T>> {
        let shard = self.shard(key);
        let flight = shard.get(key).filter(|flight| flight.since == since)?;
        Some(Follow::new(&flight.board))
    }

    /// Lets nobody board the flights that `which` picks any more. Who sits in one already stays.
    /// `which` is told what was announced, if anything was.
    pub(super) fn close(&self, which: impl Fn(&Key, Option<&T>) -> bool) {
        for shard in &self.shards {
            lock(shard).retain(|key, flight| !which(key, lock(&flight.board.state).landing()));
        }
    }

    /// How many keys are being fetched.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Which of them it is may be guessed: it shares the lock with others, and nothing else.
    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Flight<T>>> {
        let tail = key.as_str().bytes().rev().take(8);
        let place = tail.fold(0usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        lock(&self.shards[place % SHARDS])
    }
}

/// What is locked is whole between any two statements here, so a poisoned lock is still a good one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl State ===

impl<T> State<T> {
    fn landing(&self) -> Option<&T> {
        match self {
            State::Landed(landing) => Some(landing),
            State::Waiting | State::Left => None,
        }
    }
}

// === impl Lead ===

impl<T> Lead<T> {
    /// Tells all followers, those who wait and those who board later.
    pub(super) fn announce(&self, landing: T) {
        *lock(&self.board.state) = State::Landed(landing);
        self.board.changed.notify_waiters();
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn followers(&self) -> &Followers {
        &self.board.followers
    }

    /// Lets nobody board any more.
    pub(super) fn close(&self) {
        let mut shard = self.flights.shard(&self.key);
        if let Some(flight) = shard.remove(&self.key)
            && flight.id != self.id
        {
            // It was closed before, and this is its successor.
            shard.insert(self.key.clone(), flight);
        }
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        self.close();
        let mut state = lock(&self.board.state);
        if state.landing().is_none() {
            *state = State::Left;
            drop(state);
            self.board.changed.notify_waiters();
        }
    }
}

// === impl Follow ===

impl<T> Follow<T> {
    fn new(board: &Arc<Board<T>>) -> Self {
        board.followers.0.count.fetch_add(1, Ordering::Relaxed);
        Follow {
            board: Arc::clone(board),
        }
    }
}

impl<T: Clone> Follow<T> {
    /// How many wait, this one among them, unless all is announced already.
    pub(super) fn waiting(&self) -> usize {
        match *lock(&self.board.state) {
            State::Landed(_) => 0,
            State::Waiting | State::Left => self.board.followers.count(),
        }
    }

    /// What the lead announced, or `None` when it left without a word.
    pub(super) async fn landing(self) -> Option<T> {
        loop {
            // From here on it is woken, also by what changes before it waits.
            let changed = self.board.changed.notified();
            match &*lock(&self.board.state) {
                State::Waiting => {}
                State::Landed(landing) => return Some(landing.clone()),
                State::Left => return None,
            }
            changed.await;
        }
    }
}

impl<T> Drop for Follow<T> {
    fn drop(&mut self) {
        let waiting = &self.board.followers.0;
        if waiting.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            mem::take(&mut *lock(&waiting.wakers))
                .into_iter()
                .for_each(Waker::wake);
        }
    }
}

// === impl Followers ===

impl Followers {
    fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Until all know what was announced.
    pub(super) fn poll_know(&self, cx: &Context<'_>) -> Poll<()> {
        let mut wakers = lock(&self.0.wakers);
        // Who leaves last looks for wakers when it is not counted any more.
        if self.count() == 0 {
            return Poll::Ready(());
        }
        if !wakers.last().is_some_and(|last| last.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(flights: &Arc<Flights<u32>>, key: &Key) -> Lead<u32> {
        match flights.board(key, 0) {
            Seat::Lead(lead) => lead,
            Seat::Follow(_) => panic!("somebody leads already"),
        }
    }

    fn follow(flights: &Arc<Flights<u32>>, key: &Key) -> Follow<u32> {
        match flights.board(key, 0) {
            Seat::Lead(_) => panic!("nobody leads"),
            Seat::Follow(follow) => follow,
        }
    }

    #[tokio::test]
    async fn followers_learn_what_the_lead_announces() {
        let flights = Flights::new();
        let key = Key::parse("GET http://a/");
        let lead = lead(&flights, &key);
        let early = follow(&flights, &key);
        drop(follow(&flights, &key));
        assert_eq!((early.waiting(), follow(&flights, &key).waiting()), (1, 2));
        lead.announce(7);
        assert_eq!(early.waiting(), 0);
        let late = follow(&flights, &key);
        drop(lead);
        assert_eq!(early.landing().await, Some(7));
        assert_eq!(late.landing().await, Some(7));
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_the_followers_is_woken_by_the_last() {
        let flights = Flights::new();
        let key = Key::parse("GET http://a/");
        let lead = lead(&flights, &key);
        let followers = lead.followers().clone();
        let all_know = tokio::spawn(std::future::poll_fn(move |cx| followers.poll_know(cx)));
        let [first, last] = [follow(&flights, &key), follow(&flights, &key)];
        lead.announce(7);
        first.landing().await;
        tokio::task::yield_now().await;
        assert!(!all_know.is_finished());
        drop(last);
        all_know.await.unwrap();
    }

    #[tokio::test]
    async fn a_lead_that_leaves_makes_room_for_another() {
        let flights = Flights::new();
        let key = Key::parse("GET http://a/");
        let first = lead(&flights, &key);
        let follower = follow(&flights, &key);
        drop(first);
        assert_eq!(follower.landing().await, None);
        let _second = lead(&flights, &key);
    }

    #[tokio::test]
    async fn a_flight_from_before_a_removal_is_not_boarded() {
        let flights = Flights::new();
        let key = Key::parse("GET http://a/");
        let _old = lead(&flights, &key);
        assert!(matches!(flights.board(&key, 7), Seat::Lead(_)));
        let _new = lead(&flights, &key);
    }

    #[tokio::test]
    async fn a_closed_flight_is_not_boarded_and_does_not_end_its_successor() {
        let flights = Flights::new();
        let key = Key::parse("GET http://a/");
        let old = lead(&flights, &key);
        let seated = follow(&flights, &key);
        flights.close(|key, _| key.primary() == "GET http://a/");
        let _new = lead(&flights, &key);
        old.announce(1);
        assert_eq!(seated.landing().await, Some(1));
        drop(old);
        let _still_the_new_one = follow(&flights, &key);
    }
}
