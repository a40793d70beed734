//! Every path and method, with a stack that tells what it was asked.

use http::HeaderValue;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{service_fn, util::BoxCloneSyncService};

use super::*;
use crate::proxy::{Origin, config::Config, draining::Draining, envelope::Holds, target::Targets};
use crate::{
    cache::{CacheLayer, Purged},
    metrics::Metrics,
    store::MemoryStore,
};

type Body = Full<Bytes>;
type Stack = BoxCloneSyncService<Request<RequestBody<Body>>, Response<Body>, Infallible>;

/// A stack that answers with the method and the URI that it was asked for.
fn echo() -> Stack {
    BoxCloneSyncService::new(service_fn(|request: Request<RequestBody<Body>>| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!(
            "{} {} {}",
            head.method,
            head.uri,
            String::from_utf8_lossy(&body)
        );
        let mut response = Response::new(Full::from(text));
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert("content-type", plain);
        Ok(response)
    }))
}

fn router(prefix: &str, origin: Option<&str>) -> (Router<Stack>, Draining) {
    let config = Config {
        origin: origin.map(|origin| Origin::parse(origin).unwrap()),
        ..Config::default()
    };
    let draining = Draining::default();
    let own = Own {
        envelope: {
            let bounds = Bounds::new(Default::default(), Default::default());
            let holds = Holds::new(&bounds, false);
            Envelope::new(echo(), Targets::new(&config), 1000, holds)
        },
        admin: Admin::new(Targets::new(&config), |_, _| async {
            Ok(Purged::default())
        }),
        explain: Explain::new(Targets::new(&config), |request| async move {
            let cache = CacheLayer::new(MemoryStore::new(1 << 20)).handle();
            cache.explain(&request).await
        }),
        metrics: MetricsPage::new(Metrics::new()),
        docs: Docs::new(prefix, true),
        health: Health::new(draining.clone(), || true),
        bounds: Bounds::new(config.limits.clone(), config.timeout),
        unkeyed: Unkeyed::default(),
    };
    let access = Access::new(None, []);
    let router = Router::new(prefix.to_owned(), access, own, config.origin, echo());
    (router.at(at(Serves::All)), draining)
}

