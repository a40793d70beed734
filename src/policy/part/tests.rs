//! Parts, alone and joined.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::{at, get, head, headers, response};

const TAG: (&str, &str) = ("etag", "\"a\"");
const FRESH: (&str, &str) = ("cache-control", "max-age=60");

fn part(range: &str, fields: &[(&str, &str)]) -> Head {
    let fields = [&[("content-range", range)], fields].concat();
    head(&Policy::origin(), 206, &fields)
}

fn of(range: &str) -> Option<(u64, u64, Option<u64>)> {
    let part = Part::of(
        StatusCode::PARTIAL_CONTENT,
        &headers(&[("content-range", range)]),
    )?;
    Some((part.range.first, part.range.last, part.complete))
}

#[test]
fn reads_one_part_and_relies_on_nothing_odd() {
    assert_eq!(of("bytes 0-4/10"), Some((0, 4, Some(10))));
    assert_eq!(of("Bytes 9-9/10"), Some((9, 9, Some(10))));
    assert_eq!(of("bytes 5-6/*"), Some((5, 6, None)));
    for odd in [
        "",
        "bytes",
        "bytes 0-4",
        "bytes */10",
        "bytes 4-3/10",
        "bytes 0-10/10",
        "lines 0-4/10",
        "bytes=0-4/10",
        "bytes 0-4/x",
        "bytes -4/10",
        "bytes 0-/10",
        "bytes 0-4, 6-7/10",
        "bytes 0-99999999999999999999/*",
    ] {
        assert_eq!(of(odd), None, "{odd}");
    }
    let line = ("content-range", "bytes 0-4/10");
    assert_eq!(Part::of(StatusCode::OK, &headers(&[line])), None);
    assert_eq!(
        Part::of(StatusCode::PARTIAL_CONTENT, &headers(&[line, line])),
        None
    );
}

#[test]
fn what_came_counts_and_not_what_was_said() {
    let said = part("bytes 4-9/10", &[FRESH]);
    let got = |len| received(&said, len).map(|head| head.part.unwrap().range.last);
    assert_eq!((got(6), got(5), got(1)), (Some(9), Some(8), Some(4)));
    assert_eq!((got(0), got(7)), (None, None));
    let five = received(&said, 5).unwrap();
    assert_eq!(five.headers()["content-range"], "bytes 4-8/10");
    assert_eq!(five.headers()["content-length"], "5");
    let restored = Head::restore(five.stored().clone());
    assert_eq!(restored.part, five.part);
    let all = received(&part("bytes 0-9/10", &[FRESH]), 10).unwrap();
    assert_eq!((all.status(), all.part), (StatusCode::OK, None));
    assert!(!all.headers().contains_key("content-range"));
    let unknown = received(&part("bytes 0-9/*", &[FRESH]), 10).unwrap();
    assert_eq!(unknown.status(), StatusCode::PARTIAL_CONTENT);
}

#[test]
fn parts_are_joined_by_a_strong_validator_alone() {
    let policy = Policy::origin();
    let joined = |old: (&str, &[_]), new: (&str, &[_])| {
        combine(&policy, &part(old.0, old.1), &part(new.0, new.1))
    };
    let strong: &[_] = &[TAG];
    for fields in [
        &[][..],
        &[("etag", "W/\"a\"")],
        &[("etag", "\"b\"")],
        &[("etag", "a")],
    ] {
        assert!(joined(("bytes 0-4/10", strong), ("bytes 5-9/10", fields)).is_none());
        assert!(joined(("bytes 0-4/10", fields), ("bytes 5-9/10", strong)).is_none());
    }
    for (old, new, expected) in [
        ("bytes 0-4/10", "bytes 5-9/10", "10"),
        ("bytes 5-9/10", "bytes 0-4/10", "10"),
        ("bytes 0-4/*", "bytes 3-9/10", "10"),
        ("bytes 2-4/10", "bytes 4-6/10", "bytes 2-6/10"),
        ("bytes 2-8/10", "bytes 4-6/*", "bytes 2-8/10"),
        ("bytes 2-4/*", "bytes 5-6/*", "bytes 2-6/*"),
        ("bytes 0-3/10", "bytes 5-9/10", ""),
        ("bytes 5-9/10", "bytes 0-3/10", ""),
        ("bytes 0-4/10", "bytes 5-9/11", ""),
        ("bytes 2-4/5", "bytes 5-9/*", ""),
    ] {
        let found = joined((old, strong), (new, strong)).map_or(String::new(), |head| {
            let name = if head.part.is_some() {
                "content-range"
            } else {
                "content-length"
            };
            head.headers()[name].to_str().unwrap().to_owned()
        });
        assert_eq!(found, expected, "{old} {new}");
    }
}

#[test]
fn a_joined_head_has_the_new_fields_and_is_as_young() {
    let policy = Policy::origin();
    let stored = part(
        "bytes 0-4/10",
        &[TAG, FRESH, ("a", "1"), ("b", "1"), ("age", "50")],
    );
    let fields = [
        ("content-range", "bytes 5-9/10"),
        TAG,
        FRESH,
        ("a", "2"),
        ("set-cookie", "c"),
    ];
    let new = policy.head(&get(&[]), &response(206, &fields), at(98), at(100));
    let whole = combine(&policy, &stored, &new).unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(
        (&whole.headers()["a"], &whole.headers()["b"]),
        (&new.headers()["a"], &stored.headers()["b"])
    );
    assert_eq!((whole.age(at(100)), whole.ttl(at(100))), (2, 58));
    assert!(whole.sets_cookie);
}

#[test]
fn the_rest_is_asked_for_where_it_makes_a_whole() {
    let ask = |range, fields: &[_]| {
        let mut asked = HeaderMap::new();
        ask_for_rest(&mut asked, &part(range, fields)).then_some(asked)
    };
    let asked = ask("bytes 0-4/10", &[TAG]).unwrap();
    assert_eq!(
        asked,
        headers(&[("range", "bytes=5-"), ("if-range", "\"a\"")])
    );
    assert!(ask("bytes 1-4/10", &[TAG]).is_none());
    assert!(ask("bytes 0-4/*", &[TAG]).is_none());
    assert!(ask("bytes 0-4/10", &[]).is_none());
    assert!(ask("bytes 0-4/10", &[("etag", "W/\"a\"")]).is_none());
}

proptest! {
    #[test]
    fn never_panics(range in "(bytes )?[0-9]{0,22}-[0-9]{0,22}/([0-9]{0,22}|\\*)", len: u64, other in 0u64..20) {
        let one = part(&range, &[TAG]);
        if let Some(head) = received(&one, len) {
            combine(&Policy::origin(), &head, &part(&format!("bytes {other}-30/*"), &[TAG]));
            ask_for_rest(&mut HeaderMap::new(), &head);
        }
    }
}
