//! What a call asks to have explained.

use super::*;
use crate::proxy::{Origin, config::Config};

fn explain() -> Explain {
    let config = Config {
        origin: Some(Origin::parse("http://api.test/v1").unwrap()),
        ..Config::default()
    };
    Explain::new(Targets::new(&config), |_| async {
        Err(StoreError::new("broken"))
    })
}

fn call(query: &str) -> request::Parts {
    let request = http::Request::get(format!("/cache?{query}"))
        .header("host", "larder.test")
        .header("accept", "*/*")
        .header("cookie", "a=b")
        .header("expect", "100-continue");
    request.body(()).unwrap().into_parts().0
}

#[test]
fn it_is_the_call_itself_to_another_url() {
    let asked = explain().read(call("url=a%3Fb")).unwrap();
    assert_eq!(
        (asked.method, asked.uri),
        (Method::GET, "http://api.test/v1/a?b".parse().unwrap())
    );
    let mut names: Vec<&str> = asked.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    // As in what is proxied: larder's own name is no part of it, and what is unkeyed neither.
    assert_eq!(names, ["accept", "cookie"]);
    let asked = explain()
        .read(call("method=head&url=https://b.test"))
        .unwrap();
    assert_eq!(
        (asked.method, asked.uri),
        (Method::HEAD, "https://b.test/".parse().unwrap())
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    for (query, code) in [
        ("", "missing_url"),
        ("url=", "missing_url"),
        ("method=GET", "missing_url"),
        ("url=ftp://a", "unsupported_scheme"),
        ("url=http://", "malformed_url"),
        ("url=a&method=G%20T", "malformed_method"),
        ("url=a&method=", "malformed_method"),
        ("url=a&url=b", "bad_request"),
        ("url=a&soft=true", "bad_request"),
    ] {
        let error = explain().read(call(query)).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, code), "{query}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503() {
    let response = explain().answer(call("url=a")).await;
    assert_eq!(response.status(), 503);
}
