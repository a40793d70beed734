//! `GET /proxy?url=U`: how U may be written, and the envelope to the byte.

use serde_json::json;
use tokio::{sync::watch, task::JoinSet};

use crate::support::{
    origin::Origin,
    proxy::{Larder, ask, proxy_target, request, soon},
    script::respond,
};

#[tokio::test]
async fn a_url_is_absolute_or_below_the_origin() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let whole = format!("{}/whole?limit=3&skip=6", origin.url());
    for (url, asked) in [
        ("products", "/products"),
        ("/products", "/products"),
        ("products?limit=3&skip=6", "/products?limit=3&skip=6"),
        ("/a%20b/ü?q=a+b%26c&r=%25", "/a%20b/%C3%BC?q=a+b%26c&r=%25"),
        ("x?url=http://other.test/", "/x?url=http://other.test/"),
        ("a#fragment", "/a"),
        (&whole, "/whole?limit=3&skip=6"),
        (&origin.url(), "/"),
    ] {
        let answer = larder.proxy(url).await;
        assert_eq!(answer.status, 200, "{url}");
        assert_eq!(answer.json()["data"], asked, "{url}");
        assert_eq!(origin.last().method, "GET");
    }
    // What a URL's own query is made of may stay as it is where it is not ambiguous.
    let answer = larder.get("/proxy?url=/plain?limit=3").await;
    assert_eq!(answer.json()["data"], "/plain?limit=3");
}

#[tokio::test]
async fn nothing_leads_out_of_the_origins_path() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&format!("{}/api/v1", origin.url()), &[]).await;
    for path in [
        "/..%2fsecret",
        "/a/..;/..;/..;/secret",
        "/..%5csecret",
        "/%2e%2e/secret",
    ] {
        assert_eq!(
            larder.get(path).await.error(),
            (400, "bad_request".to_owned()),
            "{path}"
        );
        let named = proxy_target(path);
        assert_eq!(larder.get(&named).await.status, 400, "{named}");
    }
    for beside in [
        "/secret",
        "/api/v10",
        "/api/v1/../secret",
        "/api/v1/..%2fsecret",
    ] {
        let named = proxy_target(&[&origin.url(), beside].concat());
        let refused = larder.get(&named).await.error();
        assert_eq!(refused, (403, "host_not_allowed".to_owned()), "{beside}");
    }
    assert_eq!(origin.asked(), 0);
    let below = proxy_target(&[&origin.url(), "/api/v1/x"].concat());
    assert_eq!(larder.get(&below).await.status, 200);
}

#[tokio::test]
async fn a_path_in_the_origin_is_kept_as_prefix() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&format!("{}/api/v1/", origin.url()), &[]).await;
    for (target, asked) in [
        ("/proxy?url=products", "/api/v1/products"),
        ("/proxy?url=%2Fshops%3Fa%3Db", "/api/v1/shops?a=b"),
    ] {
        assert_eq!(larder.get(target).await.json()["data"], asked);
    }
    let whole = format!("{}/api/v1/shops", origin.url());
    assert_eq!(larder.proxy(&whole).await.json()["data"], "/api/v1/shops");
    let out = larder.proxy("../../secret").await;
    assert_eq!(out.error(), (400, "malformed_url".to_owned()));
}

