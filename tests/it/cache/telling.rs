//! What `Cache-Status` says when it is asked to say more.

use crate::support::script::{Larder, Script, get, request};

const UPSTREAMS: &str = "far; hit; ttl=9";

fn debugging(fields: &'static [(&'static str, &'static str)]) -> Larder {
    Larder::built(Script::numbered(fields), |builder| {
        builder.debug_headers(true)
    })
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_when_asked_for_in_our_member_alone() {
    let larder = debugging(&[
        ("cache-control", "public, max-age=60"),
        ("cache-status", UPSTREAMS),
        ("vary", "cookie"),
    ]);
    let ask = || get("/a\"b\"", &[("cookie", "secret=1")]);
    let key = r#"key="GET http://api.example/a\"b\"""#;
    for wanted in [
        format!("larder; fwd=uri-miss; stored; ttl=60; {key}"),
        format!("larder; hit; ttl=60; {key}"),
    ] {
        let told = larder.ask(ask()).await;
        let lines: Vec<_> = told.headers.get_all("cache-status").iter().collect();
        assert_eq!(lines, [UPSTREAMS, wanted.as_str()]);
        assert!(told.outcome.key.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn hits_and_what_passes_show_it_too() {
    let larder = debugging(&[("cache-control", "max-age=60")]);
    larder.get("/a").await;
    let hit = larder.get("/a").await;
    assert_eq!(
        hit.header("cache-status"),
        r#"larder; hit; ttl=60; key="GET http://api.example/a""#
    );
    let post = larder.ask(request("POST", "/a", &[])).await;
    let told = post.header("cache-status");
    assert!(
        told.ends_with(r#"key="GET http://api.example/a""#),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_not_shown_unasked() {
    let larder = Larder::new(Script::numbered(&[]));
    let told = larder.get("/a").await;
    assert!(!told.header("cache-status").contains("key="));
    assert_eq!(told.outcome.key, None);
}
