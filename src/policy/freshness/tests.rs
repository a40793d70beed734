//! Lifetimes and ages.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::{at, date_at, get, head as arrived, ok, response};

const EXPLICIT: [Source; 3] = [Source::SharedMaxAge, Source::MaxAge, Source::Expires];

fn seconds(head: &Head) -> u64 {
    head.stored().lifetime.duration.as_secs()
}

fn source(head: &Head) -> Source {
    head.stored().lifetime.source
}

/// Initial age of a response that was asked for at `sent` and came at 0.
fn age_of(sent: i64, fields: &[(&str, &str)]) -> u64 {
    let head = Policy::origin().head(&get(&[]), &response(200, fields), at(sent), at(0));
    head.stored().initial_age.as_secs()
}

#[test]
fn a_targeted_field_makes_expires_count_for_nothing() {
    let expires = date_at(100);
    let fields = [("expires", expires.as_str())];
    assert_eq!(ok(&fields).ttl(at(0)), 100);
    let with = |value| ok(&[fields[0], ("cdn-cache-control", value)]);
    assert_eq!(with("must-revalidate").ttl(at(0)), 0, "nobody states any");
    assert_eq!(with("max-age=7").ttl(at(0)), 7);
    assert_eq!(with("max-age=7,").ttl(at(0)), 100, "it is malformed");
}

#[test]
fn explicit_lifetimes_in_their_order() {
    let (future, now) = (date_at(40), date_at(0));
    let all = [
        ("date", now.as_str()),
        ("expires", &future),
        ("cache-control", "max-age=20"),
        ("cache-control", "s-maxage=10"),
    ];
    let of = |from: usize, to: usize| ok(&all[from..to]);
    assert_eq!(
        (seconds(&of(0, 4)), source(&of(0, 4))),
        (10, Source::SharedMaxAge)
    );
    assert_eq!(
        (seconds(&of(0, 3)), source(&of(0, 3))),
        (20, Source::MaxAge)
    );
    assert_eq!(
        (seconds(&of(0, 2)), source(&of(0, 2))),
        (40, Source::Expires)
    );
    assert_eq!((seconds(&of(0, 1)), source(&of(0, 1))), (0, Source::None));
}

#[test]
fn expires_counts_from_date() {
    let lifetime = |date: i64, expires: i64| {
        seconds(&ok(&[
            ("date", &date_at(date)),
            ("expires", &date_at(expires)),
        ]))
    };
    assert_eq!(lifetime(0, 300), 300);
    assert_eq!(lifetime(-10, 10), 20);
    assert_eq!(lifetime(10, 20), 10);
    assert_eq!(lifetime(400, 300), 0);
    assert_eq!(lifetime(0, 0), 0);
    // Without a date that can be read, from its arrival.
    assert_eq!(seconds(&ok(&[("expires", &date_at(9))])), 9);
    assert_eq!(
        seconds(&ok(&[("date", "foo"), ("expires", &date_at(9))])),
        9
    );
}

#[test]
fn an_expires_that_cannot_be_read_has_passed() {
    for bad in ["0", "", "-1", "never", "Thu, 18 Aug 2050 02:01:18 UTC"] {
        let head = ok(&[("expires", bad)]);
        assert_eq!(
            (seconds(&head), source(&head)),
            (0, Source::Expires),
            "{bad}"
        );
        let head = ok(&[("expires", bad), ("cache-control", "max-age=60")]);
        assert_eq!(seconds(&head), 60);
    }
    let (near, far) = (date_at(5), date_at(500));
    assert_eq!(seconds(&ok(&[("expires", &far), ("expires", &near)])), 5);
    assert_eq!(seconds(&ok(&[("expires", &far), ("expires", "x")])), 0);
}

#[test]
fn silence_is_a_tenth_of_the_time_since_the_last_change() {
    let (changed, now) = (date_at(-1000), date_at(0));
    let fields = [("date", now.as_str()), ("last-modified", &changed)];
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        let head = arrived(&Policy::origin(), status, &fields);
        assert_eq!(
            (seconds(&head), source(&head)),
            (100, Source::Heuristic),
            "{status}"
        );
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
        let head = arrived(&Policy::origin(), status, &fields);
        assert_eq!(
            (seconds(&head), source(&head)),
            (0, Source::None),
            "{status}"
        );
        let public = [&fields[..], &[("cache-control", "public")]].concat();
        assert_eq!(
            seconds(&arrived(&Policy::origin(), status, &public)),
            100,
            "{status}"
        );
    }
    let tomorrow = date_at(86_400);
    assert_eq!(
        seconds(&ok(&[("date", &now), ("last-modified", &tomorrow)])),
        0
    );
    assert_eq!(seconds(&ok(&[("last-modified", "x")])), 0);
    assert_eq!(seconds(&ok(&[fields[1], ("pragma", "no-cache")])), 0);
    assert_eq!(
        seconds(&ok(&[fields[1], ("cache-control", "max-age=0")])),
        0
    );
}

