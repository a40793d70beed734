//! Conditional requests and what a 304 changes.

use super::*;
use crate::policy::{
    Source,
    testing::{at, date_at, get, head, headers, ok, request, response},
};

const LONG_AGO: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Freshens a response by a 304 that was asked for at 98 and came at 100.
fn freshened(stored: &[(&str, &str)], news: &[(&str, &str)]) -> Option<Head> {
    let policy = Policy::origin();
    policy.freshen(
        &ok(stored),
        &get(&[]),
        &response(304, news),
        at(98),
        at(100),
    )
}

fn answer(stored: &[(&str, &str)], req: &[(&str, &str)]) -> Precondition {
    Policy::origin().precondition(&get(req), &ok(stored))
}

#[test]
fn conditions_of_our_own_in_place_of_the_clients() {
    let own = [
        ("if-match", "\"x\""),
        ("if-none-match", "\"x\""),
        ("if-none-match", "\"y\""),
        ("if-modified-since", LATER),
        ("if-unmodified-since", LATER),
        ("if-range", "\"x\""),
        ("range", "bytes=0-1"),
        ("accept", "a/b"),
    ];
    let conditional = |stored: Option<&[(&str, &str)]>| {
        let mut fields = headers(&own);
        let stored = stored.map(ok);
        let made = Policy::origin().make_conditional(&mut fields, stored.as_ref());
        (made, fields)
    };
    let accept = ("accept", "a/b");
    assert_eq!(conditional(None), (false, headers(&[accept])));
    assert_eq!(conditional(Some(&[])), (false, headers(&[accept])));
    assert_eq!(
        conditional(Some(&[("last-modified", "x")])),
        (false, headers(&[accept]))
    );
    let tag = ("if-none-match", "W/\"a\"");
    assert_eq!(
        conditional(Some(&[("etag", "W/\"a\"")])),
        (true, headers(&[accept, tag]))
    );
    let since = ("if-modified-since", LONG_AGO);
    let both = [("etag", "W/\"a\""), ("last-modified", LONG_AGO)];
    assert_eq!(
        conditional(Some(&both[1..])),
        (true, headers(&[accept, since]))
    );
    assert_eq!(
        conditional(Some(&both)),
        (true, headers(&[accept, tag, since]))
    );
}

#[test]
fn a_304_updates_what_it_may_and_leaves_the_rest() {
    let stored = [
        ("etag", "\"a\""),
        ("cache-control", "max-age=1"),
        ("content-encoding", "gzip"),
        ("content-length", "5"),
        ("content-md5", "old"),
        ("content-range", "old"),
        ("content-type", "text/plain"),
        ("kept", "1"),
        ("changed", "1"),
        ("changed", "2"),
    ];
    let news = [
        ("etag", "W/\"a\""),
        ("cache-control", "max-age=3600"),
        ("connection", "hop"),
        ("content-encoding", "br"),
        ("content-length", "0"),
        ("content-md5", "new"),
        ("content-range", "new"),
        ("content-type", "text/plain;charset=utf-8"),
        ("changed", "3"),
        ("added", "1"),
        ("added", "2"),
        ("hop", "1"),
        ("set-cookie", "a=b"),
    ];
    let head = freshened(&stored, &news).unwrap();
    let mut fields = head.headers().clone();
    for slot in ["accept-ranges", "cache-status", "x-cache"] {
        fields.remove(slot);
    }
    assert_eq!(
        fields,
        headers(&[
            ("etag", "\"a\""),
            ("cache-control", "max-age=3600"),
            ("content-encoding", "gzip"),
            ("content-length", "5"),
            ("content-md5", "old"),
            ("content-range", "old"),
            ("content-type", "text/plain;charset=utf-8"),
            ("kept", "1"),
            ("changed", "3"),
            ("added", "1"),
            ("added", "2"),
            ("age", "2"),
            ("date", &date_at(100)),
        ])
    );
    assert_eq!(head.status(), StatusCode::OK);
    assert!(!head.sets_cookie);
}

#[test]
fn a_304_makes_young_again() {
    let tag = ("etag", "\"a\"");
    let stored = [
        tag,
        ("cache-control", "max-age=60"),
        ("age", "50"),
        ("date", &date_at(0)),
    ];
    assert_eq!(ok(&stored).ttl(at(100)), -90);
    let head = freshened(&stored, &[tag]).unwrap();
    assert_eq!((head.age(at(100)), head.ttl(at(100))), (2, 58));
    let head = freshened(&stored, &[tag, ("age", "30"), ("date", &date_at(60))]).unwrap();
    assert_eq!((head.age(at(100)), head.ttl(at(100))), (40, 20));
    let head = freshened(&stored, &[tag, ("cache-control", "no-cache")]).unwrap();
    assert!(head.directives().no_cache && !head.is_fresh(at(100)));
    // An `Expires` that is not replaced has passed.
    let head = freshened(&[tag, ("expires", &date_at(60))], &[tag]).unwrap();
    assert_eq!(head.stored().lifetime.source, Source::Expires);
    assert_eq!(head.ttl(at(100)), -2);
}

#[test]
fn a_304_does_not_bring_in_what_is_not_stored() {
    let tag = ("etag", "\"a\"");
    let stored = [
        tag,
        ("cache-control", "max-age=9, no-cache=\"x\""),
        ("x", "1"),
    ];
    let head = freshened(&stored, &[tag, ("x", "2")]).unwrap();
    assert!(!head.headers().contains_key("x"));
    let news = [tag, ("cache-control", "private=\"y\""), ("y", "2")];
    let head = freshened(&[tag, ("y", "1")], &news).unwrap();
    assert!(!head.headers().contains_key("y"));
}

