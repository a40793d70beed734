//! Interim responses (1xx, RFC 9110 §15.2), for whoever wants to pass them on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, Request, StatusCode, Version, header};
use tokio::sync::Notify;

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
pub struct Interims(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<VecDeque<Interim>>,
    came: Notify,
}

// === impl Interims ===

impl Interims {
    /// The next one, once it is there. There may be none: wait for the response, too.
    pub async fn next(&self) -> Interim {
        loop {
            match self.pop() {
                Some(interim) => return interim,
                None => self.0.came.notified().await,
            }
        }
    }

    /// The next one, if it is there. When the response is, all are that came before it.
    pub fn pop(&self) -> Option<Interim> {
        self.waiting().pop_front()
    }

    /// Has them brought here while `request` is answered.
    pub(super) fn listen<B>(self, request: &mut Request<B>) {
        hyper::ext::on_informational(request, move |interim| {
            // The server's side answers `Expect` by itself.
            if interim.status() == StatusCode::CONTINUE || self.waiting().len() == WAITING {
                return;
            }
            let mut headers = interim.headers().clone();
            fields::strip(&mut headers);
            headers.remove(header::CONTENT_LENGTH); // it has no content (RFC 9110 §8.6)
            self.waiting().push_back(Interim {
                status: interim.status(),
                version: interim.version(),
                headers,
            });
            self.0.came.notify_one();
        });
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Interim>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
