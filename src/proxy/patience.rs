//! How long a client is waited for: until its head is whole, and until it reads.
//!
//! hyper knows one time for the silence before a head and within it, none for a head in HTTP/2, and
//! none for a client that does not read; nor does it see all [requests](super::express). So the
//! connection itself looks: a head that has begun must be whole in time, a write that waits must go
//! on in time, and one on which nothing is asked comes to its [end](super::idle). No request sets a
//! timer unless there is something to wait for.
//!
//! Nor does one client make the others wait: a socket takes megabytes at once, and a thousand who
//! ask for that much would be served to the end before anybody else is. After each
//! [turn](TURN), a connection lets the others have theirs.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    frames::{Frames, Sent},
    idle::Idle,
    limits::{Bounds, Limit},
    pace::Pace,
};

/// Whether a request is being answered, and how many came. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    came: AtomicUsize,
    answering: AtomicUsize,
}

/// A request that is being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Answered(Answering);

/// A connection whose client is not waited for without end.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: T,
    bounds: Bounds,
    answering: Answering,
    /// In HTTP/2. Else what comes is one head after the other.
    h2: Option<H2>,
    /// Of so many requests the head is whole.
    came: usize,
    /// A further head has begun.
    begun: bool,
    /// In HTTP/1.
    idle: Idle,
    reading: Wait,
    writing: Wait,
    /// What may be written before others have their turn.
    turn: usize,
}

/// What is looked at of a connection in HTTP/2.
#[derive(Debug)]
struct H2 {
    pace: Pace,
    frames: Frames,
    sent: Sent,
}

/// Who has written so much stands back before writing more. Nothing larger is written at once.
const TURN: usize = 512 * 1024;

type Wait = Option<Pin<Box<Sleep>>>;