#[test]
fn silence_is_the_configured_time_after_arrival() {
    let policy = Policy::ttl(Duration::from_secs(30));
    for status in [200, 203, 204, 300, 301, 308] {
        let head = arrived(&policy, status, &[("age", "1000")]);
        assert_eq!(source(&head), Source::Configured, "{status}");
        assert_eq!((head.ttl(at(0)), head.age(at(0))), (30, 1000), "{status}");
    }
    let old = [
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("cache-control", "public"),
    ];
    for status in [201, 302, 307, 400, 404, 405, 410, 414, 500, 501, 503] {
        assert_eq!(
            source(&arrived(&policy, status, &old)),
            Source::None,
            "{status}"
        );
    }
    assert_eq!(arrived(&Policy::default(), 200, &[]).ttl(at(0)), 60);
    assert_eq!(
        arrived(&policy, 200, &[("pragma", "no-cache")]).ttl(at(0)),
        0
    );
}

#[test]
fn the_cap_shortens_what_the_origin_says() {
    let policy = Policy::ttl(Duration::from_secs(30));
    let left = |policy: &Policy, age: &str, line: &str| {
        arrived(policy, 200, &[("age", age), ("cache-control", line)]).ttl(at(0))
    };
    assert_eq!(left(&policy, "0", "max-age=3600"), 30);
    assert_eq!(left(&policy, "100", "max-age=3600"), 30);
    assert_eq!(left(&policy, "0", "max-age=5"), 5);
    assert_eq!(left(&policy, "3595", "s-maxage=3600"), 5);
    assert_eq!(left(&policy, "7200", "max-age=3600"), -3600);
    assert_eq!(left(&Policy::default(), "0", "max-age=3600"), 3600);
    assert_eq!(left(&Policy::ttl(Duration::ZERO), "0", "max-age=3600"), 0);
    assert_eq!(
        left(&Policy::ttl(Duration::MAX), "9", "no-transform"),
        1 << 31 // §1.2.2
    );
}

#[test]
fn age_by_the_field_by_date_and_by_delay() {
    assert_eq!(age_of(0, &[]), 0);
    assert_eq!(age_of(0, &[("age", "30")]), 30);
    assert_eq!(age_of(-7, &[("age", "30")]), 37);
    assert_eq!(age_of(0, &[("date", &date_at(-50))]), 50);
    assert_eq!(age_of(-7, &[("date", &date_at(-50)), ("age", "30")]), 50);
    assert_eq!(age_of(-7, &[("date", &date_at(-50)), ("age", "44")]), 51);
    assert_eq!(age_of(0, &[("date", &date_at(50))]), 0);
    assert_eq!(age_of(7, &[]), 0); // the clock was set back meanwhile
}

#[test]
fn of_age_the_first_number_counts_and_what_is_none_is_ignored() {
    for (value, age) in [
        ("7200, 0", 7200),
        ("7200,0", 7200),
        ("0,7200", 0),
        ("0, 0", 0),
        ("abc", 0),
        ("-7200", 0),
        ("7200.0", 0),
        ("7200;foo=bar", 0),
        ("", 0),
        ("2147483647", (1 << 31) - 1),
        ("2147483649", 1 << 31),
        ("18446744073709551615", 1 << 31),
        ("99999999999999999999999999", 1 << 31),
    ] {
        assert_eq!(age_of(0, &[("age", value)]), age, "{value}");
    }
    assert_eq!(age_of(0, &[("age", "7200"), ("age", "0")]), 7200);
    assert_eq!(age_of(0, &[("age", "0"), ("age", "7200")]), 0);
}

#[test]
fn ranges_of_what_is_stored_whole_can_be_had_unless_the_origin_says_otherwise() {
    assert_eq!(ok(&[]).headers()["accept-ranges"], "bytes");
    let none = ok(&[("accept-ranges", "none")]);
    assert!(none.headers().get_all("accept-ranges").iter().eq(["none"]));
    let missing = arrived(&Policy::default(), 404, &[]);
    assert!(!missing.headers().contains_key("accept-ranges"));
}

