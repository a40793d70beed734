//! What POST and HEAD do to the answers to GET.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::advance;

use crate::support::script::{Larder, Script, request, respond, settle, streamed, told};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const HERE: (&str, &str) = ("content-location", "/a");

/// A larder whose POST is answered with these fields, and anything else with "got".
fn posting(fields: &'static [(&'static str, &'static str)]) -> Larder {
    Larder::new(Script::at_once(move |_, req| match req.method.as_str() {
        "POST" => respond(200, fields, "posted"),
        _ => respond(200, &[FRESH], "got"),
    }))
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_that_is_the_targets_own_answers_gets() {
    let larder = posting(&[FRESH, HERE]);
    assert_eq!(larder.get("/a").await.body, "got");
    let posted = larder.ask(request("POST", "/a", &[])).await;
    assert_eq!(posted.body, "posted");
    assert_eq!(
        posted.header("cache-status"),
        "larder; fwd=method; stored; ttl=60"
    );
    settle().await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.body, "posted");
    // Never the other way round, and each for itself.
    larder.ask(request("POST", "/a", &[])).await;
    assert_eq!(larder.script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn any_other_answer_to_a_post_only_invalidates() {
    for fields in [
        &[FRESH][..],
        &[HERE],
        &[FRESH, ("content-location", "/b")],
        &[HERE, ("cache-control", "max-age=60, no-store")],
        &[HERE, FRESH, ("set-cookie", "a=b")],
    ] {
        let larder = posting(fields);
        larder.get("/a").await;
        let posted = larder.ask(request("POST", "/a", &[])).await;
        assert_eq!(posted.header("cache-status"), "larder; fwd=method");
        settle().await;
        assert_eq!(larder.get("/a").await.body, "got", "{fields:?}");
        assert_eq!(larder.script.calls(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_is_not_stored_across_another_change() {
    let (mut sender, res) = streamed(200, &[FRESH, HERE]);
    let first = Mutex::new(Some(res));
    let larder = Arc::new(Larder::new(Script::at_once(move |_, req| {
        match req.method.as_str() {
            "POST" => first.lock().unwrap().take().unwrap(),
            "GET" => respond(200, &[FRESH], "changed"),
            _ => respond(204, &[], ""),
        }
    })));
    let posting = larder.send(request("POST", "/a", &[])).await;
    larder.ask(request("PUT", "/a", &[])).await;
    sender.send_data("posted".into()).await.unwrap();
    drop(sender);
    assert_eq!(told(posting).await.body, "posted");
    settle().await;
    assert_eq!(larder.get("/a").await.body, "changed");
}

/// What a GET brings after the stored response went stale and a HEAD was answered with this.
async fn after_head(
    stored: &'static [(&'static str, &'static str)],
    status: u16,
    news: &'static [(&'static str, &'static str)],
) -> (Larder, bool) {
    let larder = Larder::new(Script::at_once(move |n, req| match n {
        1 => respond(200, stored, "stored"),
        2 => {
            assert_eq!(req.method, "HEAD");
            respond(status, news, "")
        }
        _ => respond(200, &[FRESH], "anew"),
    }));
    larder.get("/a").await;
    advance(Duration::from_secs(61)).await;
    larder.ask(request("HEAD", "/a", &[])).await;
    let hit = larder.get("/a").await.is_hit();
    (larder, hit)
}

const TAG: (&str, &str) = ("etag", "\"1\"");
const OTHER_TAG: (&str, &str) = ("etag", "\"2\"");
const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");

#[tokio::test(start_paused = true)]
async fn a_head_freshens_what_is_stored() {
    for (status, news) in [
        (
            200,
            &[FRESH, TAG, ("content-length", "6"), ("x-new", "1")][..],
        ),
        (200, &[FRESH, ("x-new", "1")]),
        (304, &[FRESH, TAG, ("x-new", "1")]),
    ] {
        let (larder, hit) = after_head(&[FRESH, TAG, ("x-kept", "1")], status, news).await;
        assert!(hit, "{status} {news:?}");
        let got = larder.get("/a").await;
        assert_eq!((got.body.as_str(), got.header("x-new")), ("stored", "1"));
        assert_eq!(got.header("x-kept"), "1");
        assert_eq!(larder.script.calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_tells_of_another_representation_ends_the_stored_one() {
    for (stored, news) in [
        (&[FRESH, TAG][..], &[FRESH, OTHER_TAG][..]),
        (&[FRESH, TAG], &[FRESH, TAG, ("content-length", "7")]),
        (&[FRESH, TAG], &[FRESH, TAG, MODIFIED]),
        (&[FRESH, MODIFIED], &[FRESH, TAG, MODIFIED]),
    ] {
        let (larder, hit) = after_head(stored, 200, news).await;
        assert!(!hit, "{news:?}");
        assert!(!larder.script.last().contains_key("if-none-match"));
        assert_eq!(larder.get("/a").await.body, "anew");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_is_answered_as_the_origin_says_where_it_differs() {
    let larder = Larder::new(Script::at_once(|n, _| match n {
        1 => respond(200, &[FRESH, TAG], "stored"),
        _ => respond(200, &[FRESH, OTHER_TAG, ("content-length", "3")], ""),
    }));
    larder.get("/a").await;
    let reload = [("cache-control", "no-cache")];
    let head = larder.ask(request("HEAD", "/a", &reload)).await;
    assert_eq!(head.header("etag"), "\"2\"");
    assert_eq!(head.header("content-length"), "3");
}
