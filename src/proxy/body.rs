//! The body of what larder answers itself: a few pieces, one after the other, none of them copied.

use std::{
    array,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Up to three pieces: what comes before the data, the data, what comes after.
#[derive(Clone, Debug)]
pub(super) struct Spliced {
    pieces: array::IntoIter<Bytes, 3>,
}

impl Spliced {
    pub(super) fn new(before: Bytes, data: Bytes, after: Bytes) -> Self {
        Spliced {
            pieces: [before, data, after].into_iter(),
        }
    }

    /// No bytes at all.
    pub(super) fn empty() -> Self {
        Spliced::from(Bytes::new())
    }

    /// The pieces that are left.
    pub(super) fn pieces(&self) -> &[Bytes] {
        self.pieces.as_slice()
    }

    /// The bytes that are left.
    pub(super) fn len(&self) -> u64 {
        let pieces = self.pieces().iter();
        pieces.map(|piece| piece.len() as u64).sum()
    }
}

impl From<Bytes> for Spliced {
    fn from(whole: Bytes) -> Self {
        Spliced::new(whole, Bytes::new(), Bytes::new())
    }
}

impl Body for Spliced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.pieces.find(|piece| !piece.is_empty());
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.len() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_are_counted() {
        let mut body = Spliced::new("a".into(), Bytes::new(), "bc".into());
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(!body.is_end_stream());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first, body.len()), ("a".into(), 2));
        assert_eq!(body.clone().collect().await.unwrap().to_bytes(), "bc");
        assert!(Spliced::empty().is_end_stream());
    }
}