#[test]
fn what_is_for_one_connection_or_one_user_is_not_kept() {
    let head = ok(&[
        ("connection", "a"),
        ("a", "1"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("proxy-authenticate", "x"),
        ("set-cookie", "s=1"),
        ("cache-control", "private=\"p\", no-cache=\"n\""),
        ("p", "1"),
        ("n", "1"),
        ("trailer", "t"),
        ("kept", "1"),
        ("kept", "2"),
    ]);
    let mut names: Vec<_> = head
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    let slots = ["accept-ranges", "age", "cache-status", "x-cache"];
    names.retain(|name| !slots.contains(name));
    assert_eq!(names, ["cache-control", "date", "kept", "trailer"]);
    assert_eq!(head.headers().get_all("kept").iter().count(), 2);
    assert_eq!(
        ok(&[("content-length", "5")]).headers()["content-length"],
        "5"
    );
}

#[test]
fn a_date_is_added_only_where_there_is_none_to_read() {
    assert_eq!(ok(&[]).headers()["date"], date_at(0).as_str());
    assert_eq!(
        ok(&[("date", "foo")]).headers()["date"],
        date_at(0).as_str()
    );
    let odd = "sun nov  6 08:49:37 1994";
    assert_eq!(ok(&[("date", odd)]).headers()["date"], odd);
}

proptest! {
    #[test]
    fn never_panics_and_never_outlives_the_cap(
        age in "[0-9]{0,30}",
        line in "((s-)?max-?age=[0-9]{0,25},? ?){0,3}(no-cache|public)?",
        expires in -1_000_000_000i64..1_000_000_000,
        date in -1_000_000_000i64..1_000_000_000,
        sent in -1000i64..1000,
        ttl in 0u64..100_000,
    ) {
        let (expires, date) = (date_at(expires), date_at(date));
        let fields = [
            ("age", age.as_str()),
            ("cache-control", &line),
            ("expires", &expires),
            ("date", &date),
        ];
        let policy = Policy::ttl(Duration::from_secs(ttl));
        let capped = policy.head(&get(&[]), &response(200, &fields), at(sent), at(0));
        let free = Policy::origin().head(&get(&[]), &response(200, &fields), at(sent), at(0));
        prop_assert!(EXPLICIT.contains(&source(&capped)));
        prop_assert_eq!(capped.ttl(at(0)), free.ttl(at(0)).min(ttl as i64));
    }

    #[test]
    fn initial_age_is_that_of_big_integers(age: u64, date in -1_700_000_000i64..1_000_000_000, sent in -1_700_000_000i64..0) {
        let apparent = i128::from(-date).max(0);
        let corrected = i128::from(age).min(1 << 31) + i128::from(-sent);
        let expected = apparent.max(corrected).min(1 << 31);
        let found = age_of(sent, &[("age", &age.to_string()), ("date", &date_at(date))]);
        prop_assert_eq!(i128::from(found), expected);
    }

    #[test]
    fn lifetimes_are_those_of_big_integers(
        s_maxage in prop::option::of(any::<u64>()),
        max_age in prop::option::of(any::<u64>()),
        expires in prop::option::of(-1_000_000_000i64..1_000_000_000),
        modified in prop::option::of(-1_700_000_000i64..1_000_000_000),
        date in -1_000_000_000i64..1_000_000_000,
        age in 0..1u64 << 33,
        ttl in prop::option::of(0u64..100_000),
    ) {
        let mut lines = vec![("age", age.to_string()), ("date", date_at(date))];
        lines.extend(s_maxage.map(|seconds| ("cache-control", format!("s-maxage={seconds}"))));
        lines.extend(max_age.map(|seconds| ("cache-control", format!("max-age={seconds}"))));
        lines.extend(expires.map(|at| ("expires", date_at(at))));
        lines.extend(modified.map(|at| ("last-modified", date_at(at))));
        let fields: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let policy = ttl.map_or(Policy::origin(), |ttl| Policy::ttl(Duration::from_secs(ttl)));
        let head = policy.head(&get(&[]), &response(200, &fields), at(0), at(0));

        let initial_age = i128::from(age).max(i128::from(-date)).min(1 << 31);
        let delta = |seconds: u64| i128::from(seconds).min(1 << 31);
        let until = |later: i64, earlier: i64| (i128::from(later) - i128::from(earlier)).max(0);
        let silent = match ttl {
            Some(ttl) => initial_age + i128::from(ttl),
            None => modified.map_or(0, |modified| until(date, modified) / 10),
        };
        let stated = s_maxage.or(max_age).map(delta).or(expires.map(|at| until(at, date)));
        let cap = ttl.map_or(i128::MAX, |ttl| initial_age + i128::from(ttl));
        prop_assert_eq!(i128::from(seconds(&head)), stated.unwrap_or(silent).min(cap));
    }
}
