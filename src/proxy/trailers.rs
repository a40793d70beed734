//! The trailers of a request, which are held to the same rules as its head.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::fields::{Unkeyed, remove_those};
use crate::hop::{is_hop_by_hop, is_vital};

pin_project! {
    /// A request's body, whose trailers say nothing that only a head may say.
    #[derive(Debug)]
    pub(super) struct Checked<B> {
        #[pin]
        inner: B,
        // None where there are no trailers to come.
        unkeyed: Option<Unkeyed>,
    }
}

impl<B: Body> Checked<B> {
    /// Without the fields that `unkeyed` removes from a head, too.
    pub(super) fn new(inner: B, unkeyed: &Unkeyed) -> Self {
        let unkeyed = (!inner.is_end_stream()).then(|| unkeyed.clone());
        Checked { inner, unkeyed }
    }
}

/// Removes what frames a message, leads it, or says who sends it: that is in its head, or nowhere
/// (RFC 9110 §6.5.1). An origin that makes one set of both must not be told otherwise here.
fn remove_heads(trailers: &mut HeaderMap, unkeyed: &Unkeyed) {
    let credentials = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
    ];
    let is_of_head = |name: &HeaderName| {
        is_hop_by_hop(name) || is_vital(name) || credentials.contains(name) || unkeyed.is_one(name)
    };
    remove_those(trailers, is_of_head);
}

impl<B: Body> Body for Checked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut frame = ready!(this.inner.poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
            && let Some(unkeyed) = this.unkeyed
        {
            remove_heads(trailers, unkeyed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
