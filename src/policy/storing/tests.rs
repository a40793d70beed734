//! What is kept, for how long, and why not.

use super::*;
use crate::policy::testing::{at, date_at, get, head, ok, request, response};

const DAY: u64 = 86_400;

fn admit(req: &request::Parts) -> Admit {
    Policy::origin().admit(req)
}

fn kept(policy: &Policy, req: &request::Parts, status: u16, fields: &[(&str, &str)]) -> Keep {
    let head = policy.head(req, &response(status, fields), at(0), at(0));
    policy.keep(req, &head, at(0))
}

fn plain(status: u16, fields: &[(&str, &str)]) -> Keep {
    kept(&Policy::origin(), &get(&[]), status, fields)
}

fn with(req: &[(&str, &str)], line: &str) -> Keep {
    kept(
        &Policy::origin(),
        &get(req),
        200,
        &[("cache-control", line)],
    )
}

const fn secs(seconds: u64) -> Keep {
    Keep::For(Duration::from_secs(seconds))
}

/// Of what was fresh for so long, and may be served stale to who accepts it so.
const fn tolerated(seconds: u64) -> Keep {
    secs(seconds + 600)
}

fn is_kept(found: Keep) -> bool {
    matches!(found, Keep::For(_))
}

#[test]
fn a_query_is_looked_up_where_it_is_known_what_it_asks() {
    let mut req = request("QUERY", "/", &[("content-length", "2")]);
    let fresh = [("cache-control", "max-age=5")];
    assert_eq!(admit(&req), Admit::Pass(Reason::Method));
    let unkept = Keep::No(Reason::Method);
    assert_eq!(kept(&Policy::origin(), &req, 200, &fresh), unkept);
    let reason = Reason::QueryTooLarge;
    req.extensions.insert(Content::Unknown(reason));
    assert_eq!(admit(&req), Admit::Pass(reason));
    assert_eq!(kept(&Policy::origin(), &req, 200, &fresh), unkept);
    let known = Content::Known(Digest::new([7; 32]));
    req.extensions.insert(known);
    assert_eq!(admit(&req), Admit::Lookup);
    assert_eq!(kept(&Policy::origin(), &req, 200, &fresh), tolerated(5));
    req.method = Method::PUT;
    assert_eq!(admit(&req), Admit::Invalidate);
}

