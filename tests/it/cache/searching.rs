//! `No-Vary-Search`: one response for all queries that its origin calls the same.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Response;
use larder::{
    cache::{Manner, Purge},
    policy::Key,
    store::Store,
};
use tokio::time::advance;

use crate::support::script::{Body, Larder, Script, get, request, respond, settle, streamed, told};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

fn key(text: &str) -> Key {
    Key::parse(&format!("GET http://api.example{text}"))
}

fn says(n: usize, rule: Option<&str>) -> Response<Body> {
    let mut fields = vec![FRESH, ("cache-tag", "red"), ("etag", "\"1\"")];
    fields.extend(rule.map(|rule| ("no-vary-search", rule)));
    respond(200, &fields, n.to_string())
}

fn saying(rule: &'static str) -> Larder {
    Larder::new(Script::at_once(move |n, _| says(n, Some(rule))))
}

/// Whether `other` is answered by what was stored for `one`.
async fn shares(rule: &'static str, one: &str, other: &str) -> bool {
    let larder = saying(rule);
    larder.get(one).await;
    settle().await;
    assert!(larder.get(one).await.is_hit(), "{rule} {one}");
    larder.get(other).await.is_hit()
}

#[tokio::test(start_paused = true)]
async fn what_does_not_matter_is_not_looked_at() {
    for (rule, one, other) in [
        ("params", "/a?x=1", "/a?y"),
        ("params", "/a?x=1", "/a"),
        ("params", "/a", "/a?x=1"),
        ("params=(\"utm\")", "/a?x=1&utm=2", "/a?utm=3&x=1"),
        ("params=(\"utm\" \"ref\")", "/a?utm=1&ref", "/a?"),
        ("params, except=(\"id\")", "/a?id=1&x", "/a?y=2&%69d=1"),
        ("key-order", "/a?x=1&y=2", "/a?y=2&x=1"),
        (
            "key-order, params=(\"utm\")",
            "/a?x=1&utm&y=2",
            "/a?y=2&x=1",
        ),
    ] {
        assert!(shares(rule, one, other).await, "{rule} {one} {other}");
    }
    for (rule, one, other) in [
        ("params", "/a?x=1", "/b?x=1"),
        ("params=(\"utm\")", "/a?x=1&utm=2", "/a?x=2&utm=2"),
        ("params=(\"utm\")", "/a?x=1&y=2", "/a?y=2&x=1"),
        ("params, except=(\"id\")", "/a?id=1", "/a?id=2"),
        ("key-order", "/a?x=1&y=2", "/a?x=1"),
        ("key-order", "/a?x=1&x=2", "/a?x=2&x=1"),
        ("params=(utm)", "/a?utm=1", "/a?utm=2"),
        ("params=(\"utm\"), except=(\"x\")", "/a?utm=1", "/a?utm=2"),
        ("params=?0", "/a?utm=1", "/a?utm=2"),
    ] {
        assert!(!shares(rule, one, other).await, "{rule} {one} {other}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_fetch_for_all_once_the_rule_is_known() {
    let script = Script::new(|n, _| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        says(n, Some("params=(\"utm\")"))
    });
    let larder = Larder::new(script);
    larder.get("/a?utm=0&x=0").await;
    settle().await;
    let (one, two, other) = tokio::join!(
        larder.get("/a?x=1&utm=1"),
        larder.get("/a?x=1"),
        larder.get("/a?x=2"),
    );
    assert_eq!(one.body, two.body);
    assert_ne!(one.body, other.body);
    assert_eq!(larder.script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_purge_of_any_of_them_forgets_what_answers_it() {
    let purges = [
        Purge::Uri(key("/a?x=1&utm=3")),
        Purge::Uri(key("/a?x=1")),
        Purge::Below(key("/a")),
        Purge::Below(key("/")),
        Purge::Below(key("/a?x=")),
        Purge::Tag("red".into()),
        Purge::All,
    ];
    for purge in purges {
        let larder = saying("params=(\"utm\")");
        let handle = larder.layer.handle();
        larder.get("/a?x=1&utm=1").await;
        settle().await;
        let dry = handle.purge_by(&purge, Manner::Count).await.unwrap();
        assert_eq!(dry.count, 1, "{purge:?}");
        assert!(larder.get("/a?x=1&utm=2").await.is_hit(), "{purge:?}");
        let soft = handle.purge_by(&purge, Manner::Expire).await.unwrap();
        assert_eq!(soft.count, 1, "{purge:?}");
        assert!(!larder.get("/a?x=1&utm=2").await.is_hit(), "{purge:?}");
        settle().await;
        let gone = handle.purge_by(&purge, Manner::Forget).await.unwrap();
        assert_eq!(gone.count, 1, "{purge:?}");
        for path in ["/a?x=1&utm=1", "/a?x=1&utm=3"] {
            let miss = larder.get(path).await;
            assert_ne!(miss.body, "2", "{purge:?}");
            settle().await;
        }
    }
    let larder = saying("params=(\"utm\")");
    for (path, still) in [("/a?x=2", true), ("/b", true), ("/a?utm=9&x=1", false)] {
        larder.get("/a?x=1&utm=1").await;
        settle().await;
        larder.ask(request("POST", path, &[])).await;
        assert_eq!(larder.get("/a?x=1").await.is_hit(), still, "{path}");
    }
    larder.get("/a?x=1").await;
    settle().await;
    let handle = larder.layer.handle();
    assert!(handle.purge(&key("/a?x=1&utm")).await.unwrap());
    assert!(!handle.purge(&key("/a?x=1&utm")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_while_the_rule_was_forgotten_stays_purged() {
    let larder = saying("params=(\"utm\")");
    let handle = larder.layer.handle();
    larder.get("/a?x=1&utm=1").await;
    settle().await;
    // As a full store would.
    assert!(handle.store().remove(&key("/a#")).await.unwrap().any);
    handle.purge(&key("/a?x=1")).await.unwrap();
    larder.get("/a?x=2").await;
    settle().await;
    assert!(
        larder.get("/a?x=2&utm=2").await.is_hit(),
        "it is learned again"
    );
    assert_eq!(larder.get("/a?x=1&utm=1").await.body, "3");
}

#[tokio::test(start_paused = true)]
async fn the_newest_rule_holds() {
    let rules = [
        Some("params"),
        Some("params=(\"utm\")"),
        None,
        Some("params"),
    ];
    let larder = Larder::new(Script::at_once(move |n, _| {
        says(n, rules[(n - 1).min(rules.len() - 1)])
    }));
    let handle = larder.layer.handle();
    assert_eq!(larder.get("/a?x=1").await.body, "1");
    settle().await;
    assert_eq!(larder.get("/a?x=2").await.body, "1");
    handle.purge(&key("/a?x=1")).await.unwrap();
    assert_eq!(larder.get("/a?x=2").await.body, "2");
    settle().await;
    assert_eq!(larder.get("/a?x=2&utm").await.body, "2");
    assert_eq!(
        larder.get("/a?x=3").await.body,
        "3",
        "and takes back the older"
    );
    settle().await;
    assert_eq!(larder.get("/a?x=3").await.body, "3");
    assert_eq!(
        larder.get("/a?x=2&utm").await.body,
        "4",
        "there is no rule now"
    );
    settle().await;
    assert_eq!(larder.get("/a?x=5").await.body, "4");
    assert_eq!(
        larder.get("/a?x=3").await.body,
        "3",
        "what is exact is found first"
    );
}

#[tokio::test(start_paused = true)]
async fn followers_get_no_answer_by_a_rule_that_was_taken_back() {
    let script = Script::new(|n, _| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        says(n, (n == 1).then_some("params"))
    });
    let larder = Larder::new(script);
    larder.get("/a?x=0").await;
    settle().await;
    advance(Duration::from_secs(61)).await;
    let (one, two) = tokio::join!(larder.get("/a?x=1"), larder.get("/a?x=2"));
    assert_ne!(one.body, two.body);
}

#[tokio::test(start_paused = true)]
async fn it_goes_with_vary() {
    let fields = &[FRESH, ("vary", "accept"), ("no-vary-search", "params")];
    let larder = Larder::new(Script::numbered(fields));
    let ask = |path, accept| larder.ask(get(path, &[("accept", accept)]));
    assert_eq!(ask("/a?1", "x/a").await.body, "1");
    settle().await;
    assert_eq!(ask("/a?2", "x/b").await.body, "2");
    settle().await;
    assert_eq!(ask("/a?3", "x/a").await.body, "1");
    assert_eq!(ask("/a?4", "x/b").await.body, "2");
    let handle = larder.layer.handle();
    let purge = Purge::Uri(key("/a?5"));
    let purged = handle.purge_by(&purge, Manner::Forget).await.unwrap();
    assert_eq!(purged.count, 2);
    assert_eq!(ask("/a?3", "x/a").await.body, "3");
}

#[tokio::test(start_paused = true)]
async fn it_is_validated_and_lives_on() {
    let fields = &[FRESH, ("etag", "\"1\""), ("no-vary-search", "params")];
    let larder = Larder::new(Script::at_once(|_, req| {
        let known = req.headers.contains_key("if-none-match");
        respond(
            if known { 304 } else { 200 },
            fields,
            if known { "" } else { "x" },
        )
    }));
    larder.get("/a?1").await;
    for n in 0..3 {
        advance(Duration::from_secs(12 * 60 * 60)).await;
        let renewed = larder.get(&format!("/a?n={n}")).await;
        assert_eq!(
            renewed.outcome.forward_status.map(|status| status.as_u16()),
            Some(304)
        );
        assert!(larder.get(&format!("/a?m={n}")).await.is_hit());
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_a_purge_of_what_is_the_same() {
    let (mut sender, res) = streamed(200, &[FRESH, ("no-vary-search", "params")]);
    let first = Mutex::new(Some(res));
    let larder = Arc::new(Larder::new(Script::at_once(move |n, _| {
        let first = first.lock().unwrap().take();
        first.unwrap_or_else(|| says(n, Some("params")))
    })));
    let flying = larder.send(get("/a?x=1", &[])).await;
    larder.layer.handle().purge(&key("/a?x=2")).await.unwrap();
    assert_eq!(larder.get("/a?x=1").await.body, "2");
    sender.send_data("old".into()).await.unwrap();
    drop(sender);
    assert_eq!(told(flying).await.body, "old");
    settle().await;
    assert_eq!(larder.get("/a?x=3").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn its_key_is_shown() {
    let larder = Larder::built(
        Script::at_once(|n, _| says(n, Some("params=(\"utm\")"))),
        |builder| builder.debug_headers(true),
    );
    larder.get("/a?x=1&utm=1").await;
    settle().await;
    let one = larder.get("/a?x=1&utm=2").await.outcome.key.unwrap();
    let two = larder.get("/a?x=1").await.outcome.key.unwrap();
    assert_eq!(one, two);
    assert!(
        one.starts_with("GET http://api.example/a#") && one.ends_with("?x=1"),
        "{one}"
    );
}
