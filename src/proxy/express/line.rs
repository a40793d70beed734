//! Where a connection is between one request and the next.

use std::{
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use http::{header::CONNECTION, request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::known::Known;

/// How far the requests of a connection have come. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct Line(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    at: AtomicU8,
    last: Mutex<Last>,
}

/// What hyper read last.
#[derive(Debug, Default)]
struct Last {
    /// As it came; nothing if it is not to be remembered.
    bytes: Vec<u8>,
    /// As it was understood, if the front has answered it.
    known: Option<Known>,
}

/// A longer head is not remembered.
const LONG: usize = 4096;

/// Whatever was read is answered and sent. A connection begins like that.
const IDLE: u8 = 0;
/// One whole head was read, and nothing else.
const READ: u8 = 1;
/// It came as a request without content, which is being answered.
const CAME: u8 = 2;
/// hyper has all of the answer, and may have sent a part of it.
const ANSWERED: u8 = 3;
/// It is not known where the next request begins, and never will be.
const LOST: u8 = 4;

pin_project! {
    /// The body of an answer, of which the line is told when hyper has all of it.
    #[derive(Debug)]
    pub(in crate::proxy) struct Due<B> {
        #[pin]
        inner: B,
        line: Option<Line>,
    }

    impl<B> PinnedDrop for Due<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(line) = this.project().line {
                line.step(CAME, ANSWERED);
            }
        }
    }
}

// === impl Line ===

impl Line {
    /// hyper has read a request, and knows whether it has content.
    pub(in crate::proxy) fn came(&self, is_whole: bool) {
        let follows = is_whole && self.is(READ);
        self.set(if follows { CAME } else { LOST });
    }

    /// This is the head of the request that came, which the front has answered.
    pub(in crate::proxy) fn knows(&self, head: request::Parts) {
        let mut connections = head.headers.get_all(CONNECTION).iter();
        let stays = connections.all(|value| !value.as_bytes().eq_ignore_ascii_case(b"close"));
        if stays && self.is(CAME) {
            let mut last = self.last();
            last.known = Known::new(mem::take(&mut last.bytes), head);
        }
    }

    /// This, one whole head, was read, and is hyper's.
    pub(super) fn read(&self, head: &[u8]) {
        self.set(READ);
        let mut last = self.last();
        last.bytes.clear();
        if head.len() <= LONG {
            last.bytes.extend_from_slice(head);
        }
    }

    /// What hyper read last, if the front has answered it.
    pub(super) fn known(&self) -> Option<Known> {
        self.last().known.take()
    }

    /// hyper has sent all that it has.
    pub(super) fn sent(&self) {
        self.step(ANSWERED, IDLE);
    }

    /// Something else came than one head after the other.
    pub(super) fn lose(&self) {
        self.set(LOST);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is(IDLE)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, at: u8) -> bool {
        // hyper, and all that it calls, are one task.
        self.0.at.load(Ordering::Relaxed) == at
    }

    fn set(&self, at: u8) {
        self.0.at.store(at, Ordering::Relaxed);
    }

    fn step(&self, from: u8, to: u8) {
        if self.is(from) {
            self.set(to);
        }
    }
}

// === impl Due ===

impl<B> Due<B> {
    /// There is a `line` in HTTP/1.
    pub(in crate::proxy) fn new(inner: B, line: Option<Line>) -> Self {
        Due { inner, line }
    }
}

impl<B: Body> Body for Due<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
