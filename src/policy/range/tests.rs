//! Ranges, usable and not.

use proptest::prelude::*;

use super::*;
use crate::policy::{
    Policy, content_range,
    testing::{date_at, get, head, ok, request},
};

fn of(line: &str, len: u64) -> Selected {
    Policy::origin().select(&get(&[("range", line)]), &ok(&[]), len)
}

fn parts(ranges: &[(u64, u64)]) -> Selected {
    let part = |&(first, last)| ByteRange { first, last };
    Selected::Parts(ranges.iter().map(part).collect())
}

#[test]
fn one_range() {
    for (line, part) in [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-1", (0, 1)),
        ("bytes=1-", (1, 9)),
        ("bytes=9-", (9, 9)),
        ("bytes=-1", (9, 9)),
        ("bytes=-10", (0, 9)),
        ("bytes=-999999999999999999999", (0, 9)),
        ("bytes=5-999999999999999999999", (5, 9)),
        ("Bytes=2-3", (2, 3)),
        ("bytes= 2-3 ,", (2, 3)),
    ] {
        assert_eq!(of(line, 10), parts(&[part]), "{line}");
    }
}

#[test]
fn the_last_bytes_of_none_are_the_whole() {
    assert_eq!(of("bytes=-5", 0), Selected::Whole);
}

#[test]
fn several_ranges() {
    assert_eq!(
        of("bytes=0-1, 4-5,-1", 10),
        parts(&[(0, 1), (4, 5), (9, 9)])
    );
    assert_eq!(of("bytes=-1,0-1", 10), parts(&[(9, 9), (0, 1)]));
    assert_eq!(of("bytes=0-1,20-30", 10), parts(&[(0, 1)]));
    assert_eq!(of("bytes=0-3,2-5", 10), parts(&[(0, 5)]));
    assert_eq!(of("bytes=5-6,8-9,0-1,2-4", 10), parts(&[(0, 6), (8, 9)]));
    assert_eq!(of("bytes=0-,0-,0-", 10), parts(&[(0, 9)]));
    assert_eq!(of("bytes=0-,3-4", u64::MAX), parts(&[(0, u64::MAX - 1)]));
}

#[test]
fn too_many_ranges_get_the_whole() {
    let many = |count: u64| {
        let specs: Vec<_> = (0..count).map(|nth| format!("{0}-{0}", nth * 2)).collect();
        of(&format!("bytes={}", specs.join(",")), 1000)
    };
    assert!(matches!(many(16), Selected::Parts(parts) if parts.len() == 16));
    assert_eq!(many(17), Selected::Whole);
    assert_eq!(
        of(&format!("bytes=0-{}", ",0-".repeat(1000)), 10),
        Selected::Whole
    );
}