/// What is said to who sends a head too slowly.
pub(super) const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Answering {
    /// A request came, and is being answered.
    pub(super) fn begin(&self) -> Answered {
        self.came();
        self.0.answering.fetch_add(1, Ordering::Relaxed);
        Answered(self.clone())
    }

    /// A request came: its head is whole.
    pub(super) fn came(&self) {
        // One task at a time counts.
        let came = self.0.came.load(Ordering::Relaxed);
        self.0.came.store(came.wrapping_add(1), Ordering::Relaxed);
    }

    /// Until, for so long and at most for twice as long, no request was answered, and none came.
    pub(super) async fn ceased(&self, time: Duration) {
        let came = || self.0.came.load(Ordering::Relaxed);
        loop {
            let before = came();
            sleep(time).await;
            if before == came() && !self.is_on() {
                return;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn came_so_far(&self) -> usize {
        self.0.came.load(Ordering::Relaxed)
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Patient<T> {
    /// A connection in HTTP/2 has a `pace`.
    pub(super) fn new(inner: T, bounds: Bounds, answering: Answering, pace: Option<Pace>) -> Self {
        Patient {
            inner,
            bounds,
            answering,
            h2: pace.map(|pace| H2 {
                pace,
                frames: Frames::default(),
                sent: Sent::default(),
            }),
            came: 0,
            begun: false,
            idle: Idle::default(),
            reading: None,
            writing: None,
            turn: TURN,
        }
    }

    /// Whether it is the others' turn, before anything more is written.
    fn stands_back(&mut self, cx: &mut Context<'_>) -> bool {
        if self.turn > 0 {
            return false;
        }
        self.turn = TURN;
        cx.waker().wake_by_ref();
        true
    }

    /// What was written of these counts.
    #[inline]
    fn wrote<'b>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        bufs: impl Iterator<Item = &'b [u8]>,
    ) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Ready(Ok(count)) => {
                self.turn = self.turn.saturating_sub(*count);
                if let Some(h2) = &mut self.h2 {
                    h2.pace.sent(*count);
                    let mut left = *count;
                    for buf in bufs {
                        let own = &buf[..buf.len().min(left)];
                        left -= own.len();
                        h2.sent.refused(own, |limit| self.bounds.met(limit));
                    }
                }
            }
            // Others have their turn now.
            _ => self.turn = TURN,
        }
        self.bound(cx, polled)
    }

    /// Whether the head that has begun takes too long, which counts.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let over = is_over(&mut self.reading, self.bounds.limits.head_time, cx);
        if over {
            self.bounds.met(Limit::HeadTime);
        }
        over
    }

    /// Reads in HTTP/2, where a head may come while others are answered.
    fn read_frames(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let Some(H2 { frames, .. }) = &mut self.h2 else {
            return polled;
        };
        frames.read(&buf.filled()[before..]);
        if !frames.is_in_head() || self.came != frames.heads() {
            self.came = frames.heads();
            self.reading = None;
        }
        if polled.is_pending() && frames.is_in_head() && self.is_too_slow(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }

    /// `polled`, or an error if writing has waited too long.
    fn bound<R>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.writing = None;
            return polled;
        }
        if is_over(&mut self.writing, self.bounds.stall, cx) {
            self.bounds.met(Limit::Stall);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

/// Whether `wait`, which begins now unless it has begun, is over.
fn is_over(wait: &mut Wait, time: Duration, cx: &mut Context<'_>) -> bool {
    let wait = wait.get_or_insert_with(|| Box::pin(sleep(time)));
    wait.as_mut().poll(cx).is_ready()
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.h2.is_some() {
            return this.read_frames(cx, buf);
        }
        let came = this.answering.0.came.load(Ordering::Relaxed);
        if this.came != came {
            this.came = came;
            this.begun = false;
            this.reading = None;
        }
        let is_on = this.answering.is_on();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        if polled.is_ready() {
            this.begun |= !is_on && buf.filled().len() > before;
            return polled;
        }
        if this.begun {
            if !is_on && this.is_too_slow(cx) {
                // As far as it goes: nobody waits for who makes others wait.
                let _ = Pin::new(&mut this.inner).poll_write(cx, TOO_SLOW);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Pending;
        }
        // Who does not read yet what was written is another matter.
        let quiet = (!is_on && this.writing.is_none()).then_some(came);
        if this.idle.is_over(cx, this.bounds.limits.idle_time, quiet) {
            this.bounds.met(Limit::Idle);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.stands_back(cx) {
            return Poll::Pending;
        }
        let part = &buf[..buf.len().min(TURN)];
        let polled = Pin::new(&mut self.inner).poll_write(cx, part);
        self.wrote(cx, polled, [part].into_iter())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.stands_back(cx) {
            return Poll::Pending;
        }
        let inner = Pin::new(&mut self.inner);
        let polled = match bufs.iter().map(|buf| buf.len()).sum::<usize>() <= TURN {
            true => inner.poll_write_vectored(cx, bufs),
            // What is before a large piece, a head most often, goes with its beginning.
            false => {
                let (mut turn, mut room) = ([IoSlice::new(&[]); 4], TURN);
                for (own, buf) in turn.iter_mut().zip(bufs) {
                    *own = IoSlice::new(&buf[..buf.len().min(room)]);
                    room -= own.len();
                }
                inner.poll_write_vectored(cx, &turn)
            }
        };
        self.wrote(cx, polled, bufs.iter().map(|buf| &**buf))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.bound(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bound(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;
    use crate::proxy::limits::Limits;

    #[tokio::test]
    async fn who_write_much_take_turns() {
        let turns = Arc::new(Mutex::new(Vec::new()));
        let write = |name: char, vectored: bool| {
            let (near, far) = duplex(8 * TURN);
            let bounds = Bounds::new(Limits::default(), Duration::from_secs(1));
            let mut io = Patient::new(near, bounds, Answering::default(), None);
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let (head, body) = ([0; 100], vec![0; 3 * TURN]);
                let mut written = 0;
                while written < body.len() {
                    let bufs = [IoSlice::new(&head), IoSlice::new(&body[written..])];
                    let count = match vectored {
                        true => io.write_vectored(&bufs[usize::from(written > 0)..]).await,
                        false => io.write(&body[written..]).await,
                    };
                    let count = count.unwrap();
                    written += count;
                    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                    turns.push((name, count));
                }
                drop(far);
            })
        };
        let both = [write('a', false), write('b', true)];
        for each in both {
            each.await.unwrap();
        }
        // A head takes no turn of its own.
        let (a, b) = (('a', TURN), ('b', TURN));
        assert_eq!(*turns.lock().unwrap(), [a, b, a, b, a, b]);
    }
}
