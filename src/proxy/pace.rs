//! Whether a client takes what it asked for, where many answers share a connection.
//!
//! A client of HTTP/2 says of each stream how much it takes, and may take nothing of one while it
//! reads what comes on others, or answers pings: the connection itself shows nothing of it, as it
//! does in HTTP/1. But hyper asks for the next piece of a body only when there is room for it. So
//! a piece that was given, and after which no other was asked for, waits for its client.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::sleep;

/// What a connection sends, at least, while its client takes anything. Pings are less.
const LITTLE: usize = 1024;

/// How the bodies on one connection go on. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Pieces that were given.
    given: AtomicUsize,
    /// Bodies whose last piece waits for the client.
    waiting: AtomicUsize,
    /// Bytes that the connection sent, and those of pieces that it was given.
    sent: AtomicUsize,
    owed: AtomicUsize,
}

pin_project! {
    /// A body that keeps its pace, where it has one.
    #[derive(Debug)]
    pub(super) struct Paced<B> {
        #[pin]
        inner: B,
        piece: Option<Piece>,
    }
}

/// The last piece of one body.
#[derive(Debug)]
struct Piece {
    pace: Pace,
    waits: bool,
}

// === impl Pace ===

impl Pace {
    /// The connection has sent so many bytes more.
    pub(super) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes were given to be sent.
    pub(super) fn gave(&self, bytes: usize) {
        self.0.owed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether not all was sent that was given. With each piece, more is sent than that.
    pub(super) fn owes(&self) -> bool {
        self.0.owed.load(Ordering::Relaxed) > self.0.sent.load(Ordering::Relaxed)
    }

    /// Until, for so long, bodies waited for the client, none went on, and little was sent.
    pub(super) async fn stalled(&self, time: Duration) {
        let given = || self.0.given.load(Ordering::Relaxed);
        loop {
            let before = given();
            self.ceased(time).await;
            if before == given() && self.0.waiting.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }

    /// Until, for so long, little was sent.
    pub(super) async fn ceased(&self, time: Duration) {
        let sent = || self.0.sent.load(Ordering::Relaxed);
        loop {
            let before = sent();
            sleep(time).await;
            if sent().wrapping_sub(before) < LITTLE {
                return;
            }
        }
    }
}

// === impl Paced ===

impl<B> Paced<B> {
    pub(super) fn new(inner: B, pace: Option<Pace>) -> Self {
        let piece = pace.map(|pace| Piece { pace, waits: false });
        Paced { inner, piece }
    }
}

impl<B: Body<Data = Bytes>> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(piece) = this.piece {
            piece.went();
        }
        let polled = this.inner.poll_frame(cx);
        if let (Some(piece), Poll::Ready(Some(Ok(frame)))) = (this.piece, &polled) {
            piece.given();
            piece.pace.gave(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

// === impl Piece ===

impl Piece {
    fn given(&mut self) {
        self.waits = true;
        self.pace.0.given.fetch_add(1, Ordering::Relaxed);
        self.pace.0.waiting.fetch_add(1, Ordering::Relaxed);
    }

    fn went(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.pace.0.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.went();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, channel::Channel};
    use tokio::time::timeout;

    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    async fn is_over(waiting: impl Future<Output = ()>) -> bool {
        timeout(2 * TIME + Duration::from_secs(1), waiting)
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_after_which_none_is_asked_for_waits() {
        let pace = Pace::default();
        let (mut sender, body) = Channel::<Bytes>::new(9);
        for _ in 0..9 {
            sender.send_data(Bytes::from("x")).await.unwrap();
        }
        drop(sender);
        let mut body = Paced::new(body, Some(pace.clone()));
        assert!(
            !is_over(pace.stalled(TIME)).await,
            "for what was never given"
        );
        body.frame().await.unwrap().unwrap();
        assert!(is_over(pace.stalled(TIME)).await);
        // As long as it goes on, it may be slow.
        let mut stalled = Box::pin(pace.stalled(TIME));
        for _ in 0..8 {
            assert!(timeout(TIME / 2, &mut stalled).await.is_err());
            body.frame().await.unwrap().unwrap();
        }
        // There is nothing more, and that is not the client's doing.
        assert!(body.frame().await.is_none());
        assert!(!is_over(pace.stalled(TIME)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_waits_for_nobody() {
        let pace = Pace::default();
        let full = http_body_util::Full::new(Bytes::from("x"));
        let mut body = Paced::new(full, Some(pace.clone()));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(!is_over(pace.stalled(TIME)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_piece_by_piece_has_not_ceased() {
        let pace = Pace::default();
        let mut ceased = Box::pin(pace.ceased(TIME));
        for _ in 0..4 {
            assert!(timeout(TIME / 2, &mut ceased).await.is_err());
            pace.sent(LITTLE);
        }
        pace.sent(17);
        assert!(is_over(ceased).await);
    }
}
