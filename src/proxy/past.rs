//! A connection in HTTP/1, and what goes past hyper on it.
//!
//! [`Io`] is what hyper reads from and writes to. What comes is shown to [`Express`] before hyper
//! sees it, and may be answered; and there may be interim heads in the [`Outbox`], for which hyper
//! has no word. What is to be sent of these goes out before anything else, and as a whole, whenever
//! hyper asks to flush: it does so when it has nothing left to write, also while a request waits for
//! its answer, and whenever it was polled. So nothing of it ever stands within another message.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{express::Express, interim::Outbox, unsent::Unsent};

/// See the module.
#[derive(Debug)]
pub(super) struct Io<T> {
    inner: T,
    pub(super) express: Express,
    outbox: Outbox,
    pub(super) unsent: Unsent,
}

impl<T> Io<T> {
    pub(super) fn new(inner: T, express: Express, outbox: Outbox) -> Self {
        Io {
            inner,
            express,
            outbox,
            unsent: Unsent::default(),
        }
    }
}

impl<T: AsyncWrite + Unpin> Io<T> {
    /// Until nothing is half written.
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
            let came = &buf.filled()[before..];
            if !this.express.answer(came, &mut this.unsent) {
                this.express.pass(came);
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let this = &mut *self;
        if this.outbox.take(cx, this.unsent.bytes()) {
            ready!(self.poll_send(cx))?;
        }
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.express.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
