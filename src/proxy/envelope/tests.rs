//! Envelopes around a mocked stack.

use std::convert::Infallible;

use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;

use super::*;
use crate::proxy::{config::Config, limits::Limits};

type Sent = Request<Full<Bytes>>;

/// The answer to `/proxy?{query}` when the stack answers as `stack` does.
async fn answer(
    request: request::Builder,
    stack: impl Fn(Sent) -> Response<Full<Bytes>> + Clone + Send,
) -> Response<Spliced> {
    let config = Config {
        origin: Some(crate::proxy::Origin::parse("http://api.test").unwrap()),
        allow_hosts: vec![crate::proxy::HostRule::Any],
        ..Config::default()
    };
    let inner = service_fn(move |request| {
        let response = stack(request);
        async move { Ok::<_, Infallible>(response) }
    });
    let head = request.body(()).unwrap().into_parts().0;
    Envelope::new(inner, Targets::new(&config), 64, holds())
        .answer(head, Full::default())
        .await
}

/// Room for 300 bytes.
fn holds() -> Holds {
    let limits = Limits {
        envelopes: 300,
        ..Limits::default()
    };
    Holds::new(&Bounds::new(limits, Default::default()), false)
}

fn get(url: &str) -> request::Builder {
    Request::get(format!("/proxy?url={url}"))
}

fn says(content_type: &str, body: &'static [u8]) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", content_type);
    response.body(Full::from(body)).unwrap()
}

async fn value(response: Response<Spliced>) -> Value {
    let length = response.headers()["content-length"]
        .to_str()
        .unwrap()
        .parse();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(length, Ok(body.len()));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn json_is_spliced_and_not_printed_anew() {
    let response = answer(get("a"), |request| {
        assert_eq!(request.uri(), "http://api.test/a");
        says("application/json", b"{\"b\": 1.10, \"a\":2}")
    })
    .await;
    assert_eq!(response.headers()["x-cache"], "MISS");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        body,
        r#"{"success": true, "source": "upstream", "data": {"b": 1.10, "a":2}}"#
    );
}

#[tokio::test]
async fn a_hit_is_from_the_cache() {
    let response = answer(get("a"), |_| {
        let mut response = says("text/plain", b"hi");
        response.extensions_mut().insert(Outcome::hit(3));
        response.headers_mut().insert("age", HeaderValue::from(4));
        response
            .headers_mut()
            .insert("etag", HeaderValue::from_static("\"x\""));
        response
            .headers_mut()
            .insert("set-cookie", HeaderValue::from_static("a=b"));
        response
    })
    .await;
    assert_eq!(response.headers()["x-cache"], "HIT");
    assert_eq!(response.headers()["age"], "4");
    assert!(response.extensions().get::<Outcome>().is_some());
    for name in ["etag", "set-cookie"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let expected = json!({"success": true, "source": "cache", "data": "hi"});
    assert_eq!(value(response).await, expected);
}

#[tokio::test]
async fn an_upstream_error_keeps_its_status_and_body() {
    let response = answer(get("a"), |_| {
        let mut response = says("application/json", b"{\"no\":1}");
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    })
    .await;
    assert_eq!(response.status(), 404);
    let value = value(response).await;
    assert_eq!(value["success"], false);
    assert_eq!(value["data"], json!({"no": 1}));
    assert_eq!(value["error"]["code"], "upstream_status");
}

#[tokio::test]
async fn a_status_without_body_becomes_200_with_null() {
    for status in [204, 205] {
        let response = answer(get("a"), move |_| {
            let response = Response::builder().status(status);
            response.body(Full::default()).unwrap()
        })
        .await;
        assert_eq!(response.status(), 200);
        assert_eq!(value(response).await["data"], Value::Null);
    }
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_an_error() {
    let response = answer(get("a"), |_| {
        let response = Response::builder().status(304);
        response.body(Full::default()).unwrap()
    })
    .await;
    assert_eq!(response.status(), 502);
    let value = value(response).await;
    assert_eq!(value["success"], false);
    assert_eq!(value["error"]["code"], "upstream_status");
}

#[tokio::test]
async fn what_its_coding_does_not_make_is_an_error_that_says_so() {
    let response = answer(get("a"), |_| {
        let mut response = says("application/json", b"\x1f\x8b\x08\x00no gzip at all");
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert("content-encoding", gzip);
        response
    })
    .await;
    assert_eq!(response.status(), 502);
    let code = value(response).await["error"]["code"].clone();
    assert_eq!(code, "upstream_undecodable");
}

#[tokio::test]
async fn a_redirect_is_passed_on() {
    let response = answer(get("a"), |_| {
        let response = Response::builder().status(301).header("location", "/b");
        response.body(Full::default()).unwrap()
    })
    .await;
    assert_eq!(response.status(), 301);
    assert_eq!(response.headers()["location"], "/b");
}

#[tokio::test]
async fn broken_json_and_large_bodies_are_the_upstreams_fault() {
    let response = answer(get("a"), |_| says("application/json", b"{")).await;
    assert_eq!(response.status(), 502);
    assert_eq!(
        value(response).await["error"]["code"],
        "upstream_invalid_json"
    );
    let response = answer(get("a"), |_| says("text/plain", &[b'a'; 65])).await;
    assert_eq!(response.status(), 502);
    assert_eq!(value(response).await["error"]["code"], "upstream_too_large");
}

#[tokio::test]
async fn a_rescued_error_is_passed_as_it_is() {
    let response = answer(get("a"), |_| {
        let mut response = says("application/json", b"{\"success\": false}");
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        response.extensions_mut().insert(Rescued);
        response
    })
    .await;
    assert_eq!(response.status(), 504);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "{\"success\": false}");
}

#[tokio::test]
async fn compressed_bodies_are_read_and_stored_as_they_are() {
    // `[1]`, by gzip.
    const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x8b\x36\x8c\x05\x00\xb8\x32\x2f\x4c\x03\x00\x00\x00";
    let response = answer(get("a").header("accept-encoding", "gzip"), |request| {
        assert!(!request.headers().contains_key("accept-encoding"));
        let mut response = says("application/json", GZIP);
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert("content-encoding", gzip);
        // As one who looked at the compressed bytes would say.
        response.extensions_mut().insert(Verdict::known(false));
        response
    })
    .await;
    assert_eq!(response.status(), 200);
    assert_eq!(value(response).await["data"], json!([1]));
}

#[tokio::test]
async fn the_request_is_cleaned() {
    let request = get("a")
        .header("if-none-match", "\"x\"")
        .header("range", "bytes=0-1")
        .header("content-length", "0")
        .header("authorization", "Basic x")
        .header("accept-language", "de");
    let response = answer(request, |request| {
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-language", "authorization"]);
        says("text/plain", b"")
    })
    .await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn credentials_go_to_the_origin_alone() {
    let request = get("http://other.test/")
        .header("cookie", "a=b")
        .header("authorization", "Basic x");
    let response = answer(request, |request| {
        assert!(!request.headers().contains_key("cookie"));
        assert!(!request.headers().contains_key("authorization"));
        says("text/plain", b"")
    })
    .await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn what_cannot_be_resolved_is_not_asked() {
    let response = answer(get(""), |_| panic!("the stack was asked")).await;
    assert_eq!(response.status(), 400);
    assert_eq!(value(response).await["error"]["code"], "missing_url");
}
