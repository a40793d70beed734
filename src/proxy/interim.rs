//! Interim responses (1xx) on their way to the client (RFC 9110 §15.2).
//!
//! hyper's server has no word for them, so they are written [past](super::past) it: what the
//! [`Outbox`] holds goes out when hyper flushes, also while a request waits for its answer. The
//! outbox is filled by the future that waits for the answer, which hyper polls in the same task,
//! and which holds the answer back until the outbox is empty: so an interim head never stands after
//! the response that it precedes.
//!
//! Only HTTP/1.1 has them here: a client of HTTP/1.0 must be sent none, and HTTP/2 leaves no way
//! past hyper. Only a request that goes to the upstream itself gets any: they are not stored, and
//! whoever waits for the fetch of another gets that one's response alone.

use std::{
    convert::Infallible,
    io::Write,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{Request, Response, Version};
use http_body::Body;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use pin_project_lite::pin_project;

use super::fields;
use crate::upstream::{Interim, Interims};

/// A client that does not read is not sent more than about this.
const LIMIT: usize = 64 * 1024;

/// Interim heads that are to be written. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox(Arc<Heads>);

#[derive(Debug, Default)]
struct Heads {
    /// Whether there are any: all that is looked at where there are none.
    any: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

/// `service`, which puts the interim responses to a request into `outbox` until it has answered.
pub(super) fn passing_on<S, B>(
    service: S,
    outbox: Outbox,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = impl Send>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send,
    B: Body + Send,
{
    service_fn(move |mut request: Request<Incoming>| {
        let interims = (request.version() == Version::HTTP_11).then(Interims::default);
        if let Some(interims) = &interims {
            request.extensions_mut().insert(interims.clone());
        }
        PassingOn {
            answer: service.call(request),
            interims,
            outbox: outbox.clone(),
            held: None,
        }
    })
}

pin_project! {
    /// The answer to a request, after what came before it.
    struct PassingOn<F, T> {
        #[pin]
        answer: F,
        interims: Option<Interims>,
        outbox: Outbox,
        // It is there, and an interim head is to go out before it.
        held: Option<Box<T>>,
    }
}

// === impl PassingOn ===

impl<F: Future> Future for PassingOn<F, F::Output> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(interims) = this.interims else {
            return this.answer.poll(cx);
        };
        let answer = match this.held.take() {
            Some(held) => *held,
            None => {
                let answer = this.answer.poll(cx);
                while let Poll::Ready(interim) = interims.poll_next(cx) {
                    this.outbox.put(interim);
                }
                ready!(answer)
            }
        };
        if this.outbox.holds() {
            // hyper asks again when they have gone out: see `Outbox::take`.
            *this.held = Some(Box::new(answer));
            return Poll::Pending;
        }
        Poll::Ready(answer)
    }
}

// === impl Outbox ===

impl Outbox {
    fn put(&self, mut interim: Interim) {
        let mut bytes = self.bytes();
        if bytes.len() > LIMIT {
            return;
        }
        fields::add_via(&mut interim.headers, interim.version);
        let status = interim.status;
        let reason = status.canonical_reason().unwrap_or_default();
        // Writing to a vector does not fail.
        let _ = write!(bytes, "HTTP/1.1 {} {reason}\r\n", status.as_str());
        for (name, value) in &interim.headers {
            let _ = write!(bytes, "{name}: ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        self.0.any.store(true, Ordering::Relaxed);
    }

    /// Moves what there is to `out`, in the task that hyper polls the service in: see
    /// [`PassingOn`]. Whether there was anything.
    pub(super) fn take(&self, cx: &Context<'_>, out: &mut Vec<u8>) -> bool {
        if !self.holds() {
            return false;
        }
        self.0.any.store(false, Ordering::Relaxed);
        cx.waker().wake_by_ref();
        out.append(&mut self.bytes());
        true
    }

    fn holds(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::proxy::{
        express::{Express, Line},
        past::Io,
        patience::Answering,
    };

    const HEAD: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nvia: 1.1 larder\r\n\r\n";

    fn hints() -> Interim {
        let mut headers = HeaderMap::new();
        headers.insert("link", http::HeaderValue::from_static("</a>"));
        Interim {
            status: StatusCode::EARLY_HINTS,
            version: Version::HTTP_11,
            headers,
        }
    }

    #[tokio::test]
    async fn a_head_that_is_begun_is_finished_before_anything_else() {
        let (near, mut far) = duplex(4);
        let outbox = Outbox::default();
        let express = Express::new((None, Answering::default(), Line::default()), 8192);
        let mut io = Io::new(near, express, outbox.clone());
        let mut heard = String::new();
        let talk = async {
            io.write_all(b"before;").await.unwrap();
            outbox.put(hints());
            // Between two pieces of one message nothing is flushed.
            io.write_all(b"still;").await.unwrap();
            // The reader is slow, and the flush is left.
            tokio::select! {
                biased;
                _ = io.flush() => panic!("it cannot all have gone"),
                () = std::future::ready(()) => {}
            }
            assert!(!outbox.holds(), "it is begun");
            io.write_all(b"after").await.unwrap();
            drop(io);
        };
        let (_, read) = tokio::join!(talk, far.read_to_string(&mut heard));
        read.unwrap();
        assert_eq!(heard, format!("before;still;{HEAD}after"));
    }

    #[tokio::test]
    async fn who_does_not_read_is_not_sent_without_end() {
        let outbox = Outbox::default();
        for _ in 0..2 * LIMIT / HEAD.len() {
            outbox.put(hints());
        }
        let held = outbox.bytes().len();
        assert!((LIMIT..LIMIT + 2 * HEAD.len()).contains(&held), "{held}");
    }
}