fn at(serves: Serves) -> Entrance {
    Entrance { serves, near: true }
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

async fn ask(router: &Router<Stack>, method: &str, target: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost");
    let request = request.body(Full::from("sent")).unwrap();
    let Ok(response) = router.clone().oneshot(request).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn code(answer: &Answer) -> String {
    let value: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(value["success"], false);
    assert!(value["error"]["message"].is_string());
    value["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn own_paths_answer_themselves() {
    let (router, _) = router("", Some("http://api.test/v1"));
    for (path, content_type, part) in [
        (
            "/proxy?url=a%3Fb",
            "application/json",
            "GET http://api.test/v1/a?b ",
        ),
        ("/cache?url=a", "application/json", "\"decision\": \"miss\""),
        ("/metrics", "application/json", "\"total_requests\": 0"),
        ("/healthz", "application/json", "true"),
        ("/openapi.json", "application/json", "openapi"),
        ("/docs", "text/html; charset=utf-8", "swagger-ui"),
        ("/docs/", "text/html; charset=utf-8", "swagger-ui"),
        ("/docs/index.css", "text/css", "html"),
    ] {
        let answer = ask(&router, "GET", path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], content_type, "{path}");
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
    }
    let cleared = ask(&router, "DELETE", "/cache").await;
    let value: Value = serde_json::from_str(&cleared.body).unwrap();
    let expected = serde_json::json!({"success": true, "message": "Cache cleared successfully"});
    assert_eq!((cleared.status, value), (200, expected));
    assert_eq!(ask(&router, "DELETE", "/cache?uri=x").await.status, 400);
    for (method, target) in [("DELETE", "/cache?url=x"), ("PURGE", "/x?y")] {
        let purged = ask(&router, method, target).await;
        let value: Value = serde_json::from_str(&purged.body).unwrap();
        assert_eq!((purged.status, &value["purged"]), (200, &Value::from(0)));
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let (router, _) = router("", Some("http://api.test"));
    for path in [
        "/proxy?url=a",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/proxy",
    ] {
        let get = ask(&router, "GET", path).await;
        let head = ask(&router, "HEAD", path).await;
        assert_eq!(head.status, get.status);
        assert_eq!(head.headers, get.headers);
        assert_eq!(
            head.headers["content-length"],
            get.body.len().to_string().as_str()
        );
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn other_methods_are_told_which_would_do() {
    let (router, _) = router("", Some("http://api.test"));
    for (method, path, allow) in [
        ("POST", "/proxy?url=a", "GET, HEAD"),
        ("OPTIONS", "/metrics", "GET, HEAD"),
        ("PUT", "/docs/", "GET, HEAD"),
        ("PUT", "/cache", "GET, HEAD, DELETE"),
    ] {
        let answer = ask(&router, method, path).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.headers["allow"], allow);
        assert_eq!(code(&answer), "method_not_allowed");
    }
}

#[tokio::test]
async fn every_other_path_is_the_origins() {
    let (router, _) = router("", Some("http://api.test/v1"));
    for (method, path) in [
        ("GET", "/proxyx"),
        ("POST", "/a?b=c"),
        ("DELETE", "/cache/"),
        ("OPTIONS", "/"),
    ] {
        let answer = ask(&router, method, path).await;
        assert_eq!(
            answer.body,
            format!("{method} http://api.test/v1{path} sent")
        );
    }
}

#[tokio::test]
async fn a_prefix_moves_own_paths_and_frees_theirs() {
    let (router, _) = router("/_larder", Some("http://api.test"));
    assert_eq!(
        ask(&router, "GET", "/metrics").await.body,
        "GET http://api.test/metrics sent"
    );
    assert!(
        ask(&router, "GET", "/_larder/metrics")
            .await
            .body
            .contains("total_requests")
    );
    assert_eq!(
        ask(&router, "GET", "/_larder").await.body,
        "GET http://api.test/_larder sent"
    );
}

#[tokio::test]
async fn without_an_origin_other_paths_are_not_found() {
    let (router, _) = router("", None);
    let answer = ask(&router, "GET", "/products").await;
    assert_eq!((answer.status, code(&answer).as_str()), (404, "not_found"));
}

#[tokio::test]
async fn what_is_ambiguous_reaches_nobody() {
    let (router, _) = router("", Some("http://api.test"));
    assert_eq!(code(&ask(&router, "OPTIONS", "*").await), "bad_request");
    assert_eq!(ask(&router, "TRACE", "/").await.status, 405);
}

#[tokio::test]
async fn health_ends_with_the_draining() {
    let (router, draining) = router("", None);
    draining.begin();
    let answer = ask(&router, "GET", "/healthz").await;
    assert_eq!((answer.status, code(&answer).as_str()), (503, "draining"));
}

#[tokio::test]
async fn listeners_of_their_own_part_the_controls_from_what_is_proxied() {
    let (router, _) = router("", Some("http://api.test"));
    let (main, controls) = (
        router.at(at(Serves::Proxied)),
        router.at(at(Serves::Controls)),
    );
    for path in ["/metrics", "/healthz", "/openapi.json", "/docs", "/cache"] {
        let proxied = format!("GET http://api.test{path} sent");
        assert_eq!(ask(&main, "GET", path).await.body, proxied);
        let own = ask(&controls, "GET", path).await.body;
        assert!(!own.contains("api.test"), "{path}: {own}");
    }
    assert_eq!(ask(&main, "GET", "/proxy?url=a").await.status, 200);
    assert_eq!(
        ask(&main, "DELETE", "/cache").await.body,
        "DELETE http://api.test/cache sent"
    );
    assert_eq!(ask(&controls, "DELETE", "/cache").await.status, 200);
    for path in ["/proxy?url=a", "/a"] {
        let answer = ask(&controls, "GET", path).await;
        assert_eq!((answer.status, code(&answer).as_str()), (404, "not_found"));
    }
    // Without a token, PURGE is where the controls are.
    assert_eq!(ask(&controls, "PURGE", "/a").await.status, 200);
    assert_eq!(code(&ask(&main, "PURGE", "/a").await), "controls_closed");
}

#[tokio::test]
async fn who_is_not_near_may_not_use_the_controls() {
    let (router, _) = router("", Some("http://api.test"));
    let far = router.at(Entrance {
        serves: Serves::All,
        near: false,
    });
    for (method, target) in [
        ("DELETE", "/cache"),
        ("GET", "/cache?url=a"),
        ("HEAD", "/cache?url=a"),
        ("PURGE", "/a"),
    ] {
        assert_eq!(ask(&far, method, target).await.status, 403, "{method}");
    }
    for path in ["/a", "/metrics", "/docs", "/proxy?url=a"] {
        assert_eq!(ask(&far, "GET", path).await.status, 200, "{path}");
    }
}
