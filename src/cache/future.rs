//! The future of [`Cache`](super::Cache).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;

use super::body::ResponseBody;

/// Resolves to the response. Dropping it gives the request up, and nobody else's.
pub struct ResponseFuture<B, E> {
    way: Way<B, E>,
}

enum Way<B, E> {
    /// It is there already; `None` once it was taken.
    Quick(Option<Response<ResponseBody<B>>>),
    Long(Pin<Box<dyn Future<Output = Answer<B, E>> + Send>>),
}

type Answer<B, E> = Result<Response<ResponseBody<B>>, E>;

impl<B, E> ResponseFuture<B, E> {
    pub(super) fn quick(res: Response<ResponseBody<B>>) -> Self {
        ResponseFuture {
            way: Way::Quick(Some(res)),
        }
    }

    /// It is handed over in its box, so that it is not moved into it from further away.
    pub(super) fn long(future: Pin<Box<dyn Future<Output = Answer<B, E>> + Send>>) -> Self {
        ResponseFuture {
            way: Way::Long(future),
        }
    }
}

/// Nothing in it is pinned in place: a body that is here is not being polled yet.
impl<B, E> Unpin for ResponseFuture<B, E> {}

impl<B, E> Future for ResponseFuture<B, E> {
    type Output = Answer<B, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.way {
            Way::Quick(res) => Poll::Ready(Ok(res.take().expect("not polled after its end"))),
            Way::Long(future) => future.as_mut().poll(cx),
        }
    }
}

impl<B, E> fmt::Debug for ResponseFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
