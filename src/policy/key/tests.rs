//! Keys: one for each resource, and none that another could forge.

use std::time::UNIX_EPOCH;

use http::HeaderName;
use proptest::prelude::*;

use super::*;
use crate::policy::{
    Content, Digest, Fields,
    testing::{get, request},
};

fn absolute(uri: &str) -> String {
    Key::of(&request("GET", uri, &[("host", "ignored.example")]))
        .as_str()
        .to_owned()
}

fn host(host: &str) -> String {
    Key::of(&request("GET", "/p?q", &[("host", host)]))
        .as_str()
        .to_owned()
}

fn marker(epoch: u64) -> Vary {
    Vary {
        epoch,
        fields: Fields::new([HeaderName::from_static("foo")]),
        until: UNIX_EPOCH,
    }
}

#[test]
fn one_resource_has_one_key() {
    for same in [
        "http://A.example/p?q",
        "HTTP://a.example/p?q",
        "http://a.example:80/p?q",
        "http://a.example:/p?q",
        "http://user:secret@a.example/p?q",
    ] {
        assert_eq!(absolute(same), "GET http://a.example/p?q", "{same}");
    }
    assert_eq!(host("A.Example:80"), "GET http://a.example/p?q");
    assert_eq!(absolute("https://a.example:443/"), "GET https://a.example/");
    assert_eq!(absolute("http://a.example?q"), "GET http://a.example/?q");
    assert_eq!(absolute("http://a.example"), "GET http://a.example/");
    assert_eq!(absolute("http://a.example/p#f"), "GET http://a.example/p");
}

#[test]
fn different_resources_have_different_keys() {
    let keys = [
        absolute("http://a.example/p"),
        absolute("https://a.example/p"),
        absolute("http://a.example:443/p"),
        absolute("https://a.example:80/p"),
        absolute("http://b.example/p"),
        absolute("http://a.example/P"),
        absolute("http://a.example/p/"),
        absolute("http://a.example/p?"),
        absolute("http://a.example/p?q"),
        absolute("http://a.example/%70"),
    ];
    for (nth, one) in keys.iter().enumerate() {
        assert!(!keys[nth + 1..].contains(one), "{one}");
    }
}

#[test]
fn addresses_keep_their_colons() {
    assert_eq!(
        absolute("http://[2001:db8::80]/"),
        "GET http://[2001:db8::80]/"
    );
    assert_eq!(
        absolute("http://[2001:DB8::80]:80/"),
        "GET http://[2001:db8::80]/"
    );
    assert_eq!(absolute("http://[::1]:8080/"), "GET http://[::1]:8080/");
    assert_eq!(host("::80"), "GET http://::80/p?q");
    assert_eq!(host(":80"), "GET http://:80/p?q");
}

#[test]
fn a_host_cannot_pass_for_anything_else() {
    assert_eq!(host("a/b?c"), "GET http://a%2fb%3fc/p?q");
    assert_eq!(host("evil@a.example"), "GET http://evil%40a.example/p?q");
    assert_eq!(host("a 0 x"), "GET http://a%200%20x/p?q");
    assert_eq!(host("a%2fb"), "GET http://a%252fb/p?q");
    let two = request("GET", "/", &[("host", "a"), ("host", "b")]);
    assert_eq!(Key::of(&two).as_str(), "GET http://a@b/");
    assert_eq!(Key::of(&request("GET", "/", &[])).as_str(), "GET http:///");
}

#[test]
fn all_methods_share_the_class() {
    let of = |method| Key::of(&request(method, "http://a.example/", &[]));
    assert_eq!(of("HEAD"), of("GET"));
    assert_eq!(of("POST"), of("GET"));
}

#[test]
fn a_query_is_of_another_class_and_the_same_uri() {
    let of = |method| Key::of(&request(method, "https://A.example:443/b?c", &[]));
    let query = of("QUERY");
    assert_eq!(query.as_str(), "QUERY https://a.example/b?c");
    assert_ne!(query, of("GET"));
    assert_eq!(query.uri(), of("GET").uri());
    assert_eq!(
        (query.origin(), query.target()),
        ("https://a.example", "/b?c")
    );
    assert_eq!(of("GET").of_each_class(), [of("GET"), query]);
}

#[test]
fn what_a_query_asks_selects() {
    let asking = |byte| {
        let mut req = request("QUERY", "http://a.example/", &[("foo", "1")]);
        req.extensions
            .insert(Content::Known(Digest::new([byte; 32])));
        marker(1).key(&Key::of(&req), &req)
    };
    assert_eq!(asking(1), asking(1));
    assert_ne!(asking(1), asking(2));
    assert_eq!(asking(1).primary(), "QUERY http://a.example/");
    let unasked = request("QUERY", "http://a.example/", &[("foo", "1")]);
    assert_ne!(marker(1).key(&Key::of(&unasked), &unasked), asking(1));
}

