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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::time::advance;

    use super::*;
    use crate::clock::Clock;

    const TIME: Duration = Duration::from_secs(60);

    /// Whether it is over after so many seconds, while all is as it is then.
    async fn is_over(idle: &mut Idle, seconds: u64, quiet: Option<usize>) -> bool {
        advance(Duration::from_secs(seconds)).await;
        poll_fn(|cx| Poll::Ready(idle.is_over(cx, TIME, quiet))).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_no_less_than_the_time_and_no_more_than_twice_that() {
        let mut idle = Idle::default();
        assert!(!is_over(&mut idle, 0, Some(0)).await);
        assert!(!is_over(&mut idle, 59, Some(0)).await);
        // A request comes, and is answered for longer than may be waited for the next.
        assert!(!is_over(&mut idle, 0, None).await);
        assert!(!is_over(&mut idle, 61, None).await);
        assert!(!is_over(&mut idle, 61, None).await);
        assert!(!is_over(&mut idle, 1, Some(1)).await);
        assert!(!is_over(&mut idle, 60, Some(1)).await);
        assert!(!is_over(&mut idle, 59, Some(1)).await);
        assert!(is_over(&mut idle, 1, Some(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken() {
        let (mut idle, start) = (Idle::default(), Clock::system().instant());
        poll_fn(|cx| match idle.is_over(cx, TIME, Some(3)) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
