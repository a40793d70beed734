//! A body being received: one writer, many readers, each at its own pace.
//!
//! As long as a recording *keeps*, all bytes stay: the writer never waits, and a reader may join
//! at any time and reads from the start. Once it stops keeping (the body grew too large to be
//! stored), it only *passes*: nobody joins, pieces go as soon as every reader has had them, and
//! the writer waits for the slowest. A writer that is dropped has failed, it has not finished.
//! Knows bytes, and nothing of HTTP but that a body may end in trailers.

mod reader;

use std::{
    collections::VecDeque,
    error::Error,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use tower::BoxError;

use self::reader::Back;
pub(super) use self::reader::Reader;
use super::flight::Followers;
use crate::store::gather;

/// Bytes that may wait for the slowest reader of a recording that only passes.
const WINDOW: u64 = 256 * 1024;

/// The first piece is no larger: it is what each of many readers has before any has more.
const FIRST: usize = 4 * 1024;

/// The writing end.
pub(super) struct Recorder(Arc<Tape>);

/// Where readers come from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recording(Arc<Tape>);

struct Tape {
    /// The length that was announced for the body.
    length: Option<u64>,
    /// Those who do not know yet that there is something to read.
    followers: Followers,
    state: Mutex<State>,
}

struct State {
    pieces: VecDeque<Bytes>,
    /// The number of the first piece: how many are gone before it.
    first: usize,
    /// Bytes in `pieces`.
    held: u64,
    /// Bytes that were ever written.
    written: u64,
    keeps: bool,
    ending: Option<Ending>,
    readers: Vec<Option<Place>>,
    writer: Option<Waker>,
}

/// Where a reader is.
struct Place {
    next: usize,
    read: u64,
    trailers_read: bool,
    /// Has all that it wants.
    done: bool,
    cut: bool,
    waker: Option<Waker>,
}

#[derive(Clone)]
enum Ending {
    Finished(Option<Arc<HeaderMap>>),
    Failed(Interrupted),
}

/// Why a body that was being recorded broke off.
#[derive(Clone, Debug)]
pub struct Interrupted {
    why: &'static str,
    source: Option<Arc<BoxError>>,
}

/// A new recording of a body whose announced length is `length`, which these followers will read.
pub(super) fn record(length: Option<u64>, followers: Followers) -> (Recorder, Recording) {
    let tape = Arc::new(Tape {
        length,
        followers,
        state: Mutex::new(State {
            pieces: VecDeque::new(),
            first: 0,
            held: 0,
            written: 0,
            keeps: true,
            ending: None,
            readers: Vec::new(),
            writer: None,
        }),
    });
    (Recorder(Arc::clone(&tape)), Recording(tape))
}

// === impl Tape ===

impl Tape {
    /// The state is whole between any two statements, so a poisoned lock is still a good one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn wake_readers(&mut self) {
        for place in self.readers.iter_mut().flatten() {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    fn push(&mut self, mut piece: Bytes) {
        if self.written == 0 && piece.len() > FIRST {
            let first = piece.split_to(FIRST);
            self.push(first);
        }
        if !piece.is_empty() {
            self.held += piece.len() as u64;
            self.written += piece.len() as u64;
            self.pieces.push_back(piece);
        }
    }

    /// In passing, lets go what every reader has had.
    fn let_go(&mut self) {
        if self.keeps {
            return;
        }
        let needed = self.readers.iter().flatten().filter(|place| place.reads());
        let first_needed = needed.map(|place| place.next).min();
        let first_needed = first_needed.unwrap_or(self.first + self.pieces.len());
        while self.first < first_needed {
            let Some(piece) = self.pieces.pop_front() else {
                break;
            };
            self.held -= piece.len() as u64;
            self.first += 1;
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Whether the reader there has had a piece.
    fn has_begun(&self, seat: usize) -> bool {
        self.readers[seat]
            .as_ref()
            .is_some_and(|place| place.next > 0)
    }

    fn has_readers(&self) -> bool {
        self.readers.iter().flatten().any(Place::reads)
    }
}

// === impl Place ===

impl Place {
    fn reads(&self) -> bool {
        !self.cut && !self.done
    }
}

// === impl Recorder ===

impl Recorder {
    /// Adds a piece.
    pub(super) fn write(&self, piece: Bytes) {
        let mut state = self.0.lock();
        state.push(piece);
        state.wake_readers();
        state.let_go();
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// Whether all bytes are still there.
    pub(super) fn keeps(&self) -> bool {
        self.0.lock().keeps
    }

    /// From here on, only passes on.
    pub(super) fn stop_keeping(&self) {
        let mut state = self.0.lock();
        state.keeps = false;
        state.let_go();
    }

    /// Waits until there is room for more; `false` when nobody reads any more and nothing is kept.
    pub(super) async fn room(&self) -> bool {
        std::future::poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.keeps {
                return Poll::Ready(true);
            }
            if !state.has_readers() {
                return Poll::Ready(false);
            }
            if state.held < WINDOW {
                return Poll::Ready(true);
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Cuts off the readers that hold up others. A single reader may take all its time.
    pub(super) fn cut_slowest(&self) {
        let mut state = self.0.lock();
        let first = state.first;
        let ahead = |place: &Place| place.reads() && place.next > first;
        if !state.readers.iter().flatten().any(ahead) {
            return;
        }
        for place in state.readers.iter_mut().flatten() {
            place.cut |= place.next == first;
        }
        state.wake_readers();
        state.let_go();
    }

    /// All bytes, and `last` after them, in one piece of exactly their size, if they were kept.
    ///
    /// They are copied even when there is one piece only: it may be a slice of a larger read
    /// buffer, which it would keep in memory for as long as the record is stored. Those who still
    /// read have theirs of the copy from here on, and wait while it is made: nothing is in memory
    /// twice.
    pub(super) fn collect(&self, last: &mut Option<Bytes>) -> Option<Bytes> {
        let mut state = self.0.lock();
        if !state.keeps {
            return None;
        }
        let size = usize::try_from(state.held).ok()? + last.as_ref().map_or(0, Bytes::len);
        let mut lengths = Vec::with_capacity(state.pieces.len());
        let pieces = mem::take(&mut state.pieces).into_iter();
        let pieces = pieces.inspect(|piece| lengths.push(piece.len()));
        let has_last = last.is_some();
        let whole = gather(pieces.chain(last.take()), size);
        let mut at = 0;
        for length in lengths {
            state.pieces.push_back(whole.slice(at..at + length));
            at += length;
        }
        *last = has_last.then(|| whole.slice(at..));
        Some(whole)
    }

    /// Ends the recording with its last piece and its trailers.
    pub(super) fn finish(self, last: Option<Bytes>, trailers: Option<Arc<HeaderMap>>) {
        let mut state = self.0.lock();
        if let Some(last) = last {
            state.push(last);
        }
        state.ending = Some(Ending::Finished(trailers));
        state.wake_readers();
    }

    /// Breaks the recording off, for all its readers.
    pub(super) fn fail(self, why: &'static str, source: Option<BoxError>) {
        let mut state = self.0.lock();
        state.ending = Some(Ending::Failed(Interrupted {
            why,
            source: source.map(Arc::new),
        }));
        state.wake_readers();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.ending.is_none() {
            state.ending = Some(Ending::Failed(Interrupted {
                why: "the fetch was given up",
                source: None,
            }));
            state.wake_readers();
        }
    }
}

// === impl Recording ===

impl Recording {
    /// A reader from the first byte on; `None` when those are gone, or the body broke off.
    pub(super) fn reader(&self) -> Option<Reader> {
        let mut state = self.0.lock();
        if !state.keeps || matches!(state.ending, Some(Ending::Failed(_))) {
            return None;
        }
        let place = Some(Place {
            next: 0,
            read: 0,
            trailers_read: false,
            done: false,
            cut: false,
            waker: None,
        });
        let free = state.readers.iter().position(Option::is_none);
        let seat = free.unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[seat] = place;
        drop(state);
        Some(Reader {
            tape: Arc::clone(&self.0),
            seat,
            only: None,
            back: Back::NotYet,
        })
    }

    /// The length of all of the body, as soon as that is known.
    pub(super) fn length(&self) -> Option<u64> {
        let state = self.0.lock();
        match state.ending {
            Some(Ending::Finished(_)) => Some(state.written),
            _ => self.0.length,
        }
    }

    /// Whether all of the body is there.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.0.lock().ending, Some(Ending::Finished(_)))
    }
}

// === impl Interrupted ===

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the response broke off: {}", self.why)
    }
}

impl Error for Interrupted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &***source as _)
    }
}

#[cfg(test)]
mod tests;
