//! What a head knows of itself.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::policy::{
    Source,
    testing::{at, headers, ok},
};

fn stored(initial_age: u64, lifetime: u64, received: SystemTime) -> Head {
    Head::restore(StoredHead {
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        received,
        initial_age: Duration::from_secs(initial_age),
        lifetime: Lifetime {
            duration: Duration::from_secs(lifetime),
            source: Source::MaxAge,
        },
    })
}

#[test]
fn a_restored_head_still_follows_its_targeted_field() {
    let fields = [
        ("cache-control", "no-cache"),
        ("cdn-cache-control", "max-age=60, must-revalidate"),
    ];
    let head = ok(&fields);
    let restored = Head::restore(head.stored().clone());
    assert_eq!(restored.directives(), head.directives());
    assert!(restored.is_fresh(at(59)) && restored.directives().must_revalidate);
    assert_eq!(restored.headers()["cdn-cache-control"], fields[1].1);
}

#[test]
fn restoring_gives_the_same_head() {
    let head = ok(&[
        (
            "cache-control",
            "max-age=60, no-cache=\"x\", private=\"set-cookie\"",
        ),
        ("x", "1"),
        ("set-cookie", "a=b"),
        ("vary", "accept"),
        ("etag", "\"1\""),
    ]);
    let again = Head::restore(head.stored().clone());
    assert_eq!(again.stored(), head.stored());
    assert_eq!(again.directives(), head.directives());
    assert_eq!(again.varies(), head.varies());
    assert_eq!(again.weight(), head.weight());
}

#[test]
fn grows_older_and_never_younger() {
    let head = stored(10, 60, at(0));
    assert_eq!((head.age(at(0)), head.ttl(at(0))), (10, 50));
    assert_eq!((head.age(at(50)), head.ttl(at(50))), (60, 0));
    assert_eq!((head.age(at(70)), head.ttl(at(70))), (80, -20));
    assert_eq!(head.age(at(-100)), 10);
    assert!(head.is_fresh(at(49)) && !head.is_fresh(at(50)));
    let almost = at(50) - Duration::from_millis(1);
    assert!(head.is_fresh(almost));
}

#[test]
fn no_cache_is_not_fresh() {
    assert!(ok(&[("cache-control", "max-age=60")]).is_fresh(at(0)));
    assert!(!ok(&[("cache-control", "max-age=60, no-cache")]).is_fresh(at(0)));
}

#[test]
fn validators() {
    assert!(ok(&[("etag", "\"a\"")]).has_validator());
    assert!(ok(&[("etag", "unquoted")]).has_validator());
    assert!(ok(&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]).has_validator());
    assert!(!ok(&[("last-modified", "yesterday"), ("etag", "")]).has_validator());
}

#[test]
fn a_304_carries_what_guides_a_cache_and_nothing_else() {
    let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    let fields = [
        ("cache-control", "max-age=60"),
        ("content-length", "5"),
        ("content-location", "/y"),
        ("content-type", "text/plain"),
        ("date", "Sat, 22 Nov 2025 08:26:40 GMT"),
        ("etag", "\"a\""),
        ("expires", "Sun, 06 Nov 2094 08:49:37 GMT"),
        ("last-modified", modified),
        ("set-cookie", "a=b"),
        ("vary", "a"),
        ("vary", "b"),
        ("x", "1"),
    ];
    let found = ok(&fields).not_modified_headers();
    assert_eq!(
        found,
        headers(&[
            ("age", "0"),
            ("cache-control", "max-age=60"),
            ("content-location", "/y"),
            ("date", "Sat, 22 Nov 2025 08:26:40 GMT"),
            ("etag", "\"a\""),
            ("expires", "Sun, 06 Nov 2094 08:49:37 GMT"),
            ("vary", "a"),
            ("vary", "b"),
        ])
    );
    let found = ok(&[("last-modified", modified)]).not_modified_headers();
    assert_eq!(found[LAST_MODIFIED], modified);
}

#[test]
fn slots_are_there_once_and_after_what_others_say() {
    let theirs = ok(&[
        ("x-cache", "MISS from them"),
        ("cache-status", "them; fwd=miss"),
    ]);
    let twice = Head::restore(theirs.stored().clone());
    for head in [theirs, twice] {
        let lines = head.headers().get_all(CACHE_STATUS).iter();
        assert!(lines.eq(["them; fwd=miss", "larder"]));
        assert_eq!(head.headers()["x-cache"], "HIT");
        assert_eq!(head.headers().get_all("x-cache").iter().count(), 1);
    }
}

#[test]
fn lines_are_all_fields_but_those_that_are_told_anew() {
    let fields = [
        ("content-length", "5"),
        ("age", "7"),
        ("cache-status", "them; fwd=miss"),
        ("vary", "a"),
        ("vary", "b"),
        ("date", "Sat, 22 Nov 2025 08:26:40 GMT"),
    ];
    let head = ok(&fields);
    let lines = String::from_utf8(head.lines().to_vec()).unwrap();
    let mut lines: Vec<&str> = lines.split_terminator("\r\n").collect();
    lines.sort_unstable();
    let told = [
        "accept-ranges: bytes",
        "cache-status: them; fwd=miss",
        "date: Sat, 22 Nov 2025 08:26:40 GMT",
        "vary: a",
        "vary: b",
        "x-cache: HIT",
    ];
    assert_eq!(lines, told);
    // Of what is made of it.
    let mut other = head.clone();
    other.stored.headers.clear();
    assert_eq!(other.lines(), b"");
}

#[test]
fn values_are_copied_out_of_the_buffer_they_came_in() {
    let buffer = Bytes::from(vec![b'x'; 10_000]);
    let mut fields = HeaderMap::new();
    fields.append(
        "a",
        HeaderValue::from_maybe_shared(buffer.slice(..5)).unwrap(),
    );
    fields.append("a", HeaderValue::from_static(""));
    let mut secret = HeaderValue::from_bytes(b"\xff").unwrap();
    secret.set_sensitive(true);
    fields.append("b", secret);
    let copy = apart(&fields, |_| true);
    assert_eq!(copy, fields);
    assert!(copy["b"].is_sensitive());
    let part = apart(&fields, |name| name == "a");
    fields.remove("b");
    assert_eq!(part, fields);
    drop(fields);
    assert!(buffer.is_unique());
}

#[test]
fn weight_counts_names_and_values() {
    let plain = ok(&[]).weight();
    let name = "x-".repeat(500);
    let long = ok(&[(&name, &"v".repeat(5000))]).weight();
    assert!(plain > size_of::<Head>() && plain < 2000, "{plain}");
    assert!(long - plain >= 6000 && long - plain < 7000, "{long}");
}

proptest! {
    #[test]
    fn age_and_ttl_are_those_of_big_integers(
        initial in prop_oneof![0..1u64 << 32, any::<u64>()],
        lifetime in prop_oneof![0..1u64 << 32, any::<u64>()],
        received in 0..1u64 << 40,
        now in 0..1u64 << 40,
    ) {
        let seconds = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let head = stored(initial, lifetime, seconds(received));
        let age = u128::from(initial) + u128::from(now.saturating_sub(received));
        let age = age.min(u128::from(u64::MAX));
        let ttl = i128::from(lifetime) - age as i128;
        let ttl = ttl.clamp(i64::MIN.into(), i64::MAX.into());
        prop_assert_eq!(u128::from(head.age(seconds(now))), age);
        prop_assert_eq!(i128::from(head.ttl(seconds(now))), ttl);
        prop_assert_eq!(head.is_fresh(seconds(now)), ttl > 0);
    }
}
