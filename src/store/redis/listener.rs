//! Hearing what other instances do, and knowing until when one can be sure to have heard it all.
//!
//! Messages may be lost without a sign. So a listener sends itself one every now and then, and
//! what was sent before one that comes back was heard. A connection that ends is not mended but
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
        let mut beats = VecDeque::new();
        let mut count = 0_u64;
        loop {
            tokio::select! {
                biased;
                message = messages.recv() => self.hear(&message.ok()?, &mut beats).await?,
                _ = &mut connection => return None,
                _ = ticks.tick() => {
                    let now = self.shared.clock.instant();
                    if let Some((_, first, _)) = beats.front()
                        && now.duration_since(*first) > self.good_for * 2
                    {
                        return None; // the connection hangs
                    }
                    count += 1;
                    beats.push_back((count, now, self.beat(own.clone(), count)));
                }
            }
        }
    }

    /// Has a message sent to this listener, and learns what was purged before that. It is tried until
    /// it comes about: what was said before this session began was not heard.
    fn beat(&self, channel: String, count: u64) -> Task {
        let shared = Arc::clone(&self.shared);
        let message = Event::Beat.message(shared.sender(), &count.to_be_bytes());
        Task::of(&tokio::spawn(async move {
            let publish = Some((channel, message));
            while shared.beat(Way::Open, publish.clone()).await.is_err() {
                sleep(PAUSE).await;
            }
        }))
    }

    async fn hear(
        &self,
        message: &Message,
        beats: &mut VecDeque<(u64, Instant, Task)>,
    ) -> Option<()> {
        let bytes = message.value.as_bytes().unwrap_or_default();
        let (event, sender, of) = Event::read(bytes)?;
        let own = sender == self.shared.sender();
        let key = || Some(Key::parse(std::str::from_utf8(of).ok()?));
        match event {
            Event::Beat => {
                let count = u64::from_be_bytes(of.try_into().ok()?);
                while let Some((first, sent, _)) = beats.front()
                    && *first <= count
                {
                    let until = self.ears.nanos(*sent + self.good_for);
                    self.ears.heard_until.fetch_max(until, Ordering::AcqRel);
                    beats.pop_front();
                }
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