#[test]
fn variants_are_apart_from_each_other_and_from_the_primary() {
    let primary = Key::of(&request("GET", "http://a.example/", &[]));
    let key = |epoch, value: &str| marker(epoch).key(&primary, &get(&[("foo", value)]));
    assert_ne!(key(1, "a"), key(2, "a"));
    assert_ne!(key(1, "a"), key(1, "b"));
    assert_ne!(key(1, ""), primary);
    assert_eq!(key(1, "a").primary(), primary.as_str());
    assert_eq!(key(1, "a"), key(1, "a"));
    let longer = Key::of(&request("GET", "http://a.example/%20x", &[]));
    assert_ne!(longer.primary(), primary.as_str());
}

#[test]
fn secrets_in_a_selection_are_not_printed() {
    let primary = Key::of(&request("GET", "http://a.example/", &[]));
    let key = marker(7).key(&primary, &get(&[("foo", "secret")]));
    assert!(key.as_str().contains("secret"));
    assert_eq!(format!("{key:?}"), "Key(GET http://a.example/ …)");
    assert_eq!(format!("{primary:?}"), "Key(GET http://a.example/)");
}

#[test]
fn origin_and_target() {
    let key = Key::of(&request("GET", "https://a.example:8443/b/c?d=/e", &[]));
    assert_eq!(key.origin(), "https://a.example:8443");
    assert_eq!(key.target(), "/b/c?d=/e");
    let sibling = key.sibling(&PathAndQuery::from_static("/x"));
    assert_eq!(sibling.as_str(), "GET https://a.example:8443/x");
}

proptest! {
    #[test]
    fn any_host_and_path_survive_the_text(bytes: Vec<u8>, path in "/[!-~&&[^#<>^`]]{0,8}", foo in "[ -~]{0,8}") {
        prop_assume!(path.parse::<Uri>().is_ok());
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let mut req = request("GET", &path, &[]);
        req.headers.insert(HOST, value);
        let primary = Key::of(&req);
        prop_assert_eq!(primary.as_str().matches(' ').count(), 1);
        prop_assert_eq!(primary.primary(), primary.as_str());
        prop_assert_eq!(&Key::parse(primary.as_str()), &primary);
        prop_assert!(primary.as_str().ends_with(&path));
        let variant = marker(1).key(&primary, &get(&[("foo", &foo)]));
        let read = Key::parse(variant.as_str());
        prop_assert_eq!(read.primary(), primary.as_str());
        prop_assert_eq!(read, variant);
    }

    #[test]
    fn parse_takes_any_text(text: String) {
        let key = Key::parse(&text);
        prop_assert_eq!(key.as_str(), &text);
        key.primary();
        key.origin();
    }
}

#[test]
fn below_is_what_adds_segments_or_parameters() {
    let below = |own: &str, top: &str| {
        let key = |uri: &str| Key::of_uri(&uri.parse().unwrap());
        key(own).is_below(&key(top))
    };
    for (own, top) in [
        ("http://h/a", "http://h/a"),
        ("http://h/a/b", "http://h/a"),
        ("http://h/a?b", "http://h/a"),
        ("http://h/a?b=c&d", "http://h/a?b=c"),
        ("http://h/a?b=c", "http://h/a?b="),
        ("http://h/a/b", "http://h/a/"),
        ("http://h/a", "http://H:80"),
    ] {
        assert!(below(own, top), "{own} {top}");
    }
    for (own, top) in [
        ("http://h/ab", "http://h/a"),
        ("http://h/a", "http://h/a/"),
        ("http://h/a", "http://h/a/b"),
        ("http://h/a?bc", "http://h/a?b"),
        ("http://h.evil/", "http://h"),
        ("https://h/a", "http://h/a"),
    ] {
        assert!(!below(own, top), "{own} {top}");
    }
    assert!(Key::parse("QUERY http://h/a/b").is_below(&Key::parse("GET http://h/a")));
    let variant = Key::parse("GET http://h/a/b 00000000000000ff x=/c");
    assert!(variant.is_below(&Key::parse("GET http://h/a")));
    assert!(!variant.is_below(&Key::parse("GET http://h/a/b/c")));
}

#[test]
fn variants_begin_as_their_mark_says() {
    let key = Key::of(&request("GET", "http://h/a", &[]));
    let variant = |epoch| marker(epoch).key(&key, &get(&[]));
    let start = key.start_of_variants(&marker(7));
    assert!(variant(7).as_str().starts_with(&start));
    assert!(!variant(8).as_str().starts_with(&start));
    assert_eq!(key.starts_of_origin(), ["GET http://h/", "QUERY http://h/"]);
}
