//! How long a request waits for the store, all that it asks of it together.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::timeout;

use crate::{clock::Clock, store::StoreError};

/// What one request may still wait.
///
/// Only the time in which the store makes it wait is counted: not what passes while another
/// request fetches, or while the origin is asked.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    clock: Clock,
    left: Duration,
}

impl Patience {
    pub(super) fn new(clock: Clock, left: Duration) -> Self {
        Patience { clock, left }
    }

    /// For what no client waits for.
    pub(super) fn endless() -> Self {
        Patience::new(Clock::system(), Duration::MAX)
    }

    /// Has no more left than what was taken aside, to wait for two things at once.
    pub(super) fn no_longer_than(&mut self, aside: &Patience) {
        self.left = self.left.min(aside.left);
    }

    /// What the store answers, or an error when there is no time left to wait for it. What was
    /// asked may be done all the same.
    pub(super) async fn wait<T>(
        &mut self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.left.is_zero() {
            return Err(too_long());
        }
        let mut call = pin!(call);
        // A store in memory answers at once, and is to cost no timer.
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return done;
        }
        let began = self.clock.instant();
        let done = timeout(self.left, call).await;
        let took = self.clock.instant() - began;
        self.left = match done {
            Ok(_) => self.left.saturating_sub(took),
            Err(_) => Duration::ZERO,
        };
        done.unwrap_or_else(|_| Err(too_long()))
    }

    /// The same for what is to be done in any case: it is begun though there is no time left, and
    /// goes on when nobody waits for it any more.
    pub(super) async fn see_through<T: Send + 'static>(
        &mut self,
        mut call: Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>,
    ) -> Result<T, StoreError> {
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return done;
        }
        let call = tokio::spawn(call);
        let lost = |_| Err(StoreError::new("the store was left while it was at it"));
        self.wait(async { call.await.unwrap_or_else(lost) }).await
    }
}

fn too_long() -> StoreError {
    StoreError::new("the store takes too long for this request")
}
