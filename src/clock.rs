//! The only place that reads the time, wall and monotonic.
//!
//! HTTP reckons in wall-clock time (`Date`, `Expires`, RFC 9111 §4.2); waiting is done in
//! monotonic time. Everything else in the crate takes `now` as an argument, or a [`Clock`].

use std::time::SystemTime;

use tokio::time::Instant;

/// Tells the wall-clock time.
///
/// [`Clock::system`] is what programs use. [`Clock::virtual_from`] follows tokio's clock, so
/// that a test under `tokio::time::pause` moves timers and wall time together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    anchor: Option<(SystemTime, Instant)>,
}

impl Clock {
    /// The machine's own clock.
    pub const fn system() -> Self {
        Clock { anchor: None }
    }

    /// A clock that shows `start` now and moves with tokio's monotonic clock from here on.
    pub fn virtual_from(start: SystemTime) -> Self {
        Clock {
            anchor: Some((start, Instant::now())),
        }
    }

    /// The wall-clock time.
    pub fn now(&self) -> SystemTime {
        match self.anchor {
            None => SystemTime::now(),
            Some((start, since)) => start + since.elapsed(),
        }
    }

    /// The monotonic time, for measuring how long something took.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }
}
