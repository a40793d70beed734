//! Who is let in, and who is not.

use super::*;

const TOKEN: &str = "0123456789abcdef";

const NEAR: Entrance = Entrance {
    serves: Serves::All,
    near: true,
};

fn open() -> Access {
    Access::new(None, &["Larder.internal".to_owned()])
}

fn guarded() -> Access {
    Access::new(Some(Token::parse(TOKEN).unwrap()), [])
}

fn head(fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::delete("/cache");
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "127.0.0.1:8000");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn told(access: &Access, entrance: Entrance, fields: &[(&str, &str)]) -> &'static str {
    match access.check(entrance, &mut head(fields)) {
        Ok(()) => "ok",
        Err(error) => error.code,
    }
}

#[test]
fn without_a_token_who_is_near_is_let_in() {
    assert_eq!(told(&open(), NEAR, &[]), "ok");
    for (serves, near) in [(Serves::All, false), (Serves::Proxied, true)] {
        let entrance = Entrance { serves, near };
        assert_eq!(told(&open(), entrance, &[]), "controls_closed");
    }
    let near = |listening: &str, peer: &str| {
        let [listening, peer] = [listening, peer].map(|address| address.parse().unwrap());
        Entrance::new(Serves::All, listening, peer).near
    };
    assert!(near("127.0.0.1:80", "127.0.0.9:5000"));
    assert!(near("[::1]:80", "[::1]:5000"));
    assert!(near("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:5000"));
    assert!(!near("0.0.0.0:80", "127.0.0.1:5000"));
    assert!(!near("[::]:80", "[::ffff:127.0.0.1]:5000"));
    assert!(!near("127.0.0.1:80", "10.0.0.1:5000"));
}

#[test]
fn without_a_token_the_name_is_one_of_this_machine() {
    for (host, expected) in [
        ("localhost:8000", "ok"),
        ("LOCALHOST", "ok"),
        ("a.localhost", "ok"),
        ("[::1]:8000", "ok"),
        ("10.1.2.3", "ok"),
        ("larder.internal:8000", "ok"),
        ("rebound.example", "foreign_host"),
        ("localhost.example", "foreign_host"),
        ("127.0.0.1.example", "foreign_host"),
        ("@", "foreign_host"),
    ] {
        assert_eq!(told(&open(), NEAR, &[("host", host)]), expected, "{host}");
    }
}

#[test]
fn with_a_token_it_alone_opens() {
    let far = Entrance {
        serves: Serves::Proxied,
        near: false,
    };
    let show = |shown: &str| told(&guarded(), far, &[("authorization", shown)]);
    assert_eq!(show(&format!("Bearer {TOKEN}")), "ok");
    assert_eq!(show(&format!("bearer  {TOKEN} ")), "ok");
    for no in [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        "Basic 0123456789abcdef",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdeF",
        "Bearer 0123456789abcdef0",
        "Bearer 0123456789abcdef,x",
    ] {
        assert_eq!(show(no), "unauthorized", "{no:?}");
    }
    // Being near is not enough any more; the name does not matter.
    assert_eq!(told(&guarded(), NEAR, &[]), "unauthorized");
    let right = ("authorization", "Bearer 0123456789abcdef");
    let named = [("host", "cache.example"), right];
    assert_eq!(told(&guarded(), far, &named), "ok");
}

#[test]
fn the_token_is_not_part_of_what_is_asked() {
    let mut asked = head(&[("authorization", "Bearer 0123456789abcdef")]);
    guarded().check(NEAR, &mut asked).unwrap();
    assert!(!asked.headers().contains_key("authorization"));
    // Without one it is the request's own.
    let mut asked = head(&[("authorization", "Bearer 0123456789abcdef")]);
    open().check(NEAR, &mut asked).unwrap();
    assert!(asked.headers().contains_key("authorization"));
}

#[test]
fn pages_of_other_sites_are_refused() {
    let right = ("authorization", "Bearer 0123456789abcdef");
    for (fields, expected) in [
        (&[("sec-fetch-site", "same-origin")][..], "ok"),
        (&[("sec-fetch-site", "none")], "ok"),
        (&[("sec-fetch-site", "cross-site")], "cross_site"),
        (&[("sec-fetch-site", "same-site")], "cross_site"),
        (
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            "cross_site",
        ),
        (&[("origin", "http://127.0.0.1:8000")], "ok"),
        (&[("origin", "https://127.0.0.1:8000")], "ok"),
        (
            &[("host", "127.0.0.1"), ("origin", "http://127.0.0.1:80")],
            "ok",
        ),
        (&[("origin", "http://127.0.0.1:8001")], "cross_site"),
        (&[("origin", "http://127.0.0.1")], "cross_site"),
        (&[("origin", "http://evil.example")], "cross_site"),
        (&[("origin", "null")], "cross_site"),
        (&[("origin", "")], "cross_site"),
        (&[("origin", "file://")], "cross_site"),
    ] {
        assert_eq!(told(&open(), NEAR, fields), expected, "{fields:?}");
        let fields = [fields, &[right]].concat();
        assert_eq!(told(&guarded(), NEAR, &fields), expected, "{fields:?}");
    }
}

#[test]
fn tokens_are_long_and_plain_and_never_shown() {
    assert!(Token::parse(TOKEN).is_ok());
    for no in [
        "",
        "short",
        "0123456789abcde",
        "0123456789 abcdef",
        "0123456789abcdéf",
    ] {
        assert!(Token::parse(no).is_err(), "{no}");
    }
    assert_eq!(format!("{:?}", guarded().token), "Some(Token(***))");
    assert!(!format!("{:?}", guarded()).contains(TOKEN));
}
