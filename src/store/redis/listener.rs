//! Hearing what other instances do, and knowing until when one can be sure to have heard it all.
//!
//! Messages may be lost without a sign. So a listener sends itself one every now and then, and
//! what was sent before one that comes back was heard; and it asks what was purged before that, for
//! what was said before it began to listen. A connection that ends is not mended but
//! replaced: what was copied before is of another session, and must be looked up again.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::Message,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Shared, Task,
    scripts::{Event, Way},
};
use crate::{
    policy::{Key, Purge},
    store::{Changes, Told, table::Table},
};

/// The pause before another connection is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// What a step of making one may take.
const STEP: Duration = Duration::from_secs(1);

/// What is heard, for those who keep copies.
pub(in crate::store) struct Ears {
    /// Which unbroken time of listening this is.
    session: AtomicU64,
    /// Until when copies of this session are good, in nanoseconds after `since`.
    heard_until: AtomicU64,
    since: Instant,
    /// The keys that changed.
    pub(in crate::store) changes: Changes,
    told: RwLock<Vec<Told>>,
    /// Those who wait until somebody has fetched something.
    waiting: Table<watch::Sender<()>>,
}

/// Waits to hear that somebody is done.
pub(in crate::store) struct Expecting {
    told: watch::Receiver<()>,
    _landed: Arc<watch::Sender<()>>,
}

/// Drops the copy of one key, or with all of its variants.
type Forget = Box<dyn Fn(&Key) + Send + Sync>;

struct Listener {
    shared: Arc<Shared>,
    ears: Arc<Ears>,
    forget: Forget,
    /// For how long copies are good after what was heard.
    good_for: Duration,
}

/// What a session sends itself, numbered from 1.
#[derive(Default)]
struct Beats {
    last: u64,
    /// Those that do not count yet, and when they were sent.
    sent: VecDeque<(u64, Instant)>,
    /// The last that came back.
    heard: u64,
    /// The last before which all that was purged is known.
    learned: u64,
}

impl Beats {
    /// The number of a further one.
    fn send(&mut self, now: Instant) -> u64 {
        self.last += 1;
        self.sent.push_back((self.last, now));
        self.last
    }

    /// When the oldest was sent that does not count yet.
    fn waits_since(&self) -> Option<Instant> {
        self.sent.front().map(|(_, sent)| *sent)
    }

    /// When the last was sent of those that count from now on: what comes back tells nothing of what
    /// was said before the session, and what is known nothing of what is said since.
    fn count(&mut self) -> Option<Instant> {
        let known = self.heard.min(self.learned);
        let mut last = None;
        while let Some((_, sent)) = self.sent.pop_front_if(|(beat, _)| *beat <= known) {
            last = Some(sent);
        }
        last
    }
}

impl Ears {
    fn new(since: Instant) -> Self {
        Ears {
            session: AtomicU64::new(0),
            heard_until: AtomicU64::new(0),
            since,
            changes: Changes::new(),
            told: RwLock::default(),
            waiting: Table::new(),
        }
    }

    /// The session, from 1; 0 before the first.
    pub(in crate::store) fn session(&self) -> u64 {
        self.session.load(Ordering::Acquire)
    }

    /// Whether what was copied in this session is good now.
    pub(in crate::store) fn has_heard(&self, session: u64, now: Instant) -> bool {
        session == self.session() && self.nanos(now) < self.heard_until.load(Ordering::Acquire)
    }

    pub(in crate::store) fn listen(&self, told: Told) {
        let mut all = self.told.write().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
    }

    /// Begins to wait until the fetch of a key by somebody else is done.
    pub(in crate::store) fn expect(&self, key: &Key) -> Expecting {
        let landed = self.waiting.get_or(key, || watch::Sender::new(()));
        Expecting {
            told: landed.subscribe(),
            _landed: landed,
        }
    }

    /// Nobody can be waited for who is not heard.
    fn expect_nothing(&self) {
        for landed in self.waiting.all() {
            landed.send_replace(());
        }
    }

    fn tell(&self, purge: &Purge) {
        let all = self.told.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|told| told(purge));
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.since).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Expecting {
    /// Ends when it was heard, or after so long. Answers whether it was.
    pub(in crate::store) async fn over(mut self, at_most: Duration) -> bool {
        timeout(at_most, self.told.changed()).await.is_ok()
    }
}

impl Shared {
    /// Listens to what other instances do from here on, until the task is dropped. `forget` drops
    /// the copy of a key; copies are good for so long after the last proof that all was heard.
    pub(in crate::store) fn listen(
        self: &Arc<Self>,
        good_for: Duration,
        forget: impl Fn(&Key) + Send + Sync + 'static,
    ) -> (Arc<Ears>, Task) {
        let ears = Arc::new(Ears::new(self.clock.instant()));
        let listener = Listener {
            shared: Arc::clone(self),
            ears: Arc::clone(&ears),
            forget: Box::new(forget),
            good_for,
        };
        (ears, Task::of(&tokio::spawn(listener.run())))
    }
}

