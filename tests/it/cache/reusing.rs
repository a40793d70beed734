//! What is answered from the store, and how.

use std::time::Duration;

use larder::policy::Policy;
use tokio::time::advance;

use crate::support::script::{Larder, Script, get, request, respond, settle};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"v1\"")];

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn a_fresh_response_is_a_hit_with_its_age() {
    let larder = Larder::new(Script::numbered(FRESH));
    let first = larder.get("/a").await;
    assert!(!first.is_hit());
    assert_eq!(
        first.header("cache-status"),
        "larder; fwd=uri-miss; stored; ttl=60"
    );
    advance(secs(7)).await;
    let second = larder.get("/a").await;
    assert!(second.is_hit());
    assert_eq!((second.body.as_str(), second.header("age")), ("1", "7"));
    assert_eq!(second.header("cache-status"), "larder; hit; ttl=53");
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_accepts_a_stale_response_gets_it_without_a_validator_too() {
    let larder = Larder::new(Script::numbered(&[("cache-control", "max-age=60")]));
    larder.get("/a").await;
    advance(secs(80)).await;
    let accepting = |line| get("/a", &[("cache-control", line)]);
    let told = larder.ask(accepting("max-stale=30")).await;
    assert!(told.is_hit());
    assert_eq!(told.header("cache-status"), "larder; hit; ttl=-20");
    assert!(!larder.ask(accepting("max-stale=10")).await.is_hit());
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn key_parts_are_all_told_apart() {
    let larder = Larder::new(Script::numbered(FRESH));
    let one = larder.get("/a?x=1").await;
    let two = larder.get("/a?x=2").await;
    let other_host = larder
        .ask(http::Request::from_parts(
            {
                let (mut parts, _) = get("/a?x=1", &[]).into_parts();
                parts
                    .headers
                    .insert("host", "other.example".parse().unwrap());
                parts
            },
            get("/", &[]).into_body(),
        ))
        .await;
    let other_scheme = larder.get("https://api.example/a?x=1").await;
    let same = larder.get("http://API.example:80/a?x=1").await;
    let bodies = [
        one.body,
        two.body,
        other_host.body,
        other_scheme.body,
        same.body,
    ];
    assert_eq!(bodies, ["1", "2", "3", "4", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_response_is_validated_and_keeps_its_body() {
    let larder = Larder::new(Script::at_once(|n, req| match n {
        1 => respond(200, FRESH, "body"),
        _ => {
            assert_eq!(req.headers["if-none-match"], "\"v1\"");
            respond(
                304,
                &[
                    ("etag", "\"v1\""),
                    ("cache-control", "max-age=30"),
                    ("x-new", "1"),
                ],
                "",
            )
        }
    }));
    larder.get("/a").await;
    advance(secs(61)).await;
    let validated = larder.get("/a").await;
    assert!(!validated.is_hit(), "the origin was asked");
    assert_eq!(validated.status, 200);
    assert_eq!(validated.body, "body");
    assert_eq!(validated.header("x-new"), "1");
    let status = validated.header("cache-status");
    assert!(
        status.starts_with("larder; fwd=stale; fwd-status=304; stored; ttl=30"),
        "{status}"
    );
    advance(secs(29)).await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert_eq!((hit.body.as_str(), hit.header("x-new")), ("body", "1"));
    advance(secs(1)).await;
    assert!(!larder.get("/a").await.is_hit());
    assert_eq!(larder.script.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_conditions_are_answered_from_the_store() {
    let larder = Larder::new(Script::numbered(FRESH));
    let cold = larder.ask(get("/a", &[("if-none-match", "\"v1\"")])).await;
    assert_eq!((cold.status, cold.body.as_str()), (304, ""));
    assert!(
        !larder.script.last().contains_key("if-none-match"),
        "fetched whole, for the store"
    );
    settle().await; // the rest is fetched for the store, and not for this client
    let full = larder.get("/a").await;
    assert!(full.is_hit());
    assert_eq!(full.body, "1");
    let warm = larder
        .ask(get("/a", &[("if-none-match", "\"v0\", W/\"v1\"")]))
        .await;
    assert_eq!((warm.status, warm.header("etag")), (304, "\"v1\""));
    assert!(warm.is_hit());
    let other = larder.ask(get("/a", &[("if-none-match", "\"v2\"")])).await;
    assert_eq!(other.status, 200);
    let failed = larder.ask(get("/a", &[("if-match", "\"v2\"")])).await;
    assert_eq!(failed.status, 412);
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_from_get_and_never_the_other_way() {
    let larder = Larder::new(Script::at_once(|n, req| {
        let body = if req.method == "HEAD" {
            String::new()
        } else {
            format!("body {n}")
        };
        respond(200, FRESH, body)
    }));
    larder.ask(request("HEAD", "/a", &[])).await;
    let get = larder.get("/a").await;
    assert_eq!(get.body, "body 2");
    let head = larder.ask(request("HEAD", "/a", &[])).await;
    assert!(head.is_hit());
    assert_eq!(
        (head.body.as_str(), head.header("content-length")),
        ("", "6")
    );
}

#[tokio::test(start_paused = true)]
async fn ranges_come_from_the_stored_whole_and_parts_are_not_taken_for_it() {
    let larder = Larder::new(Script::at_once(|n, req| match n {
        1 => respond(
            206,
            &[
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 0-3/10"),
            ],
            "0123",
        ),
        _ => {
            assert!(!req.headers.contains_key("range"));
            respond(200, FRESH, "0123456789")
        }
    }));
    let part = larder.ask(get("/a", &[("range", "bytes=0-3")])).await;
    assert_eq!((part.status, part.body.as_str()), (206, "0123"));
    assert_eq!(larder.get("/a").await.body, "0123456789");
    let one = larder.ask(get("/a", &[("range", "bytes=-3")])).await;
    assert_eq!((one.status, one.body.as_str()), (206, "789"));
    assert_eq!(
        (one.header("content-range"), one.header("content-length")),
        ("bytes 7-9/10", "3")
    );
    let two = larder.ask(get("/a", &[("range", "bytes=0-1,5-6")])).await;
    assert_eq!(two.status, 206);
    assert!(
        two.header("content-type")
            .starts_with("multipart/byteranges; boundary=")
    );
    assert!(
        two.body
            .contains("Content-Range: bytes 5-6/10\r\n\r\n56\r\n--"),
        "{}",
        two.body
    );
    assert_eq!(two.header("content-length"), two.body.len().to_string());
    let none = larder.ask(get("/a", &[("range", "bytes=10-")])).await;
    assert_eq!(
        (none.status, none.header("content-range")),
        (416, "bytes */10")
    );
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn stale_while_revalidate_answers_at_once_and_fetches_once_behind() {
    let larder = Larder::new(Script::numbered(&[(
        "cache-control",
        "max-age=10, stale-while-revalidate=30",
    )]));
    larder.get("/a").await;
    advance(secs(20)).await;
    let (one, two) = tokio::join!(larder.get("/a"), larder.get("/a"));
    for stale in [one, two] {
        assert!(stale.is_hit());
        assert_eq!((stale.body.as_str(), stale.outcome.ttl), ("1", Some(-10)));
    }
    settle().await;
    assert_eq!(larder.script.calls(), 2);
    let fresh = larder.get("/a").await;
    assert!(fresh.is_hit());
    assert_eq!(fresh.body, "2");
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_stands_in_for_a_failing_origin() {
    let larder = Larder::new(Script::at_once(|n, _| match n {
        1 => respond(
            200,
            &[("cache-control", "max-age=10, stale-if-error=60")],
            "good",
        ),
        _ => respond(503, &[], "bad"),
    }));
    larder.get("/a").await;
    advance(secs(20)).await;
    let stale = larder.get("/a").await;
    assert_eq!(
        (stale.status, stale.body.as_str(), stale.is_hit()),
        (200, "good", false)
    );
    assert_eq!(stale.outcome.forward_status.unwrap(), 503);
    advance(secs(60)).await;
    assert_eq!(larder.get("/a").await.status, 503);
}

#[tokio::test(start_paused = true)]
async fn ttl_is_the_lifetime_of_silence_and_the_cap_of_all() {
    let silent = Larder::with(Script::numbered(&[]), Policy::ttl(secs(15)));
    silent.get("/a").await;
    advance(secs(14)).await;
    assert!(silent.get("/a").await.is_hit());
    advance(secs(1)).await;
    assert!(!silent.get("/a").await.is_hit());

    let long = Larder::with(Script::numbered(FRESH), Policy::ttl(secs(15)));
    long.get("/a").await;
    advance(secs(15)).await;
    assert!(!long.get("/a").await.is_hit());

    let short = Script::numbered(&[("cache-control", "max-age=5")]);
    let short = Larder::with(short, Policy::ttl(secs(15)));
    short.get("/a").await;
    advance(secs(5)).await;
    assert!(!short.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_never_asks_the_origin() {
    let larder = Larder::new(Script::numbered(FRESH));
    let cold = larder
        .ask(get("/a", &[("cache-control", "only-if-cached")]))
        .await;
    assert_eq!((cold.status, larder.script.calls()), (504, 0));
    larder.get("/a").await;
    assert!(
        larder
            .ask(get("/a", &[("cache-control", "only-if-cached")]))
            .await
            .is_hit()
    );
}

#[tokio::test(start_paused = true)]
async fn absurd_ages_are_neither_fresh_nor_fatal() {
    for age in [
        "18446744073709551615",
        "99999999999999999999999",
        "-1",
        "1, 2",
        "x",
    ] {
        let script = Script::at_once(move |n, _| {
            respond(
                200,
                &[("cache-control", "max-age=60"), ("age", age)],
                n.to_string(),
            )
        });
        let larder = Larder::new(script);
        larder.get("/a").await;
        assert_eq!(larder.get("/a").await.status, 200, "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_settings_are_long_and_not_fatal() {
    let policy = Policy::ttl(Duration::MAX)
        .default_stale_while_revalidate(Duration::MAX)
        .default_stale_if_error(Duration::MAX);
    // With Vary, the store is told until when the variants are kept.
    let larder = Larder::with(Script::numbered(&[("vary", "x-a")]), policy);
    larder.get("/a").await;
    advance(secs(10 * 365 * 24 * 60 * 60)).await;
    assert!(larder.get("/a").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_misses_says_that_it_is_for_its_method() {
    let larder = Larder::new(Script::numbered(FRESH));
    let head = larder.ask(request("HEAD", "/a", &[])).await;
    assert_eq!(
        head.header("cache-status"),
        "larder; fwd=uri-miss; detail=method"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_part_of_the_key_is_told_whoever_is_first() {
    let keyed = Policy::origin().key_headers([http::HeaderName::from_static("x-tenant")]);
    let larder = Larder::with(Script::numbered(FRESH), keyed);
    for _ in 0..2 {
        let told = larder.ask(get("/a", &[("x-tenant", "1")])).await;
        assert_eq!(told.header("vary"), "x-tenant");
    }
}
