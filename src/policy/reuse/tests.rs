//! Fresh, stale, and what clients insist on.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::{at, get, head, ok};

/// What becomes of a response with this Cache-Control, and a request with that, after `seconds`.
fn after(seconds: i64, response: &str, request: &str) -> Reuse {
    let head = ok(&[("cache-control", response)]);
    let fields = [("cache-control", request)];
    let req = get(if request.is_empty() { &[] } else { &fields });
    Policy::origin().reuse(&head, &req, at(seconds))
}

const fn validate(fresh: bool, reason: Reason) -> Reuse {
    Reuse::Validate { fresh, reason }
}

const STALE: Reuse = validate(false, Reason::Stale);
const UNWANTED: Reuse = validate(true, Reason::RequestDirective);

#[test]
fn fresh_until_its_time_has_come() {
    assert_eq!(after(0, "max-age=60", ""), Reuse::Fresh { age: 0, ttl: 60 });
    assert_eq!(
        after(59, "max-age=60", ""),
        Reuse::Fresh { age: 59, ttl: 1 }
    );
    assert_eq!(after(60, "max-age=60", ""), STALE);
    assert_eq!(
        after(9, "max-age=60, must-revalidate", ""),
        Reuse::Fresh { age: 9, ttl: 51 }
    );
}

#[test]
fn no_cache_is_asked_for_each_time() {
    for request in ["", "max-stale", "no-cache"] {
        let found = after(
            0,
            "no-cache, max-age=60, stale-while-revalidate=60",
            request,
        );
        assert_eq!(found, validate(false, Reason::NoCache), "{request}");
    }
}

#[test]
fn what_is_asked_plainly_is_answered_as_it_would_be_otherwise() {
    let policy = Policy::origin();
    for response in [
        "max-age=60",
        "max-age=60, no-cache",
        "max-age=60, no-cache=\"x-a\"",
        "s-maxage=60, must-revalidate",
        "max-age=60, stale-while-revalidate=60",
        "max-age=0",
    ] {
        let head = ok(&[("cache-control", response)]);
        for seconds in [0, 1, 59, 60, 61] {
            let found = match policy.reuse(&head, &get(&[]), at(seconds)) {
                Reuse::Fresh { age, ttl } => Some((age, ttl)),
                Reuse::StaleWhileRevalidate { .. } | Reuse::Validate { .. } => None,
            };
            let at_once = policy.reuse_plainly(&head, at(seconds));
            assert_eq!(at_once, found, "{response} after {seconds} s");
        }
    }
}

#[test]
fn what_bears_on_how_a_response_is_used_is_not_asked_plainly() {
    let policy = Policy::origin();
    for name in [
        "cache-control",
        "content-length",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "pragma",
        "range",
        "transfer-encoding",
        "upgrade",
    ] {
        assert!(
            !policy.is_plain(&get(&[("accept", "*/*"), (name, "x")])),
            "{name}"
        );
    }
    let mut req = get(&[("accept", "*/*"), ("authorization", "x"), ("cookie", "a=b")]);
    assert!(policy.is_plain(&req));
    for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
        req.method = method;
        assert!(!policy.is_plain(&req), "{}", req.method);
    }
}

#[test]
fn a_request_may_insist() {
    assert_eq!(
        after(1, "max-age=60", "no-cache"),
        validate(true, Reason::NoCache)
    );
    assert_eq!(after(0, "max-age=60", "max-age=0"), UNWANTED);
    assert_eq!(after(9, "max-age=60", "max-age=8"), UNWANTED);
    assert_eq!(
        after(9, "max-age=60", "max-age=9"),
        Reuse::Fresh { age: 9, ttl: 51 }
    );
    assert_eq!(after(9, "max-age=60", "min-fresh=52"), UNWANTED);
    assert_eq!(
        after(9, "max-age=60", "min-fresh=51"),
        Reuse::Fresh { age: 9, ttl: 51 }
    );
    assert_eq!(
        after(9, "max-age=60", "something"),
        Reuse::Fresh { age: 9, ttl: 51 }
    );
}

#[test]
fn pragma_insists_too() {
    let head = ok(&[("cache-control", "max-age=60")]);
    let reuse = |fields: &[_]| Policy::origin().reuse(&head, &get(fields), at(1));
    assert_eq!(
        reuse(&[("pragma", "no-cache")]),
        validate(true, Reason::NoCache)
    );
    assert_eq!(reuse(&[("pragma", "x")]), Reuse::Fresh { age: 1, ttl: 59 });
    let both = [("pragma", "no-cache"), ("cache-control", "x")];
    assert_eq!(reuse(&both), Reuse::Fresh { age: 1, ttl: 59 });
}

