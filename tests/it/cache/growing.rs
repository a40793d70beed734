//! Ranges of a response that is still being received.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, channel::Sender};
use tower::BoxError;

use crate::support::script::{Body, Larder, Script, get, request, respond, settle, streamed, told};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"1\"");
const TEN: (&str, &str) = ("content-length", "10");

/// A fetch of the whole is under way, of which nothing but the head came. Whatever else is asked
/// of the origin is answered with `other`.
async fn growing(
    fields: &[(&str, &str)],
) -> (Sender<Bytes, BoxError>, Arc<Larder>, http::Response<Body>) {
    let (sender, res) = streamed(200, fields);
    let first = Mutex::new(Some(res));
    let script = Script::at_once(move |_, _| {
        let first = first.lock().unwrap().take();
        first.unwrap_or_else(|| respond(200, &[], "other"))
    });
    let larder = Arc::new(Larder::new(script));
    let whole = larder.send(get("/a", &[])).await;
    (sender, larder, whole)
}

async fn send(sender: &mut Sender<Bytes, BoxError>, data: &'static str) {
    sender.send_data(data.into()).await.unwrap();
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_range_is_answered_as_its_bytes_come_and_not_later() {
    let (mut sender, larder, _whole) = growing(&[FRESH, TAG, TEN]).await;
    let res = larder.send(get("/a", &[("range", "bytes=2-5")])).await;
    assert_eq!(res.status(), 206);
    assert_eq!(res.headers()["content-range"], "bytes 2-5/10");
    assert_eq!(res.headers()["content-length"], "4");
    assert_eq!(
        res.headers()["cache-status"],
        "larder; fwd=uri-miss; collapsed; ttl=60"
    );
    let mut body = res.into_body();
    send(&mut sender, "0123").await;
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "23"
    );
    assert!(!body.is_end_stream());
    send(&mut sender, "4567").await;
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "45"
    );
    assert!(body.is_end_stream(), "the rest is not waited for");
    assert!(body.frame().await.is_none());
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn for_a_range_of_all_bytes_the_whole_is_fetched_and_kept() {
    let script = Script::at_once(|_, req| {
        let ranged = req.headers.contains_key("range");
        let status = if ranged { 206 } else { 200 };
        respond(status, &[FRESH, TAG, TEN], "0123456789")
    });
    let larder = Larder::new(script);
    let all = larder.ask(get("/a", &[("range", "bytes=0-")])).await;
    assert_eq!(
        (all.status, all.header("content-range")),
        (206, "bytes 0-9/10")
    );
    assert_eq!(all.body, "0123456789");
    assert!(!larder.script.last().contains_key("range"));
    let part = larder.ask(get("/a", &[("range", "bytes=3-4")])).await;
    assert!(part.is_hit());
    assert_eq!(part.body, "34");
    // With a condition it may come to something else: that is the origin's to say.
    let fields = [("range", "bytes=0-"), ("if-range", "\"1\"")];
    larder.ask(get("/b", &fields)).await;
    assert_eq!(larder.script.last()["range"], "bytes=0-");
}

#[tokio::test(start_paused = true)]
async fn any_single_range_of_an_announced_length_is_told_at_once() {
    let (mut sender, larder, _whole) = growing(&[FRESH, TAG, TEN]).await;
    let ask = |fields: &'static [(&'static str, &'static str)]| {
        let (larder, fields) = (Arc::clone(&larder), fields);
        async move { larder.send(get("/a", fields)).await }
    };
    let cases: [(&[_], u16, &str); 7] = [
        (&[("range", "bytes=-3")], 206, "789"),
        (&[("range", "bytes=7-")], 206, "789"),
        (&[("range", "bytes=0-1,1-4")], 206, "01234"),
        (&[("range", "bytes=10-")], 416, ""),
        (&[("range", "bytes=0-0,9-9")], 200, "0123456789"),
        (&[("range", "bytes=3-4"), ("if-range", "\"1\"")], 206, "34"),
        (
            &[("range", "bytes=3-4"), ("if-range", "\"2\"")],
            200,
            "0123456789",
        ),
    ];
    let mut answers = Vec::new();
    for (fields, status, body) in cases {
        let res = ask(fields).await;
        assert_eq!(res.status(), status, "{fields:?}");
        answers.push((res, body));
    }
    send(&mut sender, "012345").await;
    send(&mut sender, "6789").await;
    drop(sender);
    for (res, body) in answers {
        assert_eq!(told(res).await.body, body);
    }
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_range_of_what_breaks_off_is_an_error() {
    let (mut sender, larder, _whole) = growing(&[FRESH, TAG, TEN]).await;
    let near = larder.send(get("/a", &[("range", "bytes=0-2")])).await;
    let far = larder.send(get("/a", &[("range", "bytes=2-8")])).await;
    send(&mut sender, "0123").await;
    sender.abort("gone".into());
    assert_eq!(told(near).await.body, "012", "all of this came");
    assert!(far.into_body().collect().await.is_err());
    settle().await;
    assert_eq!(larder.get("/a").await.body, "other");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_knows_the_length_a_range_is_fetched_by_itself() {
    let (_sender, larder, _whole) = growing(&[FRESH, TAG]).await;
    let res = larder.ask(get("/a", &[("range", "bytes=2-5")])).await;
    assert_eq!((res.status, res.body.as_str()), (200, "other"));
    assert_eq!(larder.script.last()["range"], "bytes=2-5");
}

#[tokio::test(start_paused = true)]
async fn ranges_never_lead_and_do_not_wait_for_each_other() {
    let (_sender, larder, part) = {
        let (sender, res) = streamed(206, &[FRESH, TAG, ("content-range", "bytes 0-1/10")]);
        let first = Mutex::new(Some(res));
        let script = Script::at_once(move |_, _| {
            let first = first.lock().unwrap().take();
            first.unwrap_or_else(|| respond(200, &[FRESH, TAG], "0123456789"))
        });
        let larder = Larder::new(script);
        let part = larder.send(get("/a", &[("range", "bytes=0-1")])).await;
        (sender, larder, part)
    };
    assert_eq!(part.status(), 206);
    assert_eq!(larder.get("/a").await.body, "0123456789");
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_validates_for_a_range_gets_it_from_the_new_whole_as_it_comes() {
    let (sender, res) = streamed(200, &[FRESH, ("etag", "\"2\""), TEN, ("set-cookie", "a=1")]);
    let second = Mutex::new(Some(res));
    let public = ("cache-control", "public, max-age=60");
    let script = Script::at_once(move |n, _| match n {
        1 => respond(200, &[public, TAG], "old"),
        _ => {
            let mut res = second.lock().unwrap().take().unwrap();
            let shared = http::HeaderValue::from_static("public, max-age=60");
            res.headers_mut().insert("cache-control", shared);
            res
        }
    });
    let larder = Larder::new(script);
    larder.get("/a").await;
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let res = larder.send(get("/a", &[("range", "bytes=1-2")])).await;
    assert_eq!(res.status(), 206);
    assert_eq!(res.headers()["content-range"], "bytes 1-2/10");
    assert_eq!(res.headers()["set-cookie"], "a=1", "it is for this client");
    let mut sender = sender;
    send(&mut sender, "0123456789").await;
    drop(sender);
    assert_eq!(told(res).await.body, "12");
    settle().await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, "0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_head_does_not_read_along() {
    let (_sender, larder, _whole) = growing(&[FRESH, TAG, TEN]).await;
    larder
        .ask(request("HEAD", "/a", &[("range", "bytes=1-2")]))
        .await;
    assert_eq!(larder.script.calls(), 2);
}
