//! The body of a response that passed the cache: stored, being recorded, or the inner service's.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::recording::Reader;
use crate::store::Payload;

pin_project! {
    /// A response body of [`Cache`](super::Cache).
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        /// Stored, or made here: pieces that are all there.
        Pieces { pieces: vec::IntoIter<Bytes>, left: u64 },
        /// Stored whole, in one piece.
        Stored { data: Bytes, trailers: Option<Arc<HeaderMap>> },
        /// Being received.
        Live { reader: Reader },
        /// As it is received, after what is there of it already.
        Inner { before: Bytes, #[pin] body: B },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn empty() -> Self {
        Self::stored(&Payload::default())
    }

    pub(super) fn stored(payload: &Payload) -> Self {
        ResponseBody {
            kind: Kind::Stored {
                data: payload.data().clone(),
                trailers: payload.trailers().cloned(),
            },
        }
    }

    pub(super) fn pieces(pieces: Vec<Bytes>) -> Self {
        ResponseBody {
            kind: Kind::Pieces {
                left: pieces.iter().map(|piece| piece.len() as u64).sum(),
                pieces: pieces.into_iter(),
            },
        }
    }

    pub(super) fn live(reader: Reader) -> Self {
        ResponseBody {
            kind: Kind::Live { reader },
        }
    }

    pub(super) fn inner(body: B) -> Self {
        Self::rest(Bytes::new(), body)
    }

    /// `body`, and `before` in front of it.
    pub(super) fn rest(before: Bytes, body: B) -> Self {
        ResponseBody {
            kind: Kind::Inner { before, body },
        }
    }
}

impl<B> Default for ResponseBody<B> {
    /// An empty body.
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProj::Stored { data, trailers } => {
                let frame = if data.is_empty() {
                    trailers
                        .take()
                        .map(|trailers| Frame::trailers((*trailers).clone()))
                } else {
                    Some(Frame::data(std::mem::take(data)))
                };
                Poll::Ready(frame.map(Ok))
            }
            KindProj::Pieces { pieces, left } => {
                let piece = pieces.next();
                *left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            KindProj::Live { reader } => reader.poll_frame(cx).map_err(BoxError::from),
            KindProj::Inner { before, .. } if !before.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(before)))))
            }
            KindProj::Inner { body, .. } => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stored { data, trailers } => data.is_empty() && trailers.is_none(),
            Kind::Pieces { left, .. } => *left == 0,
            Kind::Live { reader } => reader.is_end_stream(),
            Kind::Inner { before, body } => before.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            // With trailers to come the length must not look exact: HTTP/1.1 sends trailers
            // only after a chunked body.
            Kind::Stored {
                data,
                trailers: Some(_),
            } => {
                let mut hint = SizeHint::new();
                hint.set_lower(data.len() as u64);
                hint
            }
            Kind::Stored { data, .. } => SizeHint::with_exact(data.len() as u64),
            Kind::Pieces { left, .. } => SizeHint::with_exact(*left),
            Kind::Live { reader } => reader.size_hint(),
            Kind::Inner { before, body } => {
                let (mut hint, before) = (body.size_hint(), before.len() as u64);
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper.saturating_add(before));
                }
                hint.set_lower(hint.lower().saturating_add(before));
                hint
            }
        }
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Stored { .. } => "Stored",
            Kind::Pieces { .. } => "Pieces",
            Kind::Live { .. } => "Live",
            Kind::Inner { .. } => "Inner",
        };
        f.debug_tuple("ResponseBody").field(&kind).finish()
    }
}