#[test]
fn a_reload_does_not_ask_for_what_is_immutable() {
    let line = "max-age=60, immutable";
    assert_eq!(
        after(1, line, "max-age=0"),
        Reuse::Fresh { age: 1, ttl: 59 }
    );
    assert_eq!(after(1, line, "no-cache"), validate(true, Reason::NoCache));
    assert_eq!(after(60, line, "max-age=0"), STALE);
}

#[test]
fn stale_if_the_request_accepts_it() {
    let stale = |request| after(70, "max-age=60", request);
    assert_eq!(stale("max-stale"), Reuse::Fresh { age: 70, ttl: -10 });
    assert_eq!(stale("max-stale=10"), Reuse::Fresh { age: 70, ttl: -10 });
    assert_eq!(
        stale("max-stale=10, max-age=70"),
        Reuse::Fresh { age: 70, ttl: -10 }
    );
    for request in [
        "max-stale=9",
        "max-stale=x",
        "max-stale, max-age=69",
        "max-stale, min-fresh=1",
    ] {
        assert_eq!(stale(request), STALE, "{request}");
    }
    assert_eq!(
        stale("max-stale, no-cache"),
        validate(false, Reason::NoCache)
    );
}

#[test]
fn stale_while_it_is_fetched_anew() {
    let line = "max-age=60, stale-while-revalidate=30";
    let stale = |seconds| Reuse::StaleWhileRevalidate {
        age: seconds,
        ttl: 60 - seconds as i64,
    };
    assert_eq!(after(59, line, ""), Reuse::Fresh { age: 59, ttl: 1 });
    assert_eq!(after(60, line, ""), stale(60));
    assert_eq!(after(90, line, ""), stale(90));
    assert_eq!(after(91, line, ""), STALE);
    for request in ["max-age=69", "min-fresh=0", "max-stale=9", "max-age=0"] {
        assert_eq!(after(70, line, request), STALE, "{request}");
    }
    assert_eq!(
        after(70, line, "no-cache"),
        validate(false, Reason::NoCache)
    );
    assert_eq!(
        after(70, line, "max-stale=10"),
        Reuse::Fresh { age: 70, ttl: -10 }
    );
}

#[test]
fn never_stale_where_that_is_forbidden() {
    for forbids in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        let line = format!("max-age=60, stale-while-revalidate=99, stale-if-error=99, {forbids}");
        for request in ["", "max-stale", "stale-if-error=99"] {
            assert_eq!(after(61, &line, request), STALE, "{forbids}, {request}");
            let head = ok(&[("cache-control", &line)]);
            let req = get(&[("cache-control", request)]);
            assert_eq!(
                Policy::origin().stale_if_error(&head, &req, at(61)),
                None,
                "{forbids}"
            );
        }
    }
}

#[test]
fn stale_when_the_origin_fails() {
    let answer = |seconds, response: &str, request: &str| {
        let head = ok(&[("cache-control", response)]);
        let req = get(&[("cache-control", request)]);
        Policy::origin().stale_if_error(&head, &req, at(seconds))
    };
    let line = "max-age=60, stale-if-error=30";
    assert_eq!(answer(70, line, ""), Some((70, -10)));
    assert_eq!(answer(90, line, ""), Some((90, -30)));
    assert_eq!(answer(91, line, ""), None);
    assert_eq!(answer(91, line, "stale-if-error=31"), Some((91, -31)));
    assert_eq!(
        answer(70, "max-age=60", "stale-if-error=10"),
        Some((70, -10))
    );
    assert_eq!(answer(70, "max-age=60", ""), None);
    assert_eq!(answer(70, line, "no-cache"), None);
    assert_eq!(answer(10, line, "max-age=0"), Some((10, 50)));
}

