//! Whose credentials go where, and fields that could make the cache serve what somebody else chose.

use crate::support::{
    origin::Origin,
    proxy::{Larder, proxy_target},
    script::respond,
};

const CREDENTIALS: [(&str, &str); 2] = [("authorization", "Bearer secret"), ("cookie", "id=7")];

#[tokio::test]
async fn unkeyed_fields_do_not_reach_the_origin() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let fields = [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.test"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "DELETE"),
    ];
    larder.ask("GET", "/a", &fields).await;
    larder.ask("GET", "/proxy?url=b", &fields).await;
    larder.ask("POST", "/c", &fields).await;
    assert_eq!(origin.asked(), 3);
    for head in origin.seen() {
        for (name, _) in fields {
            assert!(!head.headers.contains_key(name), "{name} for {}", head.uri);
        }
        assert_eq!(head.headers["host"], origin.address.to_string().as_str());
    }
}

#[tokio::test]
async fn the_admin_token_goes_to_nobody() {
    const TOKEN: &str = "0123456789abcdef";
    let origin = Origin::echoing().await;
    let token = format!("--admin-token={TOKEN}");
    let larder = Larder::before(&origin.url(), &[&token]).await;
    let shown = format!("bearer {TOKEN}");
    let asked = [
        ("purge", "/x"),
        ("DELETE", "/cache/"),
        ("DELETE", "//cache"),
        ("GET", "/x"),
        ("GET", "/proxy?url=y"),
    ];
    for (method, path) in asked {
        larder.ask(method, path, &[("authorization", &shown)]).await;
        assert!(
            !origin.last().headers.contains_key("authorization"),
            "{path}"
        );
    }
    assert_eq!(origin.asked(), asked.len());
    // Another is not larder's.
    larder
        .ask("GET", "/z", &[("authorization", "Bearer x")])
        .await;
    assert_eq!(origin.last().headers["authorization"], "Bearer x");
}

#[tokio::test]
async fn credentials_go_to_the_origin_and_not_to_other_hosts() {
    let (origin, other) = (Origin::echoing().await, Origin::echoing().await);
    let allow = format!("--allow-host={}", other.address);
    let larder = Larder::before(&origin.url(), &[&allow]).await;
    let whole = proxy_target(&format!("{}/b", origin.url()));
    for target in ["/a", "/proxy?url=c", &whole] {
        larder.ask("GET", target, &CREDENTIALS).await;
        for (name, value) in CREDENTIALS {
            assert_eq!(origin.last().headers[name], value, "{target}");
        }
    }
    larder
        .ask("GET", &proxy_target(&other.url()), &CREDENTIALS)
        .await;
    let alone = Larder::start(&["--allow-private", "--allow-port=*"]).await;
    alone
        .ask("GET", &proxy_target(&other.url()), &CREDENTIALS)
        .await;
    assert_eq!(other.asked(), 2);
    for head in other.seen() {
        for (name, _) in CREDENTIALS {
            assert!(!head.headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_credentials_is_not_served_to_others() {
    let origin = Origin::at_once(|number, request| {
        let lifetime = match request.uri().path() {
            "/shared" => "public, max-age=60",
            _ => "max-age=60",
        };
        respond(200, &[("cache-control", lifetime)], number.to_string())
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for target in ["/own", "/proxy?url=own"] {
        let mine = larder.ask("GET", target, &CREDENTIALS[..1]).await;
        assert!(!mine.is_hit());
    }
    let theirs = larder.get("/own").await;
    assert_eq!((theirs.is_hit(), theirs.text()), (false, "3"));
    larder.ask("GET", "/shared", &CREDENTIALS[..1]).await;
    assert!(larder.get("/shared").await.is_hit());
}

#[tokio::test]
async fn an_answer_that_sets_a_cookie_is_not_served_to_others() {
    let origin = Origin::at_once(|_, _| respond(200, &[("set-cookie", "id=7")], "welcome")).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for _ in 0..2 {
        let answer = larder.get("/login").await;
        assert_eq!(
            (answer.is_hit(), answer.header("set-cookie")),
            (false, "id=7")
        );
    }
    // The envelope is no page of the origin's: it sets none.
    let wrapped = larder.proxy("login").await;
    assert!(!wrapped.is_hit() && !wrapped.headers.contains_key("set-cookie"));
    assert_eq!(origin.asked(), 3);
}