impl Listener {
    async fn run(self) {
        loop {
            let _ended = self.session().await;
            self.ears.heard_until.store(0, Ordering::Release);
            self.ears.expect_nothing();
            sleep(PAUSE).await;
        }
    }

    /// Listens as long as nothing can have been missed; `None` is the end of it.
    async fn session(&self) -> Option<()> {
        let own = format!("{}:{:016x}", self.shared.channel(), self.shared.sender());
        let client = self.shared.link.listener();
        let mut messages = client.message_rx();
        let mut connection = client.connect();
        let _ends_with_this = Task::of(&connection);
        timeout(STEP, client.wait_for_connect()).await.ok()?.ok()?;
        let channels = vec![self.shared.channel(), own.clone()];
        timeout(STEP, client.subscribe(channels)).await.ok()?.ok()?;
        self.ears.session.fetch_add(1, Ordering::AcqRel);

        let mut ticks = interval(self.good_for / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut beats, mut learning) = (Beats::default(), JoinSet::new());
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => self.hear(&message.ok()?, &mut beats).await?,
                Some(learned) = learning.join_next() => {
                    beats.learned = beats.learned.max(learned.ok()?);
                }
                _ = &mut connection => return None,
                _ = ticks.tick() => {
                    let now = self.shared.clock.instant();
                    let since = beats.waits_since().map(|since| now.duration_since(since));
                    if since.is_some_and(|since| since > self.good_for * 2) {
                        return None; // the connection hangs
                    }
                    learning.spawn(self.beat(own.clone(), beats.send(now)));
                }
            }
            if let Some(sent) = beats.count() {
                let until = self.ears.nanos(sent + self.good_for);
                self.ears.heard_until.fetch_max(until, Ordering::AcqRel);
            }
        }
    }

    /// Has a message sent to this listener, and learns what was purged before that. It is tried until
    /// it comes about. Answers with its number.
    fn beat(&self, channel: String, count: u64) -> impl Future<Output = u64> + use<> {
        let shared = Arc::clone(&self.shared);
        let message = Event::Beat.message(shared.sender(), &count.to_be_bytes());
        async move {
            let publish = Some((channel, message));
            while shared.beat(Way::Open, publish.clone()).await.is_err() {
                sleep(PAUSE).await;
            }
            count
        }
    }

    async fn hear(&self, message: &Message, beats: &mut Beats) -> Option<()> {
        let bytes = message.value.as_bytes().unwrap_or_default();
        let (event, sender, of) = Event::read(bytes)?;
        let own = sender == self.shared.sender();
        let key = || Some(Key::parse(std::str::from_utf8(of).ok()?));
        match event {
            Event::Beat => {
                let count = u64::from_be_bytes(of.try_into().ok()?);
                beats.heard = beats.heard.max(count);
            }
            Event::Landed => {
                if let Some(landed) = self.ears.waiting.find(&key()?) {
                    landed.send_replace(());
                }
            }
            // Who removed it may have left before it was done.
            Event::Removed if own => self.forget(&key()?),
            // Who did it has seen to its own copies.
            _ if own => {}
            Event::Journal => self.shared.beat(Way::Open, None).await.ok()?,
            Event::Changed => self.forget(&key()?),
            Event::Removed => {
                let key = key()?;
                let now = self.shared.clock.instant();
                self.shared.journal.recent.remember(&key, now);
                self.ears.tell(&Purge::Uri(key.clone()));
                self.forget(&key);
            }
        }
        Some(())
    }

    fn forget(&self, key: &Key) {
        self.ears.changes.add(key);
        (self.forget)(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_counts_when_it_came_back_and_what_was_before_it_is_known() {
        let start = crate::clock::Clock::system().instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut beats = Beats::default();
        assert_eq!(beats.count(), None);
        for seconds in 1..=3 {
            assert_eq!(beats.send(at(seconds)), seconds);
        }

        beats.heard = 2;
        assert_eq!(beats.count(), None, "nobody knows what was purged before");
        assert_eq!(beats.waits_since(), Some(at(1)));
        beats.learned = 1;
        assert_eq!(beats.count(), Some(at(1)));
        assert_eq!(beats.count(), None, "it counts once");

        // What was asked last knows all that was asked before.
        beats.learned = 3;
        assert_eq!(beats.count(), Some(at(2)));
        assert_eq!(beats.waits_since(), Some(at(3)), "it did not come back");
        beats.heard = 3;
        assert_eq!(beats.count(), Some(at(3)));
        assert_eq!(beats.waits_since(), None);
    }
}
