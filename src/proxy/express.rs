//! Hits, answered before hyper reads their requests.
//!
//! A client asks again and again with the same fields, and changes the target alone. hyper reads
//! each head anew, all the same, and writes each response field by field: with all that it does
//! for a request, that is most of what a small hit costs. So [`Io`], the connection that hyper
//! reads from, remembers the head of the last request that [`Front`] answered, as it came and as
//! hyper understood it. What comes next, is whole, and differs in its target at most, is
//! understood without hyper, and answered by the same [`Front`] from the same cache. Everything
//! else is hyper's, which knows nothing of what was answered before it.
//!
//! Where a request begins is known only as long as nothing but whole heads came, each by itself
//! and without content, and each was answered before the next one came. [`Line`] tells whether
//! that is so. A client that sends content, a head in pieces, or several at a time, is left to
//! hyper from then on: nobody's content is ever taken for a request.

mod known;
mod line;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::known::{Known, is_head};
pub(super) use self::line::{Due, Line};
use super::{front::Front, patience::Answering, unsent::Unsent};

/// A connection in HTTP/1, some of whose requests are answered before they are read from it.
#[derive(Debug)]
pub(super) struct Io<T> {
    inner: T,
    front: Option<Front>,
    answering: Answering,
    line: Line,
    /// Bytes that a head may take.
    most: usize,
    known: Option<Known>,
    /// hyper has read something since that was known.
    passed: bool,
    unsent: Unsent,
}

// === impl Io ===

impl<T> Io<T> {
    /// `inner`, whose requests hyper hands to what has the same `front`, `answering` and `line`
    /// unless their heads take more than `most` bytes.
    pub(super) fn new(
        inner: T,
        (front, answering, line): (Option<Front>, Answering, Line),
        most: usize,
    ) -> Self {
        Io {
            inner,
            front,
            answering,
            line,
            most,
            known: None,
            passed: false,
            unsent: Unsent::default(),
        }
    }

    /// Whether what came is a request that is answered now.
    fn answer(&mut self, came: &[u8]) -> bool {
        let Some(front) = &self.front else {
            return false;
        };
        if !self.line.is_idle() || came.len() > self.most || self.unsent.is_much() {
            return false;
        }
        if mem::take(&mut self.passed) {
            self.known = self.line.known().or(self.known.take());
        }
        let head = self.known.as_mut().and_then(|known| known.understand(came));
        let answered = head.is_some_and(|head| front.write(head, &mut self.unsent));
        if answered {
            self.answering.came();
        }
        answered
    }

    /// What came is hyper's to read.
    fn pass(&mut self, came: &[u8]) {
        if came.is_empty() || self.front.is_none() {
            return;
        }
        if !self.line.is_idle() || !is_head(came) {
            self.line.lose();
            self.known = None;
            return;
        }
        self.line.read(came);
        self.passed = true;
    }
}

impl<T: AsyncWrite + Unpin> Io<T> {
    /// Until all answers are sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unsent.poll_send(cx, &mut self.inner)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            if !this.answer(&buf.filled()[before..]) {
                this.pass(&buf.filled()[before..]);
                return Poll::Ready(Ok(()));
            }
            // hyper has nothing to read, and flushes.
            buf.set_filled(before);
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes when it has nothing left to write, and whenever it was polled.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.line.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
