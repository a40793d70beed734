//! Interim responses (1xx, RFC 9110 §15.2), for whoever wants to pass them on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, Request, StatusCode, Version, header};

use super::fields;

/// As many wait to be taken; further ones are dropped, for a final response will come.
const WAITING: usize = 16;

/// A head that the upstream sends before that of its response: `103 Early Hints`, for one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Interim {
    /// 102 or more, and below 200: `100 Continue` and 101 are about one connection alone.
    pub status: StatusCode,
    /// The version it came in.
    pub version: Version,
    /// Its end-to-end fields.
    pub headers: HeaderMap,
}

/// Brings the interim responses to a request from [`Upstream`](super::Upstream) to whoever put
/// a clone of it into the request's extensions. Only HTTP/1.1 upstreams are listened to: hyper
/// does not tell of those that HTTP/2 brings.
#[derive(Clone, Debug, Default)]
pub struct Interims(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    heads: VecDeque<Interim>,
    reader: Option<Waker>,
}

// === impl Interims ===

impl Interims {
    /// The next one, once it is there. There may be none: wait for the response, too. When that is
    /// there, all are that came before it. Whoever polls last is woken.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Interim> {
        let mut waiting = self.waiting();
        if let Some(interim) = waiting.heads.pop_front() {
            return Poll::Ready(interim);
        }
        match &mut waiting.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => waiting.reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Has them brought here while `request` is answered.
    pub(super) fn listen<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |interim| {
            // The server's side answers `Expect` by itself.
            if interim.status() == StatusCode::CONTINUE || self.waiting().heads.len() == WAITING {
                return;
            }
            let mut headers = interim.headers().clone();
            fields::strip(&mut headers);
            headers.remove(header::CONTENT_LENGTH); // it has no content (RFC 9110 §8.6)
            let mut waiting = self.waiting();
            waiting.heads.push_back(Interim {
                status: interim.status(),
                version: interim.version(),
                headers,
            });
            if let Some(reader) = waiting.reader.take() {
                reader.wake();
            }
        });
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
