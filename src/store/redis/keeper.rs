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

use super::link::Link;

/// How long after it was full Redis is asked whether it has room again.
const ROOM_AFTER: Duration = Duration::from_millis(500);

/// The pause between two looks whether Redis is back.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// After this many looks in vain at a connection that seems well, it is given up.
const HOPELESS: u32 = 5;

/// This many looks in vain are what a first connection may take before Redis counts as down.
const EXPECTED: u32 = 5;

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
pub(super) struct Task(AbortHandle);

pub(super) struct Keeper {
    link: Arc<Link>,
    state: watch::Sender<Availability>,
    errors: broadcast::Receiver<(Error, Option<Server>)>,
    /// fred's side of the connection. Dropping its clients does not end it.
    router: Task,
}

impl Keeper {
    /// Starts to connect.
    pub(super) fn start(link: Arc<Link>) -> (Task, watch::Receiver<Availability>) {
        let (state, watched) = watch::channel(Availability::Connecting);
        let client = link.client();
        let keeper = Keeper {
            link,
            state,
            errors: client.error_rx(),
            router: router(&client),
        };
        (Task::of(&tokio::spawn(keeper.run())), watched)
    }

    async fn run(mut self) {
        loop {
            self.recover().await;
            // What is queued tells of tries that failed before.
            self.errors = self.errors.resubscribe();
            self.link.breaker.close();
            self.state.send_replace(Availability::Up);
            self.watch().await;
        }
    }

    /// Watches until Redis is lost.
    async fn watch(&mut self) {
        let mut full = false;
        loop {
            tokio::select! {
                () = self.link.breaker.tripped() => return,
                // Do not wait for calls to fail: fred says that the connection broke. The first
                // probe tells whether it matters.
                _ = self.errors.recv() => {
                    self.link.breaker.trip();
                    return;
                }
                () = self.link.full() => {
                    full = true;
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

    /// Probes until Redis answers.
    async fn recover(&mut self) {
        let mut failed = 0;
        while let Err(error) = self.link.probe().await {
            failed += 1;
            self.report(error, failed);
            // Not connected: fred is at it. Connected and yet no answer: the connection hangs,
            // and fred may hang with it, in the middle of a write.
            let at_it = !self.link.client().is_connected() && !self.router.is_finished();
            if failed % HOPELESS == 0 && !at_it {
                let client = self.link.start_over();
                self.errors = client.error_rx();
                self.router = router(&client);
            }
            sleep(PROBE_EVERY).await;
        }
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
    fn of<T>(handle: &JoinHandle<T>) -> Self {
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
