//! A second way to the bytes of a large body, for when the first comes to nothing in the middle.
//!
//! Where the body is kept it is known by prints of its chunks: so what comes from elsewhere goes out
//! only if it is the same, chunk by chunk, whatever those say who send it.

use std::{ops::Range, pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::{sync::Mutex, time::timeout};
use tower::BoxError;

use super::{
    StoreError,
    reading::{CHUNK, Source},
};

/// How long a chunk is waited for where it is kept, before it is asked for elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks elsewhere for the body, once.
pub(crate) type Again = Box<dyn FnOnce() -> Asking + Send>;

type Asking = Pin<Box<dyn Future<Output = Result<Elsewhere, StoreError>> + Send>>;

/// See the module. Several readings of one body share it, one after another.
pub(crate) struct Spare(Mutex<Ways>);

struct Ways {
    again: Option<Again>,
    elsewhere: Option<Elsewhere>,
}

/// A body that comes from elsewhere.
pub(crate) struct Elsewhere {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// How many of its bytes come before those that are kept.
    before: u64,
    /// How many of its bytes were passed.
    passed: u64,
    /// What came of it, and is yet to be passed.
    left: Bytes,
}

// === impl Spare ===

impl Spare {
    pub(crate) fn new(again: Again) -> Self {
        Spare(Mutex::new(Ways {
            again: Some(again),
            elsewhere: None,
        }))
    }

    /// The chunk of this number of a body of this length: from where it is kept, as long as that
    /// goes well.
    pub(super) async fn chunk(
        &self,
        source: Arc<dyn Source>,
        number: u64,
        length: u64,
    ) -> Result<Bytes, StoreError> {
        let Ways { again, elsewhere } = &mut *self.0.lock().await;
        if elsewhere.is_none() {
            let error = match timeout(PATIENCE, Arc::clone(&source).chunk(number)).await {
                Ok(Ok(chunk)) => return Ok(chunk),
                Ok(Err(error)) => error,
                Err(_) => StoreError::new("it takes too long to go on with a body"),
            };
            let again = again.take().ok_or(error)?;
            *elsewhere = Some(again().await?);
        }
        let Some(elsewhere) = elsewhere else {
            return Err(StoreError::new("a body is not to be had elsewhere"));
        };
        let begin = number * CHUNK;
        let chunk = elsewhere.read(begin..length.min(begin + CHUNK)).await?;
        if !source.is_chunk(number, &chunk) {
            return Err(StoreError::new("a body is another one elsewhere"));
        }
        Ok(chunk)
    }
}

// === impl Elsewhere ===

impl Elsewhere {
    /// `body` is all of it, and `before` how many of its bytes come before those that are kept.
    pub(crate) fn new(body: UnsyncBoxBody<Bytes, BoxError>, before: u64) -> Self {
        Elsewhere {
            body,
            before,
            passed: 0,
            left: Bytes::new(),
        }
    }

    /// These bytes of what is kept. Those before them are passed over.
    async fn read(&mut self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let place = |at: u64| self.before.saturating_add(at);
        let range = place(range.start)..place(range.end);
        if self.passed > range.start {
            return Err(StoreError::new("a body does not go back elsewhere"));
        }
        let mut read = BytesMut::with_capacity((range.end - range.start) as usize);
        while self.passed < range.end {
            let wanted = match range.start.checked_sub(self.passed) {
                None | Some(0) => range.end - self.passed,
                Some(skipped) => skipped,
            };
            let count = wanted.min(self.left.len() as u64) as usize;
            if count == 0 {
                self.left = self.receive().await?;
                continue;
            }
            if self.passed >= range.start {
                read.extend_from_slice(&self.left[..count]);
            }
            self.left.advance(count);
            self.passed += count as u64;
        }
        Ok(read.freeze())
    }

    async fn receive(&mut self) -> Result<Bytes, StoreError> {
        match self.body.frame().await {
            Some(Ok(frame)) => Ok(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => Err(StoreError::because("a body broke off elsewhere", error)),
            None => Err(StoreError::new("a body is shorter elsewhere")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::channel::Channel;

    use super::*;

    /// The bytes from 0 on, in frames of these lengths.
    async fn counting(frames: &[u8]) -> Elsewhere {
        let (mut sender, body) = Channel::new(frames.len());
        let mut next = 0;
        for length in frames {
            let frame: Vec<u8> = (next..next + length).collect();
            next += length;
            sender.send_data(frame.into()).await.unwrap();
        }
        Elsewhere::new(body.boxed_unsync(), 2)
    }

    #[tokio::test]
    async fn what_is_asked_for_is_read_and_what_is_before_it_passed_over() {
        for frames in [&[20][..], &[3, 0, 3, 3, 3, 3, 5], &[5, 5, 5, 5], &[1; 20]] {
            let mut body = counting(frames).await;
            assert_eq!(body.read(3..6).await.unwrap(), [5, 6, 7][..]);
            assert_eq!(body.read(6..7).await.unwrap(), [8][..]);
            assert_eq!(
                body.read(12..18).await.unwrap(),
                [14, 15, 16, 17, 18, 19][..]
            );
            body.read(17..18).await.unwrap_err();
            body.read(18..19).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_an_error() {
        let (mut sender, body) = Channel::new(2);
        sender
            .send_data(Bytes::from_static(b"12345"))
            .await
            .unwrap();
        sender.abort("it broke".into());
        let mut body = Elsewhere::new(body.boxed_unsync(), 0);
        assert_eq!(body.read(0..4).await.unwrap(), b"1234"[..]);
        body.read(4..8).await.unwrap_err();
    }
}