#[tokio::test]
async fn json_is_passed_to_the_byte_and_said_to_be_from_where_it_is() {
    const BODY: &str =
        "{ \"z\": 1.0e2,\n\t\"a\": 12345678901234567890.10, \"é\": \"\\u00e9\", \"z\": [ ] }\n";
    let origin = Origin::saying("application/json; charset=utf-8", BODY.as_bytes()).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (source, word) in [("upstream", "MISS"), ("cache", "HIT"), ("cache", "HIT")] {
        let answer = larder.proxy("products").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-cache"), word);
        assert_eq!(answer.header("content-type"), "application/json");
        let whole = format!("{{\"success\": true, \"source\": \"{source}\", \"data\": {BODY}}}");
        assert_eq!(answer.text(), whole);
        assert_eq!(answer.header("content-length"), whole.len().to_string());
    }
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn other_bodies_have_a_form_in_json() {
    let origin = Origin::at_once(|_, request| match request.uri().path() {
        "/text" => respond(
            200,
            &[("content-type", "text/html")],
            "<a href=\"x\">\n\u{1}</a>",
        ),
        "/image" => respond(
            200,
            &[("content-type", "image/png")],
            &b"\x89PNG\xff\x00"[..],
        ),
        "/unnamed" => respond(200, &[], "ab"),
        "/empty" => respond(200, &[("content-type", "application/json")], ""),
        "/problem" => respond(
            200,
            &[("content-type", "application/problem+json")],
            "[1.50]",
        ),
        _ => respond(204, &[], ""),
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--ttl=60"]).await;
    for (url, data) in [
        ("text", r#""<a href=\"x\">\n\u0001</a>""#),
        (
            "image",
            r#"{"content_type": "image/png", "base64": "iVBOR/8A"}"#,
        ),
        ("unnamed", r#"{"content_type": null, "base64": "YWI="}"#),
        ("empty", "null"),
        ("problem", "[1.50]"),
        ("nothing", "null"),
    ] {
        for source in ["upstream", "cache"] {
            let answer = larder.proxy(url).await;
            let whole = format!(r#"{{"success": true, "source": "{source}", "data": {data}}}"#);
            assert_eq!((answer.status, answer.text()), (200, &*whole));
        }
    }
}

#[tokio::test]
async fn what_calls_itself_json_and_is_not_is_a_502_from_the_cache_too() {
    let origin = Origin::saying("application/json", b"{\"a\": 1,}").await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for word in ["MISS", "HIT"] {
        let answer = larder.proxy("broken").await;
        assert_eq!(answer.error(), (502, "upstream_invalid_json".to_owned()));
        assert_eq!(answer.header("x-cache"), word);
    }
    assert_eq!(origin.asked(), 1);
    // Nobody but the envelope minds.
    assert_eq!(larder.get("/broken").await.text(), "{\"a\": 1,}");
}

#[tokio::test]
async fn an_upstream_that_answers_with_an_error_is_told_as_it_is() {
    let origin = Origin::at_once(|_, request| match request.uri().path() {
        "/404" => respond(
            404,
            &[
                ("content-type", "application/json"),
                ("cache-control", "max-age=60"),
            ],
            "{\"m\": 1.0}",
        ),
        _ => respond(
            503,
            &[("retry-after", "7"), ("content-type", "text/plain")],
            "later",
        ),
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let missing = larder.proxy("404").await;
    assert_eq!((missing.status, missing.is_hit()), (404, false));
    let (before, after) = missing.text().split_once("\"message\": \"").unwrap();
    assert_eq!(
        before,
        r#"{"success": false, "source": "upstream", "error": {"code": "upstream_status", "#
    );
    assert!(after.ends_with("\"}, \"data\": {\"m\": 1.0}}"), "{after}");
    let again = larder.proxy("404").await;
    let whole = missing.text().replace("\"upstream\"", "\"cache\"");
    assert_eq!((again.status, again.text()), (404, &*whole));
    let later = larder.proxy("503").await;
    assert_eq!((later.status, later.header("retry-after")), (503, "7"));
    assert_eq!(later.json()["error"]["code"], "upstream_status");
    assert_eq!(later.json()["data"], "later");
}

#[tokio::test]
async fn redirects_are_passed_on_and_not_followed() {
    let target = Origin::echoing().await;
    let location = format!("{}/there", target.url());
    let origin = Origin::at_once(move |_, _| respond(302, &[("location", &location)], "")).await;
    let larder = Larder::before(&origin.url(), &["--allow-private"]).await;
    let direct = larder.get("/here").await;
    let wrapped = larder.proxy("here").await;
    for answer in [&direct, &wrapped] {
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header("location"), format!("{}/there", target.url()));
    }
    assert_eq!(wrapped.json()["data"], json!(null));
    assert_eq!((target.asked(), origin.asked()), (0, 2));
}

#[tokio::test]
async fn what_is_too_large_for_an_envelope_is_a_502_and_passes_by_itself() {
    let long = "x".repeat(5000);
    let origin = Origin::at_once(move |_, _| respond(200, &[], long.clone())).await;
    let larder = Larder::before(&origin.url(), &["--max-object=4999"]).await;
    let answer = larder.proxy("long").await;
    assert_eq!(answer.error(), (502, "upstream_too_large".to_owned()));
    for _ in 0..2 {
        let answer = larder.get("/long").await;
        assert_eq!((answer.body.len(), answer.is_hit()), (5000, false));
    }
}

#[tokio::test]
async fn the_two_forms_share_what_is_stored() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&format!("{}/v1", origin.url()), &[]).await;
    assert!(!larder.get("/products?a=b").await.is_hit());
    assert!(larder.proxy("products?a=b").await.is_hit());
    assert!(larder.proxy("/products?a=b").await.is_hit());
    assert!(!larder.proxy("shops").await.is_hit());
    assert!(larder.get("/shops").await.is_hit());
    let whole = format!("{}/v1/shops", origin.url());
    assert!(larder.proxy(&whole).await.is_hit());
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn concurrent_misses_make_one_fetch() {
    let (release, held) = watch::channel(false);
    let origin = Origin::serving(move |_, _| {
        let mut held = held.clone();
        async move {
            held.wait_for(|held| *held).await.unwrap();
            respond(200, &[("content-type", "application/json")], "[1]")
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let all_wait = async {
        while larder.get("/metrics").await.json()["metrics"]["in_flight"] != 12 {}
        release.send_replace(true);
    };
    let mut set = JoinSet::new();
    for n in 0..12 {
        let target = if n % 2 == 0 { "/x" } else { "/proxy?url=x" };
        set.spawn(ask(larder.address, request("GET", target, &[], "")));
    }
    soon(all_wait).await;
    for answer in soon(set.join_all()).await {
        assert_eq!((answer.status, answer.is_hit()), (200, false));
    }
    assert_eq!(origin.asked(), 1);
    assert_eq!(
        larder.get("/metrics").await.json()["metrics"]["collapsed"],
        11
    );
}
