//! Bodies whose beginning was read already.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;

pin_project! {
    /// A request's body: untouched, or what was read of it and then the rest. Data, trailers and
    /// error are those of the original.
    pub struct QueryBody<Q: Body> {
        #[pin]
        inner: Inner<Q>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<Q: Body> {
        Untouched { #[pin] body: Q },
        Begun { begun: Begun<Q> },
    }
}

struct Begun<Q: Body> {
    data: Bytes,
    next: Next<Q>,
}

/// What comes after the data that was read.
enum Next<Q: Body> {
    Rest(Pin<Box<Q>>),
    Trailers(HeaderMap),
    Error(Q::Error),
    End,
}

/// A body that is being read.
pub(super) struct Gathering<Q: Body> {
    first: Bytes,
    /// The first piece and all others, where there are others.
    all: BytesMut,
    next: Next<Q>,
}

// === impl Gathering ===

impl<Q: Body<Data = Bytes>> Gathering<Q> {
    pub(super) fn new(body: Q) -> Self {
        Gathering {
            first: Bytes::new(),
            all: BytesMut::new(),
            next: Next::Rest(Box::pin(body)),
        }
    }

    /// Reads to the end, or until there are more than `limit` bytes: then it answers `false`. May
    /// be dropped in between, and what was read stays.
    pub(super) async fn gather(&mut self, limit: usize) -> bool {
        loop {
            let left = limit.saturating_sub(self.data().len()) as u64;
            let Next::Rest(body) = &mut self.next else {
                return true;
            };
            if body.size_hint().lower() > left {
                return false;
            }
            let ending = match body.frame().await {
                None => Next::End,
                Some(Err(error)) => Next::Error(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let ended = body.is_end_stream();
                        self.add(data);
                        if self.data().len() > limit {
                            return false;
                        }
                        if !ended {
                            continue;
                        }
                        Next::End
                    }
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => Next::Trailers(trailers),
                        Err(_) => continue,
                    },
                },
            };
            self.next = ending;
        }
    }

    fn add(&mut self, data: Bytes) {
        if self.data().is_empty() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn data(&self) -> &[u8] {
        if self.all.is_empty() {
            &self.first
        } else {
            &self.all
        }
    }

    /// All of the content, if it came to a good end. With trailers it says more than content.
    pub(super) fn content(&self) -> Option<&[u8]> {
        matches!(self.next, Next::End).then(|| self.data())
    }

    /// The same body anew.
    pub(super) fn into_body(self) -> QueryBody<Q> {
        let data = if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        };
        let begun = Begun {
            data,
            next: self.next,
        };
        QueryBody {
            inner: Inner::Begun { begun },
        }
    }
}

// === impl QueryBody ===

impl<Q: Body> QueryBody<Q> {
    pub(super) fn untouched(body: Q) -> Self {
        QueryBody {
            inner: Inner::Untouched { body },
        }
    }

    /// The same body once more, where all of it is known: it is empty, or was read as what a QUERY
    /// asks.
    pub fn copy(&self) -> Option<Self> {
        let data = match &self.inner {
            Inner::Untouched { body } if body.is_end_stream() => Bytes::new(),
            Inner::Begun { begun } if matches!(begun.next, Next::End) => begun.data.clone(),
            Inner::Untouched { .. } | Inner::Begun { .. } => return None,
        };
        let begun = Begun {
            data,
            next: Next::End,
        };
        Some(QueryBody {
            inner: Inner::Begun { begun },
        })
    }
}

impl<Q: Body<Data = Bytes>> Body for QueryBody<Q> {
    type Data = Bytes;
    type Error = Q::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Q::Error>>> {
        let begun = match self.project().inner.project() {
            InnerProj::Untouched { body } => return body.poll_frame(cx),
            InnerProj::Begun { begun } => begun,
        };
        if !begun.data.is_empty() {
            let data = mem::take(&mut begun.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Next::Rest(rest) = &mut begun.next {
            return rest.as_mut().poll_frame(cx);
        }
        Poll::Ready(match mem::replace(&mut begun.next, Next::End) {
            Next::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Next::Error(error) => Some(Err(error)),
            Next::Rest(_) | Next::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Untouched { body } => body.is_end_stream(),
            Inner::Begun { begun } => {
                begun.data.is_empty()
                    && match &begun.next {
                        Next::Rest(rest) => rest.is_end_stream(),
                        Next::End => true,
                        Next::Trailers(_) | Next::Error(_) => false,
                    }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let begun = match &self.inner {
            Inner::Untouched { body } => return body.size_hint(),
            Inner::Begun { begun } => begun,
        };
        let read = begun.data.len() as u64;
        let rest = match &begun.next {
            Next::Rest(rest) => rest.size_hint(),
            Next::Trailers(_) | Next::End => SizeHint::with_exact(0),
            Next::Error(_) => SizeHint::new(), // it was to be longer
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<Q: Body> fmt::Debug for QueryBody<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryBody").finish_non_exhaustive()
    }
}
