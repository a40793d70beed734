//! What was written past hyper, and is to be sent before anything else.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// A body that is larger is not copied.
const LARGE: usize = 16 * 1024;

/// Who has so much to be sent is answered no further before it is.
const MUCH: usize = 64 * 1024;

/// Memory that is given back when it is not in use.
const ROOM: usize = 4096;

/// Bytes, and what comes after them.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    /// So many of them are sent.
    sent: usize,
    body: Bytes,
}

impl Unsent {
    /// Where to write, unless there [is much](Self::is_much) already.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a body.
    pub(super) fn add(&mut self, body: &Bytes) {
        match body.len() > LARGE {
            true => self.body = body.clone(),
            false => self.bytes.extend_from_slice(body),
        }
    }

    /// Whether nothing can be added.
    pub(super) fn is_much(&self) -> bool {
        !self.body.is_empty() || self.bytes.len() > MUCH
    }

    /// Sends all of it to `io`.
    pub(super) fn poll_send<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut T,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let bytes = &self.bytes[self.sent..];
            if bytes.is_empty() && self.body.is_empty() {
                break;
            }
            let io = Pin::new(&mut *io);
            let polled = match (bytes, &*self.body) {
                (bytes, []) => io.poll_write(cx, bytes),
                ([], body) => io.poll_write(cx, body),
                (bytes, body) => {
                    io.poll_write_vectored(cx, &[IoSlice::new(bytes), IoSlice::new(body)])
                }
            };
            let count = ready!(polled)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let own = count.min(bytes.len());
            self.sent += own;
            self.body.advance(count - own);
        }
        (self.sent, self.body) = (0, Bytes::new());
        self.bytes.clear();
        if self.bytes.capacity() > ROOM {
            drop(mem::take(&mut self.bytes));
        }
        Poll::Ready(Ok(()))
    }
}
