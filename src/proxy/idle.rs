//! Whether nothing was asked on a connection for too long.
//!
//! The timer runs out once in the time that is allowed, however many requests come meanwhile, and
//! is set again if any came: so silence may last for up to twice that time.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Nothing, until it is asked for the first time.
#[derive(Debug, Default)]
pub(super) struct Idle(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    waker: Waker,
    /// What was told when it was set.
    quiet: Option<usize>,
}

impl Idle {
    /// Whether for this long the connection was as quiet as now, which is told by how many requests
    /// had come, if none is being answered. If not, the task is woken when that may be so.
    pub(super) fn is_over(
        &mut self,
        cx: &mut Context<'_>,
        time: Duration,
        quiet: Option<usize>,
    ) -> bool {
        if let Some(waiting) = &self.0
            && waiting.waker.will_wake(cx.waker())
            && !waiting.timer.is_elapsed()
        {
            return false;
        }
        let set = |waker| Waiting {
            timer: Box::pin(sleep(time)),
            waker,
            quiet,
        };
        let waiting = self.0.take();
        let mut waiting = waiting.unwrap_or_else(|| set(cx.waker().clone()));
        while waiting.timer.as_mut().poll(cx).is_ready() {
            if quiet.is_some() && waiting.quiet == quiet {
                return true;
            }
            waiting = set(waiting.waker);
        }
        waiting.waker.clone_from(cx.waker());
        self.0 = Some(waiting);
        false
    }
}