#[test]
fn outside() {
    for line in [
        "bytes=10-",
        "bytes=10-20,30-",
        "bytes=-0",
        "bytes=99999999999999999999-",
    ] {
        assert_eq!(of(line, 10), Selected::Unsatisfiable, "{line}");
    }
    for line in ["bytes=0-", "bytes=0-0", "bytes=-0"] {
        assert_eq!(of(line, 0), Selected::Unsatisfiable, "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_ignored() {
    for line in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5",
        "bytes=3-2",
        "bytes=a-b",
        "bytes=0-1x",
        "bytes=0--1",
        "bytes=+1-2",
        "lines=0-1",
        "bytes=0-1,x",
        "bytes=0 - 1",
        "bytes:0-1",
    ] {
        assert_eq!(of(line, 10), Selected::Whole, "{line}");
    }
    let policy = Policy::origin();
    let twice = get(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(policy.select(&twice, &ok(&[]), 10), Selected::Whole);
    assert_eq!(policy.select(&get(&[]), &ok(&[]), 10), Selected::Whole);
}

#[test]
fn only_a_get_of_a_200() {
    let policy = Policy::origin();
    let select = |method, status| {
        let req = request(method, "/", &[("range", "bytes=0-0")]);
        policy.select(&req, &head(&policy, status, &[]), 10)
    };
    assert_eq!(select("GET", 200), parts(&[(0, 0)]));
    assert_eq!(select("QUERY", 200), parts(&[(0, 0)]));
    assert_eq!(select("HEAD", 200), Selected::Whole);
    assert_eq!(select("GET", 404), Selected::Whole);
    assert_eq!(select("GET", 203), Selected::Whole);
}

#[test]
fn if_range_needs_a_strong_validator() {
    let (now, earlier) = (date_at(0), date_at(-1));
    let part = |stored: &[(&str, &str)], condition: &str| {
        let req = get(&[("range", "bytes=0-0"), ("if-range", condition)]);
        Policy::origin().select(&req, &ok(stored), 10) != Selected::Whole
    };
    let tag = [("etag", "\"a\"")];
    assert!(part(&tag, "\"a\""));
    assert!(!part(&tag, "\"b\"") && !part(&tag, "W/\"a\"") && !part(&tag, "a"));
    assert!(!part(&[("etag", "W/\"a\"")], "W/\"a\""));
    assert!(!part(&[("etag", "a")], "a") && !part(&[], "\"a\""));
    assert!(part(
        &[("date", &now), ("last-modified", &earlier)],
        &earlier
    ));
    assert!(!part(&[("date", &now), ("last-modified", &earlier)], &now));
    assert!(!part(&[("date", &now), ("last-modified", &now)], &now));
    assert!(!part(&[("date", &now)], &now));
}

proptest! {
    #[test]
    fn parts_lie_inside_apart_and_hold_every_byte_asked_for(
        specs in prop::collection::vec((any::<u8>(), prop::option::of(any::<u8>())), 1..20),
        len in 0u64..200,
    ) {
        let line: Vec<_> = specs.iter().map(|(first, more)| match more {
            Some(more) => format!("{first}-{}", u64::from(*first) + u64::from(*more)),
            None => format!("{first}-"),
        }).collect();
        let asked = |byte: u64| specs.iter().any(|&(first, more)| {
            byte >= first.into() && more.is_none_or(|more| byte <= u64::from(first) + u64::from(more))
        });
        match of(&format!("bytes={}", line.join(",")), len) {
            Selected::Whole => prop_assert!(specs.len() > 16),
            Selected::Unsatisfiable => prop_assert!((0..len).all(|byte| !asked(byte))),
            Selected::Parts(parts) => {
                for byte in 0..len {
                    let holding = parts.iter().filter(|part| part.first <= byte && byte <= part.last);
                    prop_assert_eq!(holding.count(), usize::from(asked(byte)));
                }
                prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < len));
            }
        }
    }

    #[test]
    fn what_is_told_of_a_part_is_what_was_asked(first in 0u64..1 << 62, more in 0u64..1 << 61, rest in 1u64..1 << 61) {
        let (last, len) = (first + more, first + more + rest);
        let Selected::Parts(parts) = of(&format!("bytes={first}-{last}"), len) else {
            return Err(TestCaseError::fail("there is a part"));
        };
        let told = content_range(parts[0], Some(len));
        prop_assert_eq!(told.to_str().unwrap(), format!("bytes {first}-{last}/{len}"));
        let fields = [("content-range", told.to_str().unwrap())];
        let head = head(&Policy::origin(), 206, &fields);
        let part = head.part().unwrap();
        prop_assert_eq!((part.range, part.complete), (parts[0], Some(len)));
    }

    #[test]
    fn never_panics(bytes: Vec<u8>, len: u64) {
        let mut req = get(&[]);
        for bytes in [bytes.clone(), [&b"bytes="[..], &bytes].concat()] {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                req.headers.insert(RANGE, value.clone());
                req.headers.insert(IF_RANGE, value);
                Policy::origin().select(&req, &ok(&[]), len);
            }
        }
    }

    #[test]
    fn never_panics_on_numbers_of_any_size(line in "bytes=([0-9]{0,30}-[0-9]{0,30},?){1,4}", len: u64) {
        of(&line, len);
    }
}