#[test]
fn defaults_for_origins_that_say_nothing() {
    let policy = Policy::origin()
        .default_stale_while_revalidate(Duration::from_secs(10))
        .default_stale_if_error(Duration::from_secs(20));
    let reuse = |line, seconds| {
        let head = head(&policy, 200, &[("cache-control", line)]);
        let error = policy.stale_if_error(&head, &get(&[]), at(seconds));
        (policy.reuse(&head, &get(&[]), at(seconds)), error)
    };
    let revalidated = Reuse::StaleWhileRevalidate { age: 70, ttl: -10 };
    assert_eq!(reuse("max-age=60", 70), (revalidated, Some((70, -10))));
    assert_eq!(reuse("max-age=60", 80), (STALE, Some((80, -20))));
    assert_eq!(reuse("max-age=60", 81), (STALE, None));
    let none = "max-age=60, stale-while-revalidate=0, stale-if-error=0";
    assert_eq!(reuse(none, 61), (STALE, None));
    assert_eq!(reuse("max-age=60, must-revalidate", 61), (STALE, None));
}

#[test]
fn only_from_the_store() {
    let policy = Policy::origin();
    assert!(policy.only_if_cached(&get(&[("cache-control", "x, Only-If-Cached")])));
    assert!(!policy.only_if_cached(&get(&[("cache-control", "x=\"only-if-cached\"")])));
    assert!(!policy.only_if_cached(&get(&[])));
}

#[test]
fn what_is_expired_is_stale_from_then_on() {
    let policy = Policy::origin();
    let expired = |fields: &[(&str, &str)]| policy.expire(&ok(fields), at(10));
    let reuse = |head: &Head, seconds| policy.reuse(head, &get(&[]), at(seconds));

    let fields = [("cache-control", "max-age=60, stale-while-revalidate=30")];
    let (head, keep) = expired(&fields).unwrap();
    assert_eq!(keep, Duration::from_secs(30));
    let served = |age, ttl| Reuse::StaleWhileRevalidate { age, ttl };
    assert_eq!(reuse(&head, 10), served(10, 0));
    assert_eq!(reuse(&head, 40), served(40, -30));
    assert_eq!(reuse(&head, 41), STALE);

    let (head, _) = expired(&[("cache-control", "max-age=60"), ("etag", "\"1\"")]).unwrap();
    assert_eq!(reuse(&head, 10), STALE, "it can still be validated");
    assert!(expired(&[("cache-control", "max-age=60")]).is_none());

    let fields = [("cache-control", "max-age=5, stale-while-revalidate=30")];
    let (head, _) = expired(&fields).unwrap();
    assert_eq!(head.ttl(at(10)), -5, "what is stale is not made younger");
}

proptest! {
    #[test]
    fn windows_are_those_of_big_integers(
        lifetime in 0u64..5_000_000_000,
        passed in 0i64..5_000_000_000,
        max_age in prop::option::of(prop_oneof![0u64..5_000_000_000, any::<u64>()]),
        min_fresh in prop::option::of(prop_oneof![0u64..5_000_000_000, any::<u64>()]),
        max_stale in prop::option::of(prop_oneof![0u64..5_000_000_000, any::<u64>()]),
        window in prop::option::of(prop_oneof![0u64..5_000_000_000, any::<u64>()]),
    ) {
        let said = |name: &str, value: Option<u64>| value.map(|value| format!("{name}={value}"));
        let window_said = said("stale-while-revalidate", window);
        let response = [Some(format!("max-age={lifetime}")), window_said];
        let request = [
            said("max-age", max_age),
            said("min-fresh", min_fresh),
            said("max-stale", max_stale),
        ];
        let line = |all: &[Option<String>]| all.iter().flatten().cloned().collect::<Vec<_>>().join(", ");

        let delta = |seconds: u64| i128::from(seconds).min(1 << 31);
        let ttl = delta(lifetime) - i128::from(passed);
        let young = max_age.is_none_or(|limit| i128::from(passed) <= delta(limit));
        let (age, left) = (passed as u64, ttl as i64);
        let expected = if ttl > 0 {
            let lasts = min_fresh.is_none_or(|least| ttl >= delta(least));
            if young && max_age != Some(0) && lasts { Reuse::Fresh { age, ttl: left } } else { UNWANTED }
        } else if !young || min_fresh.is_some() {
            STALE
        } else if let Some(accepted) = max_stale {
            if -ttl <= delta(accepted) { Reuse::Fresh { age, ttl: left } } else { STALE }
        } else if window.is_some_and(|window| -ttl <= delta(window)) {
            Reuse::StaleWhileRevalidate { age, ttl: left }
        } else {
            STALE
        };
        prop_assert_eq!(after(passed, &line(&response), &line(&request)), expected);
    }
}
