//! Bodies on their way through, and into the store.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::support::script::{Larder, Script, get, respond, settle, streamed, told};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A script whose first answer is streamed by the sender, and the others are short.
fn streaming(
    fields: &'static [(&'static str, &'static str)],
) -> (
    http_body_util::channel::Sender<Bytes, tower::BoxError>,
    Script,
) {
    let (sender, res) = streamed(200, fields);
    let first = std::sync::Mutex::new(Some(res));
    let script = Script::at_once(move |n, _| match n {
        1 => first.lock().unwrap().take().unwrap(),
        _ => respond(200, &[FRESH], n.to_string()),
    });
    (sender, script)
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_go_out_before_the_last_have_come() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::new(script);
    let mut body = larder.send(get("/a", &[])).await.into_body();
    sender.send_data("one".into()).await.unwrap();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "one");
    sender.send_data("two".into()).await.unwrap();
    drop(sender);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, "onetwo");
}

#[tokio::test(start_paused = true)]
async fn trailers_are_passed_and_kept() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::new(script);
    let res = larder.send(get("/a", &[])).await;
    sender.send_data("x".into()).await.unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    for told in [told(res).await, larder.get("/a").await] {
        assert_eq!(told.body, "x");
        assert_eq!(told.trailers.unwrap()["x-sum"], "7");
    }
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_an_error_and_not_stored() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::new(script);
    let body = larder.send(get("/a", &[])).await.into_body();
    sender.send_data("half".into()).await.unwrap();
    sender.abort("gone".into());
    let error = body.collect().await.unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
    assert_eq!(larder.get("/a").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_shorter_than_its_length_is_an_error_and_not_stored() {
    let (mut sender, script) = streaming(&[FRESH, ("content-length", "10")]);
    let larder = Larder::new(script);
    let body = larder.send(get("/a", &[])).await.into_body();
    sender.send_data("half".into()).await.unwrap();
    drop(sender);
    assert!(body.collect().await.is_err());
    assert_eq!(larder.get("/a").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_does_not_end_the_fill() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::new(script);
    drop(larder.send(get("/a", &[])).await);
    sender.send_data("all of it".into()).await.unwrap();
    drop(sender);
    settle().await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, "all of it");
}

#[tokio::test(start_paused = true)]
async fn a_declared_length_over_the_limit_passes_unrecorded() {
    let script =
        Script::at_once(|_, _| respond(200, &[FRESH, ("content-length", "11")], "hello world"));
    let larder = Larder::built(script, |builder| builder.max_object(10));
    for _ in 0..2 {
        let told = larder.get("/a").await;
        assert_eq!((told.body.as_str(), told.is_hit()), ("hello world", false));
        assert_eq!(told.outcome.detail, Some("too-large"));
        assert!(!told.outcome.stored);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_grows_over_the_limit_reaches_its_readers_whole_and_is_held_in_part_only() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::built(script, |builder| builder.max_object(100_000));
    let (one, two) = tokio::join!(larder.send(get("/a", &[])), larder.send(get("/a", &[])));
    assert_eq!(larder.script.calls(), 1);
    let writer = tokio::spawn(async move {
        for n in 0..100u8 {
            sender
                .send_data(Bytes::from(vec![n; 50_000]))
                .await
                .unwrap();
        }
    });
    settle().await;
    assert!(
        !writer.is_finished(),
        "nobody reads, so the origin must wait"
    );
    let late = larder.get("/a").await;
    assert_eq!(late.body, "2", "who comes now fetches for itself");
    let (one, two) = tokio::join!(one.into_body().collect(), two.into_body().collect());
    for body in [one.unwrap().to_bytes(), two.unwrap().to_bytes()] {
        assert_eq!(body.len(), 5_000_000);
        assert!(
            body.chunks(50_000)
                .zip(0..)
                .all(|(piece, n)| piece.iter().all(|byte| *byte == n))
        );
    }
    writer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn fills_share_a_budget_and_pass_on_what_does_not_fit() {
    let script = Script::at_once(|_, _| respond(200, &[FRESH], vec![b'x'; 1000]));
    let larder = Larder::built(script, |builder| builder.max_in_flight(500));
    for calls in 1..=2 {
        assert_eq!(larder.get("/a").await.body.len(), 1000);
        assert_eq!(larder.script.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_does_not_stop_the_others_for_long() {
    let (mut sender, script) = streaming(&[FRESH]);
    let larder = Larder::built(script, |builder| builder.max_object(1000));
    let (stuck, reads) = tokio::join!(larder.send(get("/a", &[])), larder.send(get("/a", &[])));
    let writer = tokio::spawn(async move {
        for _ in 0..40 {
            sender
                .send_data(Bytes::from(vec![1; 50_000]))
                .await
                .unwrap();
        }
    });
    // Virtual time: the wait for the one who does not read passes at once.
    let all = tokio::time::timeout(Duration::from_secs(60), reads.into_body().collect()).await;
    assert_eq!(all.unwrap().unwrap().to_bytes().len(), 2_000_000);
    writer.await.unwrap();
    assert!(stuck.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_at_once_in_spite_of_its_length_is_not_stored() {
    let script = Script::at_once(|n, _| match n {
        1 => respond(200, &[FRESH, ("content-length", "10")], ""),
        _ => respond(200, &[FRESH], "whole"),
    });
    let larder = Larder::new(script);
    let cut = larder.send(get("/a", &[])).await.into_body();
    assert!(cut.collect().await.is_err());
    assert_eq!(larder.get("/a").await.body, "whole");
}
