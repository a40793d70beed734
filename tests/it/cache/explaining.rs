//! What a cache tells of a request is what it then does with it.

use std::time::Duration;

use http::Request;
use larder::{
    cache::{Decision, Explanation},
    outcome::Forward,
    policy::{Content, Digest, Policy},
};
use tokio::time::advance;

use crate::support::script::{Body, Larder, Script, get, request, respond};

async fn explain(larder: &Larder, req: Request<Body>) -> Explanation {
    let parts = req.into_parts().0;
    larder.layer.handle().explain(&parts).await.unwrap()
}

/// What is told, and then done, of a request.
async fn check(larder: &Larder, method: &str, fields: &[(&str, &str)]) -> Decision {
    let told = explain(larder, request(method, "/a", fields)).await;
    let calls = larder.script.calls();
    let done = larder.ask(request(method, "/a", fields)).await;
    let case = format!("{method} {fields:?}: {told:#?}, {done:?}");
    assert_eq!(told.forward, done.outcome.forward, "{case}");
    let asked = larder.script.calls() - calls;
    match told.decision {
        Decision::Hit => assert_eq!((done.is_hit(), asked), (true, 0), "{case}"),
        Decision::StaleWhileRevalidate => {
            assert!(done.is_hit() && done.outcome.ttl < Some(0), "{case}");
        }
        Decision::OnlyIfCached => assert_eq!((done.status, asked), (504, 0), "{case}"),
        Decision::Revalidate => {
            let last = larder.script.last();
            let condition = ["if-none-match", "if-modified-since"];
            assert!(
                condition.iter().any(|name| last.contains_key(*name)),
                "{case}"
            );
        }
        _ => assert_eq!(asked, 1, "{case}"),
    }
    if let Some(status) = told.status {
        assert_eq!(status.as_u16(), done.status, "{case}");
    }
    if let (Some(reason), true) = (told.reason, told.decision != Decision::Revalidate) {
        // Of the request; what is found later about the response may take its place.
        assert!(done.outcome.detail.is_some(), "{case} {reason}");
    }
    told.decision
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_what_is_done() {
    let asked: &[&[(&str, &str)]] = &[
        &[],
        &[("cache-control", "no-cache")],
        &[("cache-control", "no-store")],
        &[("cache-control", "max-age=3")],
        &[("cache-control", "max-stale=30")],
        &[("cache-control", "only-if-cached")],
        &[("cache-control", "only-if-cached, no-cache")],
        &[("range", "bytes=0-1")],
        &[("range", "bytes=900-")],
        &[("if-none-match", "\"a\"")],
        &[("if-match", "\"b\"")],
        &[("x-a", "1")],
        &[("authorization", "x")],
        &[("upgrade", "websocket")],
    ];
    let said: &[&'static [(&str, &str)]] = &[
        &[],
        &[("cache-control", "max-age=10")],
        &[("cache-control", "max-age=10"), ("etag", "\"a\"")],
        &[
            ("cache-control", "max-age=10"),
            ("vary", "x-a"),
            ("etag", "\"a\""),
        ],
        &[("cache-control", "max-age=10, stale-while-revalidate=20")],
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        &[("cache-control", "max-age=10, must-revalidate")],
        &[("cache-control", "no-store")],
        &[("cache-control", "max-age=10"), ("vary", "*")],
    ];
    let mut seen = Vec::new();
    for fields in said {
        for asked in asked {
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let script = Script::at_once(|_, _| respond(200, fields, "body"));
                let larder = Larder::new(script);
                check(&larder, method, asked).await;
                larder.get("/a").await;
                for pause in [5, 10, 30] {
                    advance(Duration::from_secs(pause)).await;
                    seen.push(check(&larder, method, asked).await);
                }
            }
        }
    }
    for decision in [
        Decision::Hit,
        Decision::StaleWhileRevalidate,
        Decision::Revalidate,
        Decision::Miss,
        Decision::Pass,
        Decision::Invalidate,
        Decision::OnlyIfCached,
    ] {
        assert!(seen.contains(&decision), "{decision:?} did not come up");
    }
}

