//! Watches over the link: notices that Redis is lost, and that it is back.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::config::Server,
};
use tokio::{
    sync::{broadcast, watch},
    task::{AbortHandle, JoinHandle},
    time::sleep,
};

use super::{Shared, link::Link, trouble::CallError};

/// How long after it was full Redis is asked whether it has room again.
const ROOM_AFTER: Duration = Duration::from_millis(500);

/// The pause between two looks whether Redis is back.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// Who is lost sooner than this after it was back is left alone for a while before it is used again,
/// longer each time.
const STEADY: Duration = Duration::from_secs(5);

/// The shortest such while, and the longest.
const RESTS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// When it was looked at in vain for so long, a connection that seems well is given up.
const HOPELESS: Duration = Duration::from_millis(500);

/// This many looks in vain are what a first connection may take before Redis counts as down.
const EXPECTED: u32 = 10;

/// Whether Redis can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// The first connection is being made.
    Connecting,
    /// It answers.
    Up,
    /// It answers, and keeps nothing new, as its memory is full.
    Full,
    /// It does not, for the reason given. Lookups are misses until it is back.
    Down(String),
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(in crate::store) struct Task(AbortHandle);

pub(super) struct Keeper {
    link: Arc<Link>,
    shared: Arc<Shared>,
    state: watch::Sender<Availability>,
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    /// fred's side of the connection. Dropping its clients does not end it.
    router: Task,
    /// The servers that answered last.
    servers: Option<String>,
}

impl Keeper {
    /// Starts to connect.
    pub(super) fn start(shared: Arc<Shared>) -> (Task, watch::Receiver<Availability>) {
        let (state, watched) = watch::channel(Availability::Connecting);
        let link = Arc::clone(&shared.link);
        let client = link.client();
        let keeper = Keeper {
            link,
            shared,
            state,
            errors: client.error_rx(),
            router: router(&client),
            servers: None,
        };
        (Task::of(&tokio::spawn(keeper.run())), watched)
    }

    async fn run(mut self) {
        let clock = self.shared.clock;
        let mut rest = Duration::ZERO;
        loop {
            self.recover().await;
            if !rest.is_zero() {
                sleep(rest).await;
                if self.take_up().await.is_err() {
                    continue;
                }
            }
            // What is queued tells of tries that failed before.
            self.errors = self.errors.resubscribe();
            self.link.breaker.close();
            if self.shared.owes() {
                self.link.breaker.trip(); // Somebody purged in the last moment.
                continue;
            }
            let since = clock.instant();
            self.watch(rest * 2).await;
            // One that answers, and is too slow for all that it is asked, is not to be lost and
            // back many times a second.
            rest = match clock.instant() - since < STEADY {
                true => (rest * 2).clamp(RESTS.0, RESTS.1),
                false => Duration::ZERO,
            };
        }
    }

    /// Watches until Redis is lost. That it is back is told when it has been for so long.
    async fn watch(&mut self, told_after: Duration) {
        let mut full = false;
        let mut told = told_after.is_zero();
        if told {
            self.change(Availability::Up);
        }
        let telling = sleep(told_after);
        tokio::pin!(telling);
        loop {
            tokio::select! {
                () = &mut telling, if !told => {
                    told = true;
                    self.change(Availability::Up);
                }
                () = self.link.breaker.tripped() => return,
                // Do not wait for calls to fail: fred says that the connection broke. The first
                // probe tells whether it matters.
                _ = self.errors.recv() => {
                    self.link.breaker.trip();
                    return;
                }
                () = self.link.full() => {
                    (full, told) = (true, true);
                    self.change(Availability::Full);
                }
                // Later, if it is found to be full meanwhile.
                () = sleep(ROOM_AFTER), if full => {
                    if self.link.has_room().await {
                        full = false;
                        self.change(Availability::Up);
                    }
                }
            }
        }
    }

    fn change(&self, to: Availability) {
        self.state.send_if_modified(|state| {
            let news = *state != to;
            *state = to;
            news
        });
    }

    /// Tries until Redis answers.
    async fn recover(&mut self) {
        let mut failed = 0;
        let clock = self.shared.clock;
        let mut since = clock.instant();
        while let Err(error) = self.take_up().await {
            failed += 1;
            self.report(error, failed);
            // Not connected: fred is at it. Connected and yet no answer: the connection hangs,
            // and fred may hang with it, in the middle of a write.
            if !self.link.client().is_connected() && !self.router.is_finished() {
                since = clock.instant();
            } else if clock.instant() - since >= HOPELESS {
                let client = self.link.start_over();
                self.errors = client.error_rx();
                self.router = router(&client);
                since = clock.instant();
            }
            sleep(PROBE_EVERY).await;
        }
    }

    /// Takes Redis up again if it answers: nothing of it is read before what was purged meanwhile
    /// is purged there, too.
    async fn take_up(&mut self) -> Result<(), Error> {
        let servers = self.link.probe().await?;
        if self.servers.as_ref().is_some_and(|known| *known != servers) {
            let now = self.shared.clock.instant();
            self.shared.journal.postpone_recent(now);
        }
        self.servers = Some(servers);
        self.shared.replay().await.map_err(CallError::into_error)
    }

    /// Says once that Redis is down, with the best reason there is.
    fn report(&mut self, probe: Error, failed: u32) {
        let mut latest = None;
        while let Ok((error, _)) = self.errors.try_recv() {
            latest = Some(error);
        }
        let connecting = *self.state.borrow() == Availability::Connecting;
        // "Not connected" is no news while the first connection is being made.
        let no_news = latest.is_none() && *probe.kind() == ErrorKind::Canceled;
        if connecting && no_news && failed < EXPECTED {
            return;
        }
        let reason = latest.unwrap_or(probe).to_string();
        self.state.send_if_modified(|state| {
            let news = !matches!(state, Availability::Down(_));
            if news {
                *state = Availability::Down(reason);
            }
            news
        });
    }
}

impl Task {
    pub(in crate::store) fn of<T>(handle: &JoinHandle<T>) -> Self {
        Task(handle.abort_handle())
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn router(client: &Client) -> Task {
    Task::of(&client.connect())
}
