//! What larder does not do, and how it says so: 400, 403, 404, 405 and 413.

use crate::support::{
    origin::Origin,
    proxy::{Larder, request},
};

#[tokio::test]
async fn a_url_that_is_missing_or_cannot_be_used_is_a_400() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (query, code) in [
        ("", "missing_url"),
        ("?", "missing_url"),
        ("?url=", "missing_url"),
        ("?uri=products", "malformed_url"),
        ("?url=a&limit=3", "malformed_url"),
        ("?url=a&url=b", "malformed_url"),
        ("?url=http%3A%2F%2F", "malformed_url"),
        ("?url=http%3A%2F%2F%2Fexample.test", "malformed_url"),
        ("?url=http%3Aproducts", "malformed_url"),
        ("?url=http%3A%2F%2Fa%20b%2F", "malformed_url"),
        ("?url=http%3A%2F%2F%5Bx%5D%2F", "malformed_url"),
        ("?url=http%3A%2F%2Fh%3A99999%2F", "malformed_url"),
        ("?url=http%3A%2F%2Fme%3Apw%40h%2F", "malformed_url"),
        ("?url=%2F%2Fexample.test%2Fx", "malformed_url"),
        ("?url=%2F%5Cexample.test%2Fx", "malformed_url"),
        ("?url=products%0D%0AX-Evil%3A1", "malformed_url"),
        ("?url=ftp%3A%2F%2Fexample.test%2Fx", "unsupported_scheme"),
        ("?url=file%3A%2F%2F%2Fetc%2Fpasswd", "unsupported_scheme"),
        ("?url=javascript%3Aalert(1)", "unsupported_scheme"),
        ("?url=localhost%3A80", "unsupported_scheme"),
    ] {
        let answer = larder.get(&format!("/proxy{query}")).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{query}");
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn without_an_origin_a_relative_url_is_a_400_and_other_paths_are_404() {
    let larder = Larder::start(&[]).await;
    for url in ["products", "/products?limit=3"] {
        assert_eq!(
            larder.proxy(url).await.error(),
            (400, "no_origin".to_owned())
        );
    }
    for (method, target) in [("GET", "/products"), ("GET", "/"), ("POST", "/proxy/x")] {
        let answer = larder.ask(method, target, &[]).await;
        assert_eq!(answer.error(), (404, "not_found".to_owned()), "{target}");
    }
    let missing = larder.get("/docs/no-such-file.js").await;
    assert_eq!(missing.error(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn with_an_origin_other_hosts_are_a_403() {
    let (origin, other) = (Origin::echoing().await, Origin::echoing().await);
    let larder = Larder::before(&origin.url(), &[]).await;
    let tls = origin.url().replace("http:", "https:");
    let name = origin.url().replace("127.0.0.1", "localhost");
    for url in [
        &other.url(),
        &tls,
        &name,
        "http://example.test/",
        "http://127.0.0.1/",
    ] {
        let error = larder.proxy(url).await.error();
        assert_eq!(error, (403, "host_not_allowed".to_owned()), "{url}");
    }
    assert_eq!((origin.asked(), other.asked()), (0, 0));
}

#[tokio::test]
async fn allow_host_adds_hosts_by_name_and_by_pattern() {
    let (origin, other) = (Origin::echoing().await, Origin::echoing().await);
    let named = format!("--allow-host={}", other.address);
    let flags = [&*named, "--allow-host=*.allowed.invalid"];
    let larder = Larder::before(&origin.url(), &flags).await;
    let answer = larder.proxy(&format!("{}/x", other.url())).await;
    assert_eq!((answer.status, &answer.json()["data"]), (200, &"/x".into()));
    let answer = larder.proxy("here").await;
    assert_eq!(answer.json()["data"], "/here");
    // It may be asked for, and is not there.
    let below = larder.proxy("http://api.allowed.invalid/").await;
    assert_eq!(below.error(), (502, "upstream_unresolved".to_owned()));
    for url in [
        "http://allowed.invalid/",
        "http://not-allowed.invalid/",
        "http://api.allowed.invalid.test/",
        &format!("http://127.0.0.1:{}/", origin.address.port() ^ 1),
    ] {
        let error = larder.proxy(url).await.error();
        assert_eq!(error, (403, "host_not_allowed".to_owned()), "{url}");
    }
    let any = Larder::before(&origin.url(), &["--allow-host=*"]).await;
    let anything = any.proxy("http://anything.invalid/").await;
    assert_eq!(anything.error(), (502, "upstream_unresolved".to_owned()));
}

#[tokio::test]
async fn other_methods_are_told_which_would_do() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let reading = [
        "/proxy?url=a",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/docs/",
    ];
    for path in reading {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = larder.ask(method, path, &[]).await;
            assert_eq!(answer.error(), (405, "method_not_allowed".to_owned()));
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
    for method in ["POST", "PUT", "PURGE", "OPTIONS"] {
        let answer = larder.ask(method, "/cache", &[]).await;
        assert_eq!(answer.error(), (405, "method_not_allowed".to_owned()));
        assert_eq!(answer.header("allow"), "GET, HEAD, DELETE");
    }
    let head = larder.ask("HEAD", "/docs/none", &[]).await;
    assert_eq!((head.status, head.text()), (404, ""));
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn a_large_body_where_none_is_wanted_is_a_413() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    assert!(!larder.get("/products").await.is_hit());
    for (method, path) in [
        ("DELETE", "/cache"),
        ("GET", "/proxy?url=products"),
        ("GET", "/metrics"),
        ("POST", "/healthz"),
        ("GET", "/docs"),
    ] {
        // It is told before the body is sent.
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"
        );
        let answer = larder.talk(head.as_bytes()).await.hear_out().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains(r#""code": "body_too_large""#), "{answer}");
    }
    let figures = larder.get("/metrics").await.json();
    assert_eq!(figures["metrics"]["refused_contents"], 5);
    // The cache was not cleared, and a small body does no harm.
    let sent = request("GET", "/proxy?url=products", &[], "small");
    assert!(larder.send(sent).await.is_hit());
    // What goes on to the origin may be as large as it likes.
    let sent = request("POST", "/products", &[], vec![b'x'; 200_000]);
    assert_eq!(larder.send(sent).await.status, 200);
}

#[tokio::test]
async fn clearing_a_part_is_not_mistaken_for_clearing_all() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/products").await;
    for query in ["uri=products", "url=products&tag=x", "url=", "soft=perhaps"] {
        let answer = larder.ask("DELETE", &format!("/cache?{query}"), &[]).await;
        assert_eq!(answer.error().0, 400, "{query}: {}", answer.text());
    }
    assert!(larder.get("/products").await.is_hit());
}
