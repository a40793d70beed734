//! The reading end of a recording: all of it, or a range.
//!
//! Where many wait for a body, each has its first piece before any has its second: a socket takes a
//! megabyte at once, and who is served last would wait for a thousand of them. To let others have
//! their turn is not enough: those who were woken first may well be asked first again, and hyper
//! asks twice in a turn. So who has a first piece waits until nobody waits for the head any more,
//! though [not for long](PATIENCE): what a caller of the cache does not poll does not wake up.

use std::{
    mem,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::{Ending, Followers, Interrupted, Tape};

/// One reading end.
pub(in crate::cache) struct Reader {
    pub(super) tape: Arc<Tape>,
    pub(super) seat: usize,
    /// The bytes that are read, where it is not all.
    pub(super) only: Option<Range<u64>>,
    pub(super) back: Back,
}

/// Whether it has stood back behind others, after its first piece.
pub(super) enum Back {
    NotYet,
    Stands(Pin<Box<Sleep>>),
    Stood,
}

/// For no longer than this.
const PATIENCE: Duration = Duration::from_millis(50);

impl Reader {
    /// Reads these bytes only, and ends with the last of them. What breaks off before is an error;
    /// trailers, which are about the whole, are not read.
    pub(in crate::cache) fn only(mut self, bytes: Range<u64>) -> Self {
        self.only = Some(bytes);
        self
    }

    pub(in crate::cache) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let mut state = self.tape.lock();
        let state = &mut *state;
        if state.has_begun(self.seat) {
            ready!(self.back.poll_stood(cx, &self.tape.followers));
        }
        loop {
            let Some(place) = state.readers[self.seat].as_mut() else {
                return Poll::Ready(None);
            };
            if place.done {
                return Poll::Ready(None);
            }
            if place.cut {
                return Poll::Ready(Some(Err(Interrupted {
                    why: "the reader was too slow for the others",
                    source: None,
                })));
            }
            let Some(piece) = state.pieces.get(place.next - state.first) else {
                break;
            };
            let (at, piece) = (place.read, piece.clone());
            place.next += 1;
            place.read += piece.len() as u64;
            let wanted = cut(piece, at, self.only.as_ref());
            let end = self.only.as_ref().map(|only| only.end);
            place.done = end.is_some_and(|end| place.read >= end);
            state.let_go();
            if !wanted.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(wanted))));
            }
        }
        let Some(place) = state.readers[self.seat].as_mut() else {
            return Poll::Ready(None);
        };
        match &state.ending {
            None => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Ending::Failed(why)) => Poll::Ready(Some(Err(why.clone()))),
            Some(Ending::Finished(trailers)) => {
                let unread = !mem::replace(&mut place.trailers_read, true);
                let trailers = trailers.as_ref().filter(|_| unread);
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers((**trailers).clone()))))
            }
        }
    }

    pub(in crate::cache) fn is_end_stream(&self) -> bool {
        let state = self.tape.lock();
        let Some(place) = state.readers[self.seat]
            .as_ref()
            .filter(|place| !place.done)
        else {
            return true;
        };
        let all_read = !place.cut && place.next == state.first + state.pieces.len();
        match &state.ending {
            Some(Ending::Finished(trailers)) => {
                all_read && (trailers.is_none() || place.trailers_read)
            }
            _ => false,
        }
    }

    pub(in crate::cache) fn size_hint(&self) -> SizeHint {
        let state = self.tape.lock();
        let place = state.readers[self.seat].as_ref();
        if let Some(only) = &self.only {
            let from = place.map_or(only.end, |place| place.read.max(only.start));
            return SizeHint::with_exact(only.end.saturating_sub(from));
        }
        let read = place.map_or(0, |place| place.read);
        let mut hint = SizeHint::new();
        match (&state.ending, self.tape.length) {
            (Some(Ending::Finished(None)), _) => hint.set_exact(state.written - read),
            (Some(Ending::Finished(Some(_))), _) => hint.set_lower(state.written - read),
            (_, Some(length)) => hint.set_exact(length.saturating_sub(read)),
            (_, None) => hint.set_lower(state.written.saturating_sub(read)),
        }
        hint
    }
}

impl Back {
    /// Until it need not stand back any more.
    fn poll_stood(&mut self, cx: &mut Context<'_>, others: &Followers) -> Poll<()> {
        if matches!(self, Back::Stood) {
            return Poll::Ready(());
        }
        if others.poll_know(cx).is_pending() {
            if matches!(self, Back::NotYet) {
                *self = Back::Stands(Box::pin(sleep(PATIENCE)));
            }
            if let Back::Stands(wait) = self {
                ready!(wait.as_mut().poll(cx));
            }
        }
        *self = Back::Stood;
        Poll::Ready(())
    }
}

/// What of a piece, whose first byte is the one `at`, lies within `only`.
fn cut(piece: Bytes, at: u64, only: Option<&Range<u64>>) -> Bytes {
    let Some(only) = only else {
        return piece;
    };
    let place = |byte: u64| {
        let place = usize::try_from(byte.saturating_sub(at));
        place.map_or(piece.len(), |place| place.min(piece.len()))
    };
    piece.slice(place(only.start)..place(only.end))
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.tape.lock();
        state.readers[self.seat] = None;
        state.let_go();
    }
}
