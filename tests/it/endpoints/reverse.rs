//! Any other path: passed to the origin as it is, and its answer passed back.

use http::HeaderMap;

use crate::support::{
    origin::{Origin, Raw, Then},
    proxy::{Larder, proxy_target, request},
    script::respond,
};

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes())
        .collect()
}

#[tokio::test]
async fn every_method_target_and_body_goes_through() {
    let origin = Origin::at_once(|_, request| {
        let head = format!("{} {} ", request.method(), request.uri());
        let body = [head.as_bytes(), request.body()].concat();
        respond(201, &[("x-method", request.method().as_str())], body)
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH",
    ] {
        for target in [
            "/",
            "/a/b?c=%2F&d",
            "//x/./y//",
            "/%ff;p=1",
            "/proxy/",
            "/cachex",
        ] {
            let answer = larder.send(request(method, target, &[], "given")).await;
            assert_eq!(answer.status, 201);
            assert_eq!(answer.text(), format!("{method} {target} given"));
            assert_eq!(answer.header("x-method"), method);
        }
    }
    assert_eq!(
        origin.last().headers["host"],
        origin.address.to_string().as_str()
    );
    assert_eq!(origin.last().headers["content-length"], "5");
}

#[tokio::test]
async fn a_status_and_its_body_come_as_they_are() {
    let origin = Origin::at_once(|_, request| {
        let status = request.uri().path()[1..].parse().unwrap();
        let body = if status == 204 { "" } else { "said" };
        respond(status, &[("content-type", "text/plain")], body)
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for status in [
        200, 201, 204, 301, 303, 307, 400, 401, 404, 410, 418, 429, 500, 502, 503, 504,
    ] {
        let answer = larder.get(&format!("/{status}")).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.text(), if status == 204 { "" } else { "said" });
        assert_eq!(answer.header("content-type"), "text/plain");
    }
}

#[tokio::test]
async fn header_fields_come_whole_and_in_order() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Many: a\r\nX-Many: b, c\r\n\
        Set-Cookie: a=1; Path=/\r\nX-Latin: gr\xfcn\r\nSet-Cookie: b=2\r\nX-Empty:\r\n\
        ETag: \"tag\"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: old\r\n\r\nok";
    let origin = Raw::sending(ANSWER, Then::Stay).await;
    let larder = Larder::before(&origin.url(), &["--ttl=origin"]).await;
    let fields = [
        ("x-many", "1"),
        ("accept-language", "de"),
        ("x-many", "2, 3"),
    ];
    let answer = larder.ask("GET", "/", &fields).await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(all(&answer.headers, "x-many"), [&b"a"[..], b"b, c"]);
    assert_eq!(
        all(&answer.headers, "set-cookie"),
        [&b"a=1; Path=/"[..], b"b=2"]
    );
    assert_eq!(all(&answer.headers, "x-latin"), [b"gr\xfcn"]);
    assert_eq!(all(&answer.headers, "x-empty"), [b""]);
    assert_eq!(answer.header("etag"), "\"tag\"");
    assert_eq!(answer.header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(answer.header("server"), "old");
    let sent = &origin.seen()[0];
    let (one, two) = (sent.find("x-many: 1\r\n"), sent.find("x-many: 2, 3\r\n"));
    assert!(one.is_some() && one < two, "{sent}");
    assert!(sent.contains("accept-language: de\r\n"), "{sent}");
}

#[tokio::test]
async fn fields_of_one_connection_do_not_go_on_to_the_next() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop, keep-alive\r\n\
        X-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\n\
        X-Stays: 2\r\n\r\nok";
    let origin = Raw::sending(ANSWER, Then::Stay).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let fields = [
        ("connection", "x-mine, keep-alive"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=9"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("te", "gzip"),
        ("upgrade", "websocket"),
        ("expect", "nothing"),
        ("x-kept", "2"),
    ];
    // The second is from the cache, where there is a first.
    for target in ["/x", "/x", "/proxy?url=y"] {
        let answer = larder.ask("GET", target, &fields).await;
        assert_eq!(answer.status, 200);
        for gone in [
            "connection",
            "x-hop",
            "keep-alive",
            "proxy-connection",
            "upgrade",
        ] {
            assert!(!answer.headers.contains_key(gone), "{gone}: {answer:?}");
        }
        assert!(target != "/x" || answer.header("x-stays") == "2");
    }
    let post = larder.send(request("POST", "/x", &fields, "body")).await;
    assert_eq!(post.status, 200);
    for head in origin.seen() {
        let head = head.to_lowercase();
        assert!(head.contains("\r\nx-kept: 2\r\n"), "{head}");
        for (gone, _) in &fields[..8] {
            assert!(!head.contains(&format!("\r\n{gone}:")), "{gone}: {head}");
        }
    }
}

#[tokio::test]
async fn via_is_added_on_both_ways() {
    let origin = Origin::at_once(|_, _| respond(200, &[("via", "1.0 shop")], "ok")).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for target in ["/x", "/x", "/proxy?url=x", "/proxy?url=y"] {
        let answer = larder.ask("GET", target, &[("via", "1.1 other")]).await;
        let vias = [&b"1.0 shop"[..], b"1.1 larder"];
        assert_eq!(all(&answer.headers, "via"), vias, "{target}");
    }
    for head in origin.seen() {
        let vias = [&b"1.1 other"[..], b"1.1 larder"];
        assert_eq!(all(&head.headers, "via"), vias);
    }
}

#[tokio::test]
async fn an_options_goes_no_further_than_it_may() {
    let origin = Origin::saying("text/plain", b"hello").await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let ended = larder.ask("OPTIONS", "/x", &[("max-forwards", "0")]).await;
    assert_eq!((ended.status, origin.asked()), (204, 0));
    assert!(ended.header("allow").contains("OPTIONS"));
    larder.ask("OPTIONS", "/x", &[("max-forwards", "2")]).await;
    assert_eq!(origin.seen()[0].headers["max-forwards"], "1");
}

#[tokio::test]
async fn cookies_are_one_line_to_the_origin() {
    let origin = Origin::saying("text/plain", b"hello").await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder
        .ask("GET", "/x", &[("cookie", "a=b"), ("cookie", "c=d")])
        .await;
    let seen = origin.seen();
    let lines: Vec<_> = seen[0].headers.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=b; c=d"]);
}

#[tokio::test]
async fn a_path_in_the_origin_is_kept_as_prefix_and_not_left() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&format!("{}/api/v1", origin.url()), &[]).await;
    for target in ["/", "/products?limit=3", "/a/../b"] {
        assert_eq!(larder.get(target).await.json(), format!("/api/v1{target}"));
    }
    for target in ["/../admin", "/a/%2e%2e/%2E./admin"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = larder.talk(head.as_bytes()).await.hear("}}").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn own_paths_win_over_the_origins_unless_a_prefix_moves_them() {
    let origin = Origin::echoing().await;
    let own = [
        "/proxy?url=x",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/docs",
    ];
    let larder = Larder::before(&origin.url(), &[]).await;
    for path in own {
        assert_ne!(larder.get(path).await.text(), format!("\"{path}\""));
    }
    let moved = Larder::before(&origin.url(), &["--prefix=/_larder"]).await;
    for path in own {
        assert_eq!(moved.get(path).await.json(), path);
        let answer = moved.get(&format!("/_larder{path}")).await;
        assert_eq!(answer.status, 200);
        assert!(
            !answer.text().contains("/_larder/proxy"),
            "it went to the origin"
        );
    }
    assert_eq!(moved.ask("DELETE", "/cache", &[]).await.json(), "/cache");
    let cleared = moved.ask("DELETE", "/_larder/cache", &[]).await;
    assert_eq!(cleared.json()["success"], true);
    assert_eq!(
        moved.get("/_larder/products").await.json(),
        "/_larder/products"
    );
    assert_eq!(moved.get("/_larderproxy").await.json(), "/_larderproxy");
}

#[tokio::test]
async fn an_origin_that_leads_back_to_larder_ends_in_a_508() {
    let flags = ["--allow-private", "--allow-port=*"];
    let (first, second) = (Larder::start(&flags).await, Larder::start(&flags).await);
    let mut url = "x".to_owned();
    for _ in 0..5 {
        for larder in [&first, &second] {
            let target = proxy_target(&url);
            url = format!("http://{}{target}", larder.address);
        }
    }
    let answer = first.proxy(&url).await;
    assert_eq!(answer.status, 508, "{answer:?}");
    assert!(answer.text().contains("loop_detected"));
}

#[tokio::test]
async fn what_is_stored_of_the_origins_never_stands_before_own_paths() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for _ in 0..2 {
        assert_eq!(larder.proxy("/metrics").await.json()["data"], "/metrics");
    }
    assert!(larder.get("/metrics").await.json()["metrics"].is_object());
    assert_eq!(larder.get("/healthz").await.status, 200);
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn a_field_that_no_key_holds_is_not_heeded_on_a_hit_either() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.until_hit("/a").await;
    for field in [
        ("x-forwarded-host", "evil.test"),
        ("x_host", "evil.test"),
        ("via", "1.1 b"),
    ] {
        assert!(
            larder.ask("GET", "/a", &[field]).await.is_hit(),
            "{field:?}"
        );
    }
    assert_eq!(origin.asked(), 1);
}
