//! What the origin's answer makes of a stored response that it does not freshen.

use std::time::Duration;

use tokio::time::advance;

use crate::support::script::{Larder, Script, get, request, respond, settle, uncopied};

const OLD: [(&str, &str); 2] = [
    (
        "cache-control",
        "max-age=60, stale-if-error=600, stale-while-revalidate=20",
    ),
    ("etag", "\"old\""),
];

/// Answers with `OLD` first, then with this, then with 503; the old response has gone stale.
async fn then(status: u16, fields: &'static [(&'static str, &'static str)]) -> Larder {
    let larder = Larder::new(Script::at_once(move |n, _| match n {
        1 => respond(200, &OLD, "old"),
        2 => respond(status, fields, "new"),
        _ => respond(503, &[], "failed"),
    }));
    larder.get("/a").await;
    settle().await;
    larder
}

#[tokio::test(start_paused = true)]
async fn what_has_become_something_else_does_not_come_back() {
    for (status, fields) in [
        (200, &[("cache-control", "no-store")][..]),
        (200, &[("cache-control", "private")]),
        (200, &[("set-cookie", "a=b")]),
        (302, &[]),
        (403, &[]),
        (404, &[]),
        (410, &[("cache-control", "no-store")]),
    ] {
        let larder = then(status, fields).await;
        advance(Duration::from_secs(100)).await;
        let new = larder.get("/a").await;
        assert_eq!((new.status, new.body.as_str()), (status, "new"));
        assert_eq!(larder.get("/a").await.status, 503, "{status} {fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_tells_nothing_of_the_resource_leaves_what_is_stored() {
    for (status, method, fields) in [
        (400, "GET", &[][..]),
        (408, "GET", &[]),
        (429, "GET", &[]),
        (206, "GET", &[]),
        (404, "HEAD", &[]),
        (404, "GET", &[("cookie", "a=b")]),
        (200, "GET", &[("authorization", "Basic YTpi")]),
    ] {
        let larder = then(status, &[("cache-control", "no-store")]).await;
        advance(Duration::from_secs(100)).await;
        let told = larder.ask(request(method, "/a", fields)).await;
        assert_eq!(told.status, status);
        let instead = larder.get("/a").await;
        assert_eq!((instead.status, instead.body.as_str()), (200, "old"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_behind_the_back_displaces_too() {
    let larder = then(410, &[("cache-control", "no-store")]).await;
    advance(Duration::from_secs(70)).await;
    assert_eq!(larder.get("/a").await.body, "old");
    settle().await;
    assert_eq!(larder.get("/a").await.status, 503);
    assert_eq!(larder.script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_too_large_displaces_too() {
    let script = Script::at_once(|n, _| match n {
        1 => respond(200, &OLD, "old"),
        2 => {
            let (sender, res) = crate::support::script::streamed(200, &OLD);
            tokio::spawn(async move {
                let mut sender = sender;
                sender.send_data("much too much".into()).await.unwrap();
            });
            res
        }
        _ => respond(503, &[], ""),
    });
    let larder = Larder::built(script, |builder| builder.max_object(5));
    larder.get("/a").await;
    settle().await;
    advance(Duration::from_secs(100)).await;
    assert_eq!(larder.get("/a").await.body, "much too much");
    settle().await;
    assert_eq!(larder.get("/a").await.status, 503);
}

/// Answers a condition with a 304 about another response, and all else with what there is now.
fn refuting(directives: &'static str) -> Larder {
    Larder::new(Script::at_once(move |n, req| {
        match req.headers.contains_key("if-none-match") {
            true => respond(304, &[("etag", "\"new\"")], ""),
            false if n == 1 => {
                let fields = [("cache-control", directives), ("etag", "\"old\"")];
                respond(200, &fields, "old")
            }
            false => respond(200, &[("etag", "\"new\""), OLD[0]], "new"),
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn what_a_304_refutes_is_asked_for_anew() {
    for directives in ["max-age=60", "max-age=60, must-revalidate"] {
        let larder = refuting(directives);
        larder.get("/a").await;
        settle().await;
        advance(Duration::from_secs(100)).await;
        let (one, two) = tokio::join!(larder.get("/a"), larder.get("/a"));
        assert_eq!((one.body.as_str(), two.body.as_str()), ("new", "new"));
        assert_eq!(larder.script.calls(), 3);
        settle().await;
        assert!(larder.get("/a").await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refuted_and_cannot_be_asked_for_anew_is_served_only_if_it_may_be_stale() {
    for (directives, status, body) in [
        ("max-age=60", 200, "old"),
        ("max-age=60, must-revalidate", 502, ""),
    ] {
        let larder = refuting(directives);
        larder.get("/a").await;
        settle().await;
        advance(Duration::from_secs(100)).await;
        let told = larder.ask(uncopied("/a")).await;
        assert_eq!((told.status, told.body.as_str()), (status, body));
        assert_eq!(larder.ask(uncopied("/a")).await.body, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_to_who_brings_credentials_leaves_what_is_stored() {
    for field in [("cookie", "a=b"), ("authorization", "Basic YTpi")] {
        let larder = Larder::new(Script::at_once(|_, req| {
            let fields = [("cache-control", "max-age=60"), ("etag", "\"old\"")];
            match req.headers.contains_key("if-none-match") {
                true => respond(304, &fields, ""),
                false => respond(200, &fields, "old"),
            }
        }));
        larder.get("/a").await;
        settle().await;
        advance(Duration::from_secs(100)).await;
        let own = larder.ask(get("/a", &[field])).await;
        let told = own.header("cache-status");
        assert!(told.contains("fwd-status=304") && !told.contains("stored"));
        let others = larder.get("/a").await;
        assert!(
            others
                .header("cache-status")
                .contains("fwd-status=304; stored")
        );
        assert_eq!((own.body.as_str(), others.body.as_str()), ("old", "old"));
    }
}