#[test]
fn methods() {
    let admit = |method: &str, fields: &[(&str, &str)]| admit(&request(method, "/", fields));
    for method in ["GET", "HEAD"] {
        assert_eq!(admit(method, &[]), Admit::Lookup);
        assert_eq!(admit(method, &[("content-length", "0")]), Admit::Lookup);
        for body in [
            ("content-length", "1"),
            ("content-length", "x"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(admit(method, &[body]), Admit::Pass(Reason::RequestBody));
        }
        assert_eq!(
            admit(method, &[("content-length", "0"), ("content-length", "5")]),
            Admit::Pass(Reason::RequestBody)
        );
        assert_eq!(
            admit(method, &[("upgrade", "websocket")]),
            Admit::Pass(Reason::RequestBody)
        );
        assert_eq!(admit(method, &[("upgrade", "h2c")]), Admit::Lookup);
    }
    for method in ["OPTIONS", "TRACE", "CONNECT", "QUERY", "PROPFIND"] {
        let uri = if method == "CONNECT" {
            "a.example:1"
        } else {
            "/"
        };
        let found = Policy::origin().admit(&request(method, uri, &[]));
        assert_eq!(found, Admit::Pass(Reason::Method), "{method}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
        assert_eq!(admit(method, &[]), Admit::Invalidate, "{method}");
    }
}

#[test]
fn a_request_that_says_no_store_passes() {
    let admit = |line| admit(&get(&[("cache-control", line)]));
    assert_eq!(admit("no-store"), Admit::Pass(Reason::NoStore));
    assert_eq!(admit("no-store, only-if-cached"), Admit::Lookup);
    assert_eq!(
        with(&[("cache-control", "no-store")], "max-age=9"),
        Keep::No(Reason::NoStore)
    );
}

#[test]
fn what_the_response_forbids() {
    for (line, reason) in [
        ("max-age=60, No-Store", Reason::NoStore),
        ("no-store=x, public", Reason::NoStore),
        ("PRIVATE, max-age=60", Reason::Private),
        ("private, s-maxage=60, public", Reason::Private),
        ("no-cache, max-age=60", Reason::NoFreshness),
        ("max-age=0", Reason::NoFreshness),
        ("max-age=x", Reason::NoFreshness),
        ("public", Reason::NoFreshness),
    ] {
        assert_eq!(with(&[], line), Keep::No(reason), "{line}");
    }
    assert_eq!(
        with(&[], "private=\"x\", no-cache=\"y\", max-age=60"),
        tolerated(60)
    );
    let star = [("cache-control", "max-age=60"), ("vary", "a, *")];
    assert_eq!(plain(200, &star), Keep::No(Reason::VaryStar));
}

#[test]
fn must_understand() {
    let line = [("cache-control", "max-age=60, must-understand, no-store")];
    assert_eq!(plain(200, &line), tolerated(60));
    assert_eq!(plain(404, &line), tolerated(60));
    for status in [299, 418, 599] {
        assert_eq!(plain(status, &line), Keep::No(Reason::Status), "{status}");
        assert_eq!(
            plain(status, &[("cache-control", "max-age=60")]),
            tolerated(60),
            "{status}"
        );
    }
}

#[test]
fn statuses_with_an_explicit_lifetime() {
    let line = [("cache-control", "max-age=60")];
    for status in [
        200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 431, 499, 500, 503,
        599,
    ] {
        assert_eq!(plain(status, &line), tolerated(60), "{status}");
    }
    assert_eq!(plain(416, &line), Keep::No(Reason::Partial));
    for status in [100, 103, 304, 412] {
        assert_eq!(plain(status, &line), Keep::No(Reason::Status), "{status}");
    }
    // Only in a 206 or 416 does it mean anything (RFC 9110 §14.4).
    assert_eq!(
        plain(200, &[line[0], ("content-range", "bytes 0-1/9")]),
        tolerated(60)
    );
}

#[test]
fn a_part_is_kept_if_it_is_one_and_was_asked_for() {
    let range = ("range", "bytes=0-1");
    let line = ("cache-control", "max-age=60");
    let part = ("content-range", "bytes 0-1/9");
    let kept = |asked: &[_], fields: &[_]| kept(&Policy::origin(), &get(asked), 206, fields);
    assert_eq!(kept(&[range], &[line, part]), tolerated(60));
    for (asked, fields) in [
        (&[][..], &[line, part][..]),
        (&[range, ("if-range", "\"a\"")], &[line, part]),
        (&[range], &[line]),
        (&[range], &[line, ("content-type", "multipart/byteranges")]),
    ] {
        assert_eq!(kept(asked, fields), Keep::No(Reason::Partial), "{asked:?}");
    }
    let silent = |policy: &Policy| policy.keep(&get(&[range]), &head(policy, 206, &[part]), at(0));
    assert_eq!(silent(&Policy::default()), tolerated(60));
    assert_eq!(silent(&Policy::origin()), Keep::No(Reason::NoFreshness));
}

#[test]
fn statuses_without_one() {
    let policy = Policy::default();
    let silent = |status, fields: &[_]| kept(&policy, &get(&[]), status, fields);
    for status in [200, 203, 204, 300, 301, 308] {
        assert_eq!(silent(status, &[]), tolerated(60), "{status}");
    }
    for status in [
        201, 202, 302, 303, 307, 400, 403, 404, 405, 408, 413, 414, 429, 431, 500, 501, 502, 503,
        504,
    ] {
        let tagged = [("etag", "\"a\"")];
        assert_eq!(
            silent(status, &tagged),
            Keep::No(Reason::Status),
            "{status}"
        );
    }
    let (changed, now) = (date_at(-1000), date_at(0));
    let old = [("date", now.as_str()), ("last-modified", &changed)];
    assert_eq!(plain(404, &old), secs(100 + DAY));
    assert_eq!(plain(403, &old), Keep::No(Reason::Status));
    assert_eq!(
        plain(499, &[old[0], old[1], ("cache-control", "public")]),
        secs(100 + DAY)
    );
    for provoked in [400, 405, 414, 501, 599] {
        let public = [old[0], old[1], ("cache-control", "public")];
        assert_eq!(plain(provoked, &public), Keep::No(Reason::Status));
    }
}

#[test]
fn credentials() {
    let auth = [("authorization", "x")];
    assert_eq!(with(&auth, "max-age=60"), Keep::No(Reason::Authorization));
    for line in [
        "max-age=60, public",
        "s-maxage=60",
        "max-age=60, must-revalidate",
    ] {
        assert!(is_kept(with(&auth, line)), "{line}");
    }
    assert_eq!(
        with(&auth, "max-age=60, proxy-revalidate"),
        Keep::No(Reason::Authorization)
    );
    let silent = kept(&Policy::default(), &get(&auth), 200, &[]);
    assert_eq!(silent, Keep::No(Reason::Authorization));
}

#[test]
fn a_demand_for_credentials_is_not_for_those_who_have_them() {
    for status in [401, 407] {
        let found = |line| plain(status, &[("cache-control", line)]);
        assert_eq!(found("max-age=60"), Keep::No(Reason::Authorization));
        assert_eq!(found("max-age=60, public"), tolerated(60));
    }
}

#[test]
fn cookies() {
    let cookie = [("cookie", "a=b")];
    for line in ["max-age=60", "max-age=60, must-revalidate"] {
        assert_eq!(with(&cookie, line), Keep::No(Reason::Cookie), "{line}");
        let set = [("cache-control", line), ("set-cookie", "a=b")];
        assert_eq!(plain(200, &set), Keep::No(Reason::SetCookie), "{line}");
    }
    for line in ["max-age=60, public", "s-maxage=60"] {
        assert!(is_kept(with(&cookie, line)), "{line}");
        let set = [("cache-control", line), ("set-cookie", "a=b")];
        assert!(is_kept(plain(200, &set)), "{line}");
    }
    for line in [
        "max-age=60, private=\"set-cookie\"",
        "max-age=60, no-cache=\"Set-Cookie\"",
    ] {
        let set = [("cache-control", line), ("set-cookie", "a=b")];
        assert_eq!(plain(200, &set), tolerated(60), "{line}");
    }
}

#[test]
fn head_is_not_get() {
    let line = [("cache-control", "max-age=60, public")];
    let policy = Policy::origin();
    let head = kept(&policy, &request("HEAD", "/", &[]), 200, &line);
    assert_eq!(head, Keep::No(Reason::Method));
    let put = kept(&policy, &request("PUT", "/", &[]), 200, &line);
    assert_eq!(put, Keep::No(Reason::Method));
}

#[test]
fn a_post_is_kept_when_it_says_that_it_is_the_get() {
    let post = request("POST", "http://a.example/x?y", &[]);
    let kept = |status, location: &str, line: &str| {
        let fields = [("content-location", location), ("cache-control", line)];
        kept(&Policy::default(), &post, status, &fields)
    };
    for location in ["http://a.example:80/x?y", "/x?y", ""] {
        assert_eq!(
            kept(200, location, "max-age=60"),
            tolerated(60),
            "{location}"
        );
    }
    let no = Keep::No(Reason::Method);
    assert_eq!(kept(200, "/x", "max-age=60"), no);
    assert_eq!(kept(200, "https://a.example/x?y", "max-age=60"), no);
    assert_eq!(kept(201, "/x?y", "max-age=60"), no);
    assert_eq!(kept(200, "/x?y", "public"), no);
}

#[test]
fn for_as_long_as_it_is_of_use() {
    assert_eq!(
        with(
            &[],
            "max-age=60, stale-while-revalidate=30, stale-if-error=900"
        ),
        secs(960)
    );
    assert_eq!(
        with(&[], "max-age=60, stale-if-error=90, must-revalidate"),
        secs(60)
    );
    assert_eq!(with(&[], "s-maxage=60, stale-if-error=90"), secs(60));
    let aged = |age, line| plain(200, &[("age", age), ("cache-control", line)]);
    assert_eq!(aged("20", "max-age=60"), tolerated(40));
    assert_eq!(aged("70", "max-age=60"), Keep::No(Reason::NoFreshness));
    assert_eq!(
        aged("70", "max-age=60, stale-while-revalidate=30"),
        secs(20)
    );
    assert_eq!(
        aged("90", "max-age=60, stale-while-revalidate=30"),
        Keep::No(Reason::NoFreshness)
    );
    let tagged = |line| plain(200, &[("etag", "\"a\""), ("cache-control", line)]);
    assert_eq!(tagged("max-age=60"), secs(60 + DAY));
    assert_eq!(tagged("no-cache"), secs(DAY));
    assert_eq!(
        tagged("max-age=60, stale-if-error=999999"),
        secs(60 + 999_999)
    );
    assert_eq!(plain(200, &[("etag", "\"a\"")]), secs(DAY));
    let late = ok(&[("cache-control", "max-age=60")]);
    assert_eq!(
        Policy::origin().keep(&get(&[]), &late, at(50)),
        tolerated(10)
    );
    assert_eq!(
        Policy::origin().keep(&get(&[]), &late, at(60)),
        Keep::No(Reason::NoFreshness)
    );
}

#[test]
fn the_defaults_for_staleness_count_where_the_origin_says_nothing() {
    let policy = Policy::default()
        .default_stale_while_revalidate(Duration::from_secs(705))
        .default_stale_if_error(Duration::from_secs(707));
    let left = |fields: &[(&str, &str)]| policy.keep(&get(&[]), &head(&policy, 200, fields), at(0));
    assert_eq!(left(&[]), secs(767));
    assert_eq!(left(&[("cache-control", "stale-if-error=0")]), secs(765));
    assert_eq!(left(&[("cache-control", "must-revalidate")]), secs(60));
}
