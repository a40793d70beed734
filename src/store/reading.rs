//! Reading a large body from where it is kept, chunk by chunk, as it is consumed.
//!
//! One chunk is fetched ahead of the one that is being consumed, and no more: however large a body
//! is and however slow its reader, a few chunks of it are in memory.

use std::{
    fmt,
    future::{Future, poll_fn},
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use super::{StoreError, spare::Spare};

/// The length of each chunk but the last. Bodies up to this size are not cut.
pub(super) const CHUNK: u64 = 64 * 1024;

/// Where the chunks of a body are.
pub(super) trait Source: Send + Sync {
    /// The chunk of this number, all of it. The first one, 0, is not asked for.
    fn chunk(self: Arc<Self>, number: u64) -> Chunk;

    /// Whether these bytes are the chunk of this number, wherever they come from.
    fn is_chunk(&self, number: u64, bytes: &[u8]) -> bool;
}

/// A chunk that is on its way.
pub(super) type Chunk = Pin<Box<dyn Future<Output = Result<Bytes, StoreError>> + Send>>;

/// What comes after the first chunk of a body.
pub(super) struct Rest {
    /// That of all of the body.
    length: u64,
    source: Arc<dyn Source>,
    /// Whom to ask, when somebody begins to read all of it, for one who wants it then.
    copier: Option<Copier>,
}

/// See [`Rest::copied_by`].
type Copier = Box<dyn Fn() -> Option<Taker> + Send + Sync>;

/// Takes all bytes of a body.
pub(super) type Taker = Box<dyn FnOnce(Bytes) + Send + Sync>;

/// Bytes of a body.
pub(crate) enum Piece {
    /// At hand.
    Here(Bytes),
    /// To be read.
    Coming(Reading),
}

/// Some bytes of a body, one piece after the other.
pub(crate) struct Reading {
    first: Bytes,
    rest: Arc<Rest>,
    /// The bytes that are yet to be read.
    left: Range<u64>,
    /// The chunk that is being fetched.
    next: Option<Fetching>,
    /// What to do when one cannot be had.
    spare: Option<Arc<Spare>>,
    /// All that was read, for who takes it.
    copy: Option<(BytesMut, Taker)>,
}

/// A task that fetches a chunk. Who leaves has it end.
struct Fetching(JoinHandle<Result<Bytes, StoreError>>);

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Rest ===

impl Rest {
    #[cfg(feature = "redis")]
    pub(super) fn new(length: u64, source: Arc<dyn Source>) -> Self {
        Rest {
            length,
            source,
            copier: None,
        }
    }

    /// The same; when all of the body is read from its beginning to its end, who `copier` names at
    /// the beginning gets it at the end.
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(super) fn copied_by(
        &self,
        copier: impl Fn() -> Option<Taker> + Send + Sync + 'static,
    ) -> Self {
        Rest {
            length: self.length,
            source: Arc::clone(&self.source),
            copier: Some(Box::new(copier)),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

// === impl Reading ===

impl Reading {
    pub(super) fn new(first: Bytes, rest: Arc<Rest>, range: Range<u64>) -> Self {
        let all = range == (0..rest.length);
        let taker = rest.copier.as_ref().filter(|_| all).and_then(|ask| ask());
        Reading {
            first,
            rest,
            left: range,
            next: None,
            spare: None,
            copy: taker.map(|taker| (BytesMut::new(), taker)),
        }
    }

    /// What to do when a chunk cannot be had.
    pub(crate) fn keep_spare(&mut self, spare: Arc<Spare>) {
        self.spare = Some(spare);
    }

    /// How many bytes are yet to be read.
    pub(crate) fn left(&self) -> u64 {
        self.left.end.saturating_sub(self.left.start)
    }

    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StoreError>>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        let number = self.left.start / CHUNK;
        let chunk = match number {
            0 => self.first.clone(),
            _ => match ready!(self.poll_chunk(number, cx)) {
                Ok(chunk) => chunk,
                Err(error) => return Poll::Ready(Some(Err(error))),
            },
        };
        let begin = number * CHUNK;
        let end = self.left.end.min(begin + CHUNK);
        let piece = chunk.slice((self.left.start - begin) as usize..(end - begin) as usize);
        self.left.start = end;
        if self.left() > 0 {
            self.fetch(number + 1);
        }
        if let Some((copy, _)) = &mut self.copy {
            if number == 1 {
                // In exactly its size, once it is sure that there is more.
                *copy = BytesMut::with_capacity(self.rest.length as usize);
                copy.extend_from_slice(&self.first);
            }
            if number > 0 {
                copy.extend_from_slice(&piece);
            }
        }
        if self.left() == 0
            && let Some((copy, taker)) = self.copy.take()
        {
            taker(copy.freeze());
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn poll_chunk(&mut self, number: u64, cx: &mut Context<'_>) -> Poll<Result<Bytes, StoreError>> {
        let fetched = ready!(Pin::new(&mut self.fetch(number).0).poll(cx));
        self.next = None;
        let chunk = fetched.map_err(|error| StoreError::because("a chunk was given up", error));
        Poll::Ready(chunk.flatten())
    }

    /// Fetches a chunk, if that is not being done. In a task: it is not to wait for the reader.
    fn fetch(&mut self, number: u64) -> &mut Fetching {
        let (rest, spare) = (&self.rest, &self.spare);
        self.next.get_or_insert_with(|| {
            let source = Arc::clone(&rest.source);
            Fetching(match spare {
                None => tokio::spawn(source.chunk(number)),
                Some(spare) => {
                    let (spare, length) = (Arc::clone(spare), rest.length);
                    tokio::spawn(async move { spare.chunk(source, number, length).await })
                }
            })
        })
    }

    /// All of them.
    pub(super) async fn all(mut self) -> Result<Bytes, StoreError> {
        let mut all = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| self.poll_piece(cx)).await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

// === impl Piece ===

impl Piece {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Piece::Here(data) => data.len() as u64,
            Piece::Coming(reading) => reading.left(),
        }
    }
}
