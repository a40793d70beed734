//! The body of a response that passed the cache: stored, being recorded, or the inner service's.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::recording::Reader;
use crate::store::{Again, Payload, Piece, Spare, StoreError};

/// A response body of [`Cache`](super::Cache).
pub struct ResponseBody<B> {
    kind: Kind<B>,
}

enum Kind<B> {
    /// Stored, or made here: pieces that are at hand, or read as they are needed.
    Pieces {
        pieces: Pieces,
        trailers: Option<Arc<HeaderMap>>,
    },
    /// Stored whole, in one piece.
    Stored {
        data: Bytes,
        trailers: Option<Arc<HeaderMap>>,
    },
    /// Being received.
    Live { reader: Reader },
    /// As it is received, after what is there of it already. In a box: what is far larger than all
    /// the others would be moved about with each of them.
    Inner { before: Bytes, body: Pin<Box<B>> },
}

/// Pieces that are yet to be told.
struct Pieces {
    pieces: VecDeque<Piece>,
    /// The bytes in all of them.
    left: u64,
}

impl<B> ResponseBody<B> {
    pub(super) fn empty() -> Self {
        Self::stored(&Payload::default())
    }

    pub(super) fn stored(payload: &Payload) -> Self {
        let trailers = payload.trailers().cloned();
        let kind = match payload.data() {
            Some(data) => Kind::Stored {
                data: data.clone(),
                trailers,
            },
            None => Kind::Pieces {
                pieces: Pieces::new(vec![payload.part(0..payload.len())]),
                trailers,
            },
        };
        ResponseBody { kind }
    }

    pub(super) fn pieces(pieces: Vec<Piece>) -> Self {
        ResponseBody {
            kind: Kind::Pieces {
                pieces: Pieces::new(pieces),
                trailers: None,
            },
        }
    }

    /// What to do when its bytes, where they are read from afar, cannot be had.
    pub(super) fn keep_spare(&mut self, again: impl FnOnce() -> Again) {
        if let Kind::Pieces { pieces, .. } = &mut self.kind {
            pieces.keep_spare(again);
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
            kind: Kind::Inner {
                before,
                body: Box::pin(body),
            },
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.kind {
            Kind::Stored { data, trailers } => {
                let frame = if data.is_empty() {
                    last(trailers)
                } else {
                    Some(Frame::data(std::mem::take(data)))
                };
                Poll::Ready(frame.map(Ok))
            }
            Kind::Pieces { pieces, trailers } => Poll::Ready(match ready!(pieces.poll(cx)) {
                Some(piece) => Some(piece.map(Frame::data).map_err(BoxError::from)),
                None => last(trailers).map(Ok),
            }),
            Kind::Live { reader } => reader.poll_frame(cx).map_err(BoxError::from),
            Kind::Inner { before, .. } if !before.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(before)))))
            }
            Kind::Inner { body, .. } => body.as_mut().poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stored { data, trailers } => data.is_empty() && trailers.is_none(),
            Kind::Pieces { pieces, trailers } => pieces.left == 0 && trailers.is_none(),
            Kind::Live { reader } => reader.is_end_stream(),
            Kind::Inner { before, body } => before.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Stored { data, trailers } => hint(data.len() as u64, trailers.is_some()),
            Kind::Pieces { pieces, trailers } => hint(pieces.left, trailers.is_some()),
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

fn last(trailers: &mut Option<Arc<HeaderMap>>) -> Option<Frame<Bytes>> {
    let trailers = trailers.take()?;
    Some(Frame::trailers((*trailers).clone()))
}

/// With trailers to come the length must not look exact: HTTP/1.1 sends trailers only after a
/// chunked body.
fn hint(left: u64, has_trailers: bool) -> SizeHint {
    let mut hint = SizeHint::new();
    match has_trailers {
        true => hint.set_lower(left),
        false => hint.set_exact(left),
    }
    hint
}

// === impl Pieces ===

impl Pieces {
    fn new(pieces: Vec<Piece>) -> Self {
        Pieces {
            left: pieces.iter().map(Piece::len).sum(),
            pieces: pieces.into(),
        }
    }

    fn keep_spare(&mut self, again: impl FnOnce() -> Again) {
        let mut coming = self.pieces.iter_mut().filter_map(|piece| match piece {
            Piece::Here(_) => None,
            Piece::Coming(reading) => Some(reading),
        });
        if let Some(first) = coming.next() {
            let spare = Arc::new(Spare::new(again()));
            coming.for_each(|reading| reading.keep_spare(Arc::clone(&spare)));
            first.keep_spare(spare);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        while let Some(first) = self.pieces.front_mut() {
            let piece = match first {
                Piece::Here(piece) if piece.is_empty() => None,
                Piece::Here(piece) => Some(Ok(std::mem::take(piece))),
                Piece::Coming(reading) => ready!(reading.poll_piece(cx)),
            };
            if let Some(piece) = piece {
                self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
                return Poll::Ready(Some(piece));
            }
            self.pieces.pop_front();
        }
        Poll::Ready(None)
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
