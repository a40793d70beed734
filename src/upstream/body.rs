//! The bodies on both sides of the upstream: the request's, whose progress is watched, and the
//! response's, which must not stall.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::uri::Authority;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    time::{Instant, Sleep},
};

use super::error::{BoxError, Error, ErrorKind, Failure};
use crate::clock::Clock;

/// The body of a response from the upstream.
///
/// It fails when the connection ends before the response does, and when a reader has waited
/// longer than the upstream's timeout for the next piece. A slow reader never makes it fail.
pub struct Body {
    /// Gone after an error, and with it the connection.
    inner: Option<Incoming>,
    peer: Authority,
    timeout: Option<Duration>,
    /// Runs while a reader waits.
    stall: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

/// The body of a request to the upstream.
pub(super) enum RequestBody {
    /// None: such a request can be sent again.
    Empty,
    /// One that tells how far it has come.
    Streaming {
        inner: UnsyncBoxBody<Bytes, BoxError>,
        progress: watch::Sender<Progress>,
    },
}

/// How far the body of a request has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// When its latest piece was here.
    pub(super) latest: Instant,
    /// The upstream would take more, and there is none.
    pub(super) waiting: bool,
}

// === impl Body ===

impl Body {
    pub(super) fn new(inner: Incoming, peer: Authority, timeout: Option<Duration>) -> Self {
        Body {
            inner: Some(inner),
            peer,
            timeout,
            stall: None,
            waiting: false,
        }
    }

    fn fail(&mut self, error: impl Into<BoxError>) -> Error {
        self.inner = None;
        Error::new(&self.peer, error)
    }

    /// Whether the reader has waited too long. Polled only while nothing is there to read.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        let sleep = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if !self.waiting {
            self.waiting = true;
            sleep.as_mut().reset(Clock::system().instant() + timeout);
        }
        sleep.as_mut().poll(cx).map(|()| timeout)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(|error| this.fail(error))))
            }
            Poll::Pending => this.poll_stalled(cx).map(|timeout| {
                let what = format!("the body stalled for {timeout:?}");
                Some(Err(this.fail(Failure::new(ErrorKind::Timeout, what))))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

// === impl Progress ===

impl Progress {
    pub(super) fn now() -> Self {
        Progress {
            latest: Clock::system().instant(),
            waiting: false,
        }
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// The body, and how far it has come if it has any pieces.
    pub(super) fn new<B>(inner: B) -> (Self, Option<watch::Receiver<Progress>>)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if inner.is_end_stream() {
            return (RequestBody::Empty, None);
        }
        let (progress, latest) = watch::channel(Progress::now());
        let inner = inner.map_err(Into::into).boxed_unsync();
        (RequestBody::Streaming { inner, progress }, Some(latest))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Streaming { inner, progress } => {
                let frame = Pin::new(inner).poll_frame(cx);
                if frame.is_ready() {
                    progress.send_replace(Progress::now());
                } else {
                    progress.send_if_modified(|last| !mem::replace(&mut last.waiting, true));
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streaming { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streaming { inner, .. } => inner.size_hint(),
        }
    }
}