#[test]
fn a_304_about_something_else_freshens_nothing() {
    let tag = ("etag", "\"a\"");
    let modified = ("last-modified", LONG_AGO);
    for (stored, news) in [
        (&[tag][..], &[tag][..]),
        (&[tag], &[]),
        (&[modified], &[]),
        (&[modified], &[modified]),
        (&[tag, modified], &[modified]),
        (&[tag], &[tag, modified]),
        (&[tag], &[modified]),
        (&[("etag", "W/\"a\"")], &[tag]),
        (
            &[modified],
            &[("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")],
        ),
    ] {
        assert!(freshened(stored, news).is_some(), "{stored:?} {news:?}");
    }
    for (stored, news) in [
        (&[tag][..], &[("etag", "\"b\"")][..]),
        (&[tag, modified], &[("etag", "\"b\""), modified]),
        (&[modified], &[tag, modified]),
        (&[modified], &[("last-modified", LATER)]),
        (&[tag, modified], &[("last-modified", LATER)]),
        (&[], &[tag]),
    ] {
        assert!(freshened(stored, news).is_none(), "{stored:?} {news:?}");
    }
}

#[test]
fn if_none_match_compares_weakly() {
    let stored = [("etag", "W/\"a,b\"")];
    for list in ["\"a,b\"", "\"x\", W/\"a,b\"", "*"] {
        assert_eq!(
            answer(&stored, &[("if-none-match", list)]),
            Precondition::NotModified,
            "{list}"
        );
    }
    for list in ["\"a\"", "a,b", "", "\"x\""] {
        assert_eq!(
            answer(&stored, &[("if-none-match", list)]),
            Precondition::Proceed,
            "{list}"
        );
    }
    assert_eq!(
        answer(&[], &[("if-none-match", "\"\"")]),
        Precondition::Proceed
    );
}

#[test]
fn if_none_match_comes_before_if_modified_since() {
    let stored = [("etag", "\"a\""), ("last-modified", LONG_AGO)];
    let since = ("if-modified-since", LATER);
    let found = |tag| answer(&stored, &[("if-none-match", tag), since]);
    assert_eq!(found("\"b\""), Precondition::Proceed);
    assert_eq!(found("\"a\""), Precondition::NotModified);
    let early = ("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT");
    assert_eq!(
        answer(&stored, &[("if-none-match", "\"a\""), early]),
        Precondition::NotModified
    );
}

#[test]
fn if_modified_since() {
    let stored = [("last-modified", LONG_AGO)];
    let found = |since| answer(&stored, &[("if-modified-since", since)]);
    assert_eq!(found(LONG_AGO), Precondition::NotModified);
    assert_eq!(found(LATER), Precondition::NotModified);
    assert_eq!(
        found("Sunday, 06-Nov-94 08:49:37 GMT"),
        Precondition::NotModified
    );
    assert_eq!(
        found("Sun, 06 Nov 1994 08:49:36 GMT"),
        Precondition::Proceed
    );
    assert_eq!(found("x"), Precondition::Proceed);
    let twice = [("if-modified-since", LATER), ("if-modified-since", LATER)];
    assert_eq!(answer(&stored, &twice), Precondition::Proceed);
    // Without Last-Modified, Date stands in.
    assert_eq!(
        answer(&[], &[("if-modified-since", &date_at(0))]),
        Precondition::NotModified
    );
    assert_eq!(
        answer(&[], &[("if-modified-since", &date_at(-1))]),
        Precondition::Proceed
    );
}

#[test]
fn if_match_and_if_unmodified_since() {
    let stored = [("etag", "\"a\""), ("last-modified", LATER)];
    let found = |fields: &[_]| answer(&stored, fields);
    assert_eq!(
        found(&[("if-match", "\"b\", \"a\"")]),
        Precondition::Proceed
    );
    assert_eq!(found(&[("if-match", "*")]), Precondition::Proceed);
    assert_eq!(found(&[("if-match", "W/\"a\"")]), Precondition::Failed);
    assert_eq!(found(&[("if-match", "\"b\"")]), Precondition::Failed);
    assert_eq!(answer(&[], &[("if-match", "\"b\"")]), Precondition::Failed);
    let early = ("if-unmodified-since", LONG_AGO);
    assert_eq!(found(&[early]), Precondition::Failed);
    assert_eq!(
        found(&[("if-match", "\"a\""), early]),
        Precondition::Proceed
    );
    assert_eq!(
        found(&[("if-unmodified-since", LATER)]),
        Precondition::Proceed
    );
    assert_eq!(answer(&[], &[early]), Precondition::Proceed);
    // They come before the others.
    assert_eq!(
        found(&[("if-match", "\"b\""), ("if-none-match", "\"a\"")]),
        Precondition::Failed
    );
    assert_eq!(
        found(&[("if-match", "\"a\""), ("if-none-match", "\"a\"")]),
        Precondition::NotModified
    );
}

#[test]
fn only_reads_of_a_200() {
    let stored = [("etag", "\"a\"")];
    let condition = [("if-none-match", "\"a\"")];
    let policy = Policy::origin();
    let asked = |method, status| {
        policy.precondition(
            &request(method, "/", &condition),
            &head(&policy, status, &stored),
        )
    };
    assert_eq!(asked("GET", 200), Precondition::NotModified);
    assert_eq!(asked("HEAD", 200), Precondition::NotModified);
    assert_eq!(asked("POST", 200), Precondition::Proceed);
    assert_eq!(asked("GET", 301), Precondition::Proceed);
    assert_eq!(asked("GET", 404), Precondition::Proceed);
}
