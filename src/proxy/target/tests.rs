//! Which `U` is fetched, and as what.

use super::*;

fn targets(origin: Option<&str>, allowed: &[&str]) -> Targets {
    Targets {
        origin: origin.map(|origin| Origin::parse(origin).unwrap()),
        allowed: allowed
            .iter()
            .map(|rule| HostRule::parse(rule).unwrap())
            .collect(),
        ports: Vec::new(),
    }
}

fn resolve(targets: &Targets, url: &str) -> Result<String, &'static str> {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("url", url)
        .finish();
    let target = targets.resolve(Some(&query));
    target
        .map(|target| target.uri.to_string())
        .map_err(|error| error.code)
}

#[test]
fn relative_ones_go_below_the_origin_and_its_path() {
    let plain = targets(Some("http://api.test"), &[]);
    let below = targets(Some("http://api.test:81/v1/"), &[]);
    for (url, at_plain, at_below) in [
        ("products", "/products", "/v1/products"),
        (
            "/products?limit=3&skip=1",
            "/products?limit=3&skip=1",
            "/v1/products?limit=3&skip=1",
        ),
        ("a/../b", "/b", "/v1/b"),
        ("/", "/", "/v1/"),
        ("?q=1", "/?q=1", "/v1/?q=1"),
        ("a b#fragment", "/a%20b", "/v1/a%20b"),
        ("a?u=../..", "/a?u=../..", "/v1/a?u=../.."),
    ] {
        assert_eq!(
            resolve(&plain, url).unwrap(),
            format!("http://api.test{at_plain}")
        );
        assert_eq!(
            resolve(&below, url).unwrap(),
            format!("http://api.test:81{at_below}")
        );
    }
}

#[test]
fn relative_ones_do_not_leave_the_origin() {
    let below = targets(Some("http://api.test/v1"), &[]);
    for url in [
        "//evil.test/x",
        "/\\evil.test",
        "\\\\evil.test",
        "../x",
        "a/../../x",
        "%2e%2e/x",
    ] {
        assert_eq!(resolve(&below, url), Err("malformed_url"), "{url}");
    }
    // Percent-encoded once more they are text.
    assert!(resolve(&below, "%252e%252e/x").is_ok());
}

#[test]
fn without_an_origin_only_whole_urls_will_do() {
    let none = targets(None, &[]);
    assert_eq!(resolve(&none, "products"), Err("no_origin"));
    assert_eq!(
        resolve(&none, "HTTPS://Example.COM:443").unwrap(),
        "https://example.com/"
    );
}

#[test]
fn only_http_is_fetched() {
    let none = targets(None, &[]);
    for url in [
        "ftp://x/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "localhost:80/x",
    ] {
        assert_eq!(resolve(&none, url), Err("unsupported_scheme"), "{url}");
    }
    for url in [
        "http:x",
        "http:///x",
        "http://",
        "http://a b/",
        "http://u@h/",
        "http://h:99999/",
        "http://h/\n",
    ] {
        assert_eq!(resolve(&none, url), Err("malformed_url"), "{url}");
    }
}

#[test]
fn with_an_origin_other_hosts_must_be_allowed() {
    let some = targets(Some("http://api.test"), &["other.test", "*.wild.test"]);
    assert!(resolve(&some, "http://api.test/x").is_ok());
    assert!(resolve(&some, "https://other.test/x").is_ok());
    assert!(resolve(&some, "http://a.wild.test/x").is_ok());
    for url in [
        "https://api.test/x",
        "http://api.test:81/",
        "http://127.0.0.1/",
        "http://wild.test/",
    ] {
        assert_eq!(resolve(&some, url), Err("host_not_allowed"), "{url}");
    }
}

#[test]
fn the_query_is_one_encoded_url() {
    let some = targets(Some("http://api.test"), &[]);
    let code = |query: Option<&str>| some.resolve(query).map_err(|error| error.code);
    assert_eq!(code(None), Err("missing_url"));
    assert_eq!(code(Some("url=")), Err("missing_url"));
    assert_eq!(code(Some("url=a&limit=3")), Err("malformed_url"));
    assert_eq!(code(Some("url=a&url=b")), Err("malformed_url"));
    assert_eq!(code(Some("url=%FF")), Err("malformed_url"));
    let target = code(Some("url=%2Fa%3Fb%3Dc%2526%26d=e")).unwrap();
    assert_eq!(target.uri, "http://api.test/a?b=c%26&d=e");
    assert!(target.at_origin);
}

#[test]
fn what_is_named_is_trusted() {
    let some = targets(Some("https://api.test"), &["a.test:81", "*"]);
    let trusted = some.trusted();
    assert_eq!(
        trusted,
        [("api.test".to_owned(), 443), ("a.test".to_owned(), 81)]
    );
}