#[tokio::test(start_paused = true)]
async fn all_variants_are_told_and_secrets_are_not() {
    let fields = [
        ("cache-control", "public, max-age=60"),
        ("vary", "x-shop, cookie"),
    ];
    let larder = Larder::new(Script::at_once(move |n, _| {
        respond(200, &fields, "x".repeat(n))
    }));
    larder
        .ask(get("/a", &[("x-shop", "1"), ("cookie", "pw=me")]))
        .await;
    larder.ask(get("/a", &[("x-shop", "2")])).await;
    larder.ask(get("/a", &[("x-shop", "2")])).await;
    larder.get("/ab").await;
    let told = explain(&larder, get("/a", &[("x-shop", "2")])).await;
    assert_eq!(told.key.primary(), "GET http://api.example/a");
    assert_eq!(told.varies_by, ["cookie", "x-shop"]);
    assert_eq!((told.decision, told.count), (Decision::Hit, 2));
    let mut variants: Vec<_> = told
        .stored
        .iter()
        .map(|stored| {
            let selecting = stored.selecting.iter();
            let selecting: Vec<_> = selecting
                .map(|field| (field.name.as_str(), field.value.as_deref()))
                .collect();
            (stored.selected, stored.size, stored.hits, selecting)
        })
        .collect();
    variants.sort();
    assert_eq!(
        variants,
        [
            (
                false,
                Some(1),
                Some(0),
                vec![("cookie", Some("***")), ("x-shop", Some("1"))]
            ),
            (
                true,
                Some(2),
                Some(1),
                vec![("cookie", None), ("x-shop", Some("2"))]
            ),
        ]
    );
    assert!(!format!("{told:?}").contains("pw=me"));

    let other = explain(&larder, get("/a", &[("x-shop", "3")])).await;
    assert_eq!(
        (other.decision, other.forward),
        (Decision::Miss, Some(Forward::VaryMiss))
    );
    let last = other.steps.last().unwrap();
    assert_eq!((last.rule, last.holds), ("RFC 9111 §4.1", false));
    assert!(last.what.contains("cookie, x-shop"), "{}", last.what);
}

#[tokio::test(start_paused = true)]
async fn looking_neither_fetches_nor_counts_nor_changes() {
    let larder = Larder::new(Script::numbered(&[("cache-control", "max-age=60")]));
    assert_eq!(
        explain(&larder, get("/a", &[])).await.decision,
        Decision::Miss
    );
    assert_eq!(larder.script.calls(), 0);
    larder.get("/a").await;
    for _ in 0..3 {
        larder.get("/a").await;
        explain(&larder, get("/a", &[])).await;
        explain(&larder, request("POST", "/a", &[])).await;
    }
    let told = explain(&larder, get("/a", &[])).await;
    assert_eq!(
        (told.stored[0].hits, told.stored[0].size),
        (Some(3), Some(1))
    );
    assert_eq!(larder.script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_told_as_one() {
    let fields = [
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("content-range", "bytes 0-3/9"),
    ];
    let larder = Larder::new(Script::at_once(move |_, _| respond(206, &fields, "abcd")));
    larder.ask(get("/a", &[("range", "bytes=0-3")])).await;
    let told = explain(&larder, get("/a", &[("range", "bytes=1-2")])).await;
    assert_eq!(
        (told.decision, told.status.unwrap().as_u16()),
        (Decision::Hit, 206)
    );
    let told = explain(&larder, get("/a", &[])).await;
    assert_eq!(
        (told.decision, told.forward),
        (Decision::Miss, Some(Forward::Partial))
    );
    assert_eq!(told.steps.last().unwrap().rule, "RFC 9111 §3.3");
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_and_a_cap_are_told() {
    let fields: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let policy = Policy::ttl(Duration::from_secs(30));
    let larder = Larder::with(Script::numbered(fields), policy);
    larder.get("/a").await;
    let limit = async || {
        explain(&larder, get("/a", &[])).await.stored[0]
            .stated
            .limit
    };
    assert_eq!(limit().await.map(|limit| limit.word()), Some("cap"));
    let handle = larder.layer.handle();
    let all = larder::cache::Purge::All;
    handle
        .purge_by(&all, larder::cache::Manner::Expire)
        .await
        .unwrap();
    assert_eq!(limit().await.map(|limit| limit.word()), Some("earlier"));
    let told = explain(&larder, get("/a", &[])).await;
    assert_eq!(told.decision, Decision::Revalidate);
}

#[tokio::test(start_paused = true)]
async fn a_query_is_told_by_what_it_asks() {
    let fields = &[("cache-control", "max-age=60"), ("vary", "x-a")];
    let larder = Larder::new(Script::numbered(fields));
    let query = |content: Option<Content>| {
        let mut req = request("QUERY", "/a", &[("x-a", "1")]);
        req.extensions_mut().extend(
            content
                .map(|content| {
                    let mut one = http::Extensions::new();
                    one.insert(content);
                    one
                })
                .unwrap_or_default(),
        );
        req
    };
    let known = |n| Some(Content::Known(Digest::new([n; 32])));
    larder.ask(query(known(1))).await;
    assert!(larder.ask(query(known(1))).await.is_hit());
    let told = explain(&larder, query(known(1))).await;
    assert_eq!((told.decision, told.count), (Decision::Hit, 1));
    assert_eq!(told.stored[0].selecting[0].value.as_deref(), Some("1"));
    let other = explain(&larder, query(known(2))).await;
    assert_eq!(
        (other.decision, other.forward),
        (Decision::Miss, Some(Forward::Miss))
    );
    assert!(!other.steps.last().unwrap().holds);
    let unclear = Some(Content::Unknown(larder::policy::Reason::QueryUnclear));
    let unclear = explain(&larder, query(unclear)).await;
    assert_eq!(unclear.decision, Decision::Pass);
    assert_eq!(unclear.steps.last().unwrap().rule, "RFC 10008 §2.7");
    let untold = explain(&larder, query(None)).await;
    assert_eq!(untold.decision, Decision::Pass);
    assert!(untold.steps[0].what.contains("content"), "{untold:?}");
}
