//! Tests of recordings.

use std::{future::poll_fn, pin::pin, time::Duration};

use super::*;
use crate::{
    cache::flight::{Flights, Follow, Lead, Seat},
    clock::Clock,
    policy::Key,
};

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, Interrupted>> {
        let frame = poll_fn(|cx| self.poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().expect("data")))
    }

    async fn rest(&mut self) -> Result<Vec<u8>, Interrupted> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }
}

/// A recording that nobody waits for.
fn record(length: Option<u64>) -> (Recorder, Recording) {
    super::record(length, Followers::default())
}

/// A flight, and so many who follow.
fn flight(followers: usize) -> (Lead<()>, Vec<Follow<()>>) {
    let (flights, key) = (Flights::new(), Key::parse("GET http://a/"));
    let Seat::Lead(lead) = flights.board(&key, 0) else {
        panic!("nobody leads yet");
    };
    let follow = |_| flights.follow(&key, 0).expect("somebody leads");
    (lead, (0..followers).map(follow).collect())
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn readers_get_all_whenever_they_join() {
    let (recorder, recording) = record(Some(6));
    let mut early = recording.reader().unwrap();
    recorder.write(bytes("abc"));
    assert_eq!(early.next().await.unwrap().unwrap(), "abc");
    assert_eq!(early.size_hint().exact(), Some(3));
    assert!(!early.is_end_stream());
    let mut middle = recording.reader().unwrap();
    assert_eq!(recorder.collect(&mut Some(bytes("d"))).unwrap(), "abcd");
    recorder.finish(Some(bytes("def")), None);
    let mut late = recording.reader().unwrap();
    assert_eq!(early.rest().await.unwrap(), b"def");
    assert!(early.is_end_stream());
    assert_eq!(middle.rest().await.unwrap(), b"abcdef");
    assert_eq!(late.rest().await.unwrap(), b"abcdef");
}

#[tokio::test(start_paused = true)]
async fn each_has_its_first_piece_before_any_has_its_second() {
    let (lead, followers) = flight(3);
    let (recorder, recording) = super::record(None, lead.followers().clone());
    let told = Arc::new(Mutex::new(String::new()));
    let mut all = tokio::task::JoinSet::new();
    let mut read = |mut reader: Reader, follow: Option<Follow<()>>| {
        let told = Arc::clone(&told);
        all.spawn(async move {
            if let Some(follow) = follow {
                follow.landing().await;
            }
            // Who gets nothing asks once more at once, as hyper does.
            let mut next = async || {
                poll_fn(|cx| match reader.poll_frame(cx) {
                    Poll::Pending => reader.poll_frame(cx),
                    ready => ready,
                })
                .await
            };
            while let Some(frame) = next().await {
                let piece = frame.unwrap().into_data().unwrap();
                told.lock()
                    .unwrap()
                    .push_str(str::from_utf8(&piece).unwrap());
            }
        });
    };
    recorder.write(bytes("a"));
    recorder.write(bytes("b"));
    recorder.finish(None, None);
    read(recording.reader().unwrap(), None);
    for follow in followers {
        read(recording.reader().unwrap(), Some(follow));
    }
    lead.announce(());
    let start = Clock::system().instant();
    all.join_all().await;
    assert_eq!(*told.lock().unwrap(), "aaaabbbb");
    assert!(start.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wake_up_is_not_waited_for_for_long() {
    let (lead, _asleep) = flight(1);
    let (recorder, recording) = super::record(None, lead.followers().clone());
    let mut reader = recording.reader().unwrap();
    for piece in ["a", "b", "c"] {
        recorder.write(bytes(piece));
    }
    lead.announce(());
    let start = Clock::system().instant();
    for (piece, waited) in [("a", 0), ("b", 50), ("c", 50)] {
        assert_eq!(reader.next().await.unwrap().unwrap(), piece);
        let waited = Duration::from_millis(waited);
        let more = start.elapsed() - waited;
        assert!(more < Duration::from_millis(5), "{more:?}");
    }
}

#[tokio::test]
async fn a_large_first_piece_is_told_in_two() {
    let (recorder, recording) = record(None);
    let mut reader = recording.reader().unwrap();
    let _another = recording.reader().unwrap();
    recorder.finish(Some(Bytes::from(vec![b'x'; 3 * FIRST])), None);
    assert_eq!(reader.next().await.unwrap().unwrap().len(), FIRST);
    assert_eq!(reader.next().await.unwrap().unwrap().len(), 2 * FIRST);
    assert!(reader.is_end_stream());
}

#[tokio::test]
async fn what_was_collected_is_in_memory_once() {
    let (recorder, recording) = record(None);
    let mut slow = recording.reader().unwrap();
    recorder.write(bytes("abc"));
    recorder.write(bytes("de"));
    let mut last = Some(bytes("f"));
    let whole = recorder.collect(&mut last).unwrap();
    recorder.finish(last, None);
    for piece in ["abc", "de", "f"] {
        let read = slow.next().await.unwrap().unwrap();
        assert_eq!(read, piece);
        assert!(whole.as_ptr_range().contains(&read.as_ptr()), "{piece}");
    }
    assert!(slow.is_end_stream());
}

#[tokio::test]
async fn a_writer_that_is_dropped_has_failed() {
    let (recorder, recording) = record(None);
    let mut reader = recording.reader().unwrap();
    recorder.write(bytes("abc"));
    drop(recorder);
    assert!(reader.rest().await.is_err());
    assert!(!reader.is_end_stream());
    assert!(recording.reader().is_none());
}

#[tokio::test]
async fn trailers_come_once_and_last() {
    let (recorder, recording) = record(None);
    let mut reader = recording.reader().unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    recorder.finish(Some(bytes("a")), Some(Arc::new(trailers.clone())));
    assert_eq!(reader.next().await.unwrap().unwrap(), "a");
    assert!(!reader.is_end_stream());
    assert_eq!(reader.size_hint().exact(), None);
    let frame = poll_fn(|cx| reader.poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers);
    assert!(reader.is_end_stream());
    assert!(poll_fn(|cx| reader.poll_frame(cx)).await.is_none());
}

#[tokio::test]
async fn in_passing_the_writer_waits_for_the_slowest_and_holds_little() {
    let (recorder, recording) = record(None);
    let mut fast = recording.reader().unwrap();
    let mut slow = recording.reader().unwrap();
    recorder.write(bytes("first"));
    for reader in [&mut fast, &mut slow] {
        assert_eq!(reader.next().await.unwrap().unwrap(), "first");
    }
    recorder.write(Bytes::from(vec![7; WINDOW as usize]));
    recorder.stop_keeping();
    assert!(recording.reader().is_none());
    assert!(recorder.collect(&mut None).is_none());
    fast.next().await.unwrap().unwrap();

    let mut room = pin!(recorder.room());
    assert!(poll_fn(|cx| Poll::Ready(room.as_mut().poll(cx).is_pending())).await);
    slow.next().await.unwrap().unwrap();
    assert!(room.await);
    assert_eq!(recorder.0.lock().held, 0);
    drop((fast, slow));
    assert!(!recorder.room().await);
}

#[tokio::test]
async fn who_holds_up_others_is_cut_off_and_a_single_reader_never() {
    let (recorder, recording) = record(None);
    let mut fast = recording.reader().unwrap();
    recorder.write(Bytes::from(vec![7; FIRST]));
    recorder.stop_keeping();
    recorder.cut_slowest();
    assert_eq!(fast.next().await.unwrap().unwrap().len(), FIRST);

    let (recorder, recording) = record(None);
    let mut fast = recording.reader().unwrap();
    let mut slow = recording.reader().unwrap();
    recorder.write(Bytes::from(vec![7; WINDOW as usize]));
    recorder.stop_keeping();
    for _ in 0..2 {
        fast.next().await.unwrap().unwrap();
    }
    recorder.cut_slowest();
    assert!(recorder.room().await);
    assert!(slow.next().await.unwrap().is_err());
    recorder.finish(Some(bytes("end")), None);
    assert_eq!(fast.rest().await.unwrap(), b"end");
}

#[tokio::test]
async fn a_reader_of_some_bytes_ends_with_the_last_of_them_and_holds_up_nobody() {
    let (recorder, recording) = record(Some(9));
    let mut whole = recording.reader().unwrap();
    let mut some = recording.reader().unwrap().only(2..5);
    assert_eq!(some.size_hint().exact(), Some(3));
    recorder.write(bytes("a"));
    recorder.write(bytes("bcd"));
    assert_eq!(some.next().await.unwrap().unwrap(), "cd");
    assert_eq!(some.size_hint().exact(), Some(1));
    assert!(!some.is_end_stream());
    recorder.write(bytes("efg"));
    assert_eq!(some.next().await.unwrap().unwrap(), "e");
    assert!(some.is_end_stream());
    assert!(some.next().await.is_none());
    recorder.stop_keeping();
    whole.next().await.unwrap().unwrap();
    whole.next().await.unwrap().unwrap();
    whole.next().await.unwrap().unwrap();
    assert_eq!(recorder.0.lock().held, 0);
    drop(whole);
    assert!(
        !recorder.room().await,
        "who has all that it wants reads no more"
    );
    drop(recorder);
    assert!(
        some.next().await.is_none(),
        "what breaks off later is not its concern"
    );
}
