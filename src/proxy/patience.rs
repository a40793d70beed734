//! How long a client is waited for: until its head is whole, and until it reads.
//!
//! hyper knows one time for the silence before a head and within it, and none for a client that
//! does not read. So the connection itself looks: a head that has begun must be whole in time, and
//! a write that waits must go on in time. Nothing is timed unless there is something to wait for.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::limits::{Bounds, Limit};

/// Whether a request is being answered. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Answering(Arc<AtomicBool>);

/// A connection whose client is not waited for without end.
#[derive(Debug)]
pub(super) struct Patient<T> {
    inner: T,
    bounds: Bounds,
    answering: Answering,
    /// A head has begun, and is not whole.
    begun: bool,
    reading: Wait,
    writing: Wait,
}

type Wait = Option<Pin<Box<Sleep>>>;

/// What is said to who sends a head too slowly.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

impl Answering {
    pub(super) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Patient<T> {
    pub(super) fn new(inner: T, bounds: Bounds, answering: Answering) -> Self {
        Patient {
            inner,
            bounds,
            answering,
            begun: false,
            reading: None,
            writing: None,
        }
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
        if this.answering.is_on() {
            this.begun = false;
            this.reading = None;
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.begun |= buf.filled().len() > before;
        if polled.is_pending() && this.begun {
            let time = this.bounds.limits.head_time;
            if is_over(&mut this.reading, time, cx) {
                this.bounds.met(Limit::HeadTime);
                // As far as it goes: nobody waits for who makes others wait.
                let _ = Pin::new(&mut this.inner).poll_write(cx, TOO_SLOW);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bound(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bound(cx, polled)
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
