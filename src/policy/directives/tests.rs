//! Cache-Control as it comes in the wild.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

fn response(lines: &[&str]) -> ResponseDirectives {
    let fields: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::parse(&headers(&fields))
}

fn request(fields: &[(&str, &str)]) -> RequestDirectives {
    RequestDirectives::parse(&headers(fields))
}

fn max_age(line: &str) -> Option<u64> {
    response(&[line]).max_age.map(|age| age.as_secs())
}

#[test]
fn every_response_directive_in_any_case_and_over_lines() {
    let found = response(&[
        "No-StOrE, NO-CACHE, private , public",
        "",
        "must-revalidate,,proxy-revalidate, must-understand, no-transform, immutable",
        "MaX-aGe=1, S-MaxAge=2, stale-while-revalidate=3, stale-if-error=4, other=5, \"odd\"",
    ]);
    assert_eq!(
        found,
        ResponseDirectives {
            no_store: true,
            no_cache: true,
            private: true,
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            must_understand: true,
            no_transform: true,
            immutable: true,
            max_age: Some(Duration::from_secs(1)),
            s_maxage: Some(Duration::from_secs(2)),
            stale_while_revalidate: Some(Duration::from_secs(3)),
            stale_if_error: Some(Duration::from_secs(4)),
            target: None,
            unstored: vec![],
        }
    );
}

#[test]
fn numbers() {
    assert_eq!(max_age("max-age=3600"), Some(3600));
    assert_eq!(max_age("max-age=003600"), Some(3600));
    assert_eq!(max_age("max-age=\"3600\""), Some(3600));
    assert_eq!(max_age("max-age=2147483649"), Some(1 << 31));
    assert_eq!(max_age("max-age=99999999999999999999999999"), Some(1 << 31));
    assert_eq!(max_age("foo"), None);
}

#[test]
fn unreadable_numbers_are_zero() {
    for value in [
        "'3600'", "-3600", "3600.0", "a3600", "3600a", "", "\"\"", " 3600", "36 00",
    ] {
        assert_eq!(max_age(&format!("max-age={value}")), Some(0), "{value}");
    }
    assert_eq!(max_age("max-age =3600"), Some(0));
    assert_eq!(max_age("max-age"), Some(0));
    assert_eq!(max_age("max-age=60, max-age=x"), Some(0));
}

#[test]
fn the_shortest_of_several_counts() {
    assert_eq!(max_age("max-age=1800, max-age=1"), Some(1));
    assert_eq!(max_age("max-age=1, max-age=1800"), Some(1));
    assert_eq!(
        response(&["max-age=9", "max-age=3"]).max_age,
        Some(Duration::from_secs(3))
    );
}

#[test]
fn what_is_quoted_is_no_directive() {
    assert_eq!(max_age("extension=\"max-age=3600\", max-age=1"), Some(1));
    assert_eq!(max_age("max-age=1, extension=\"x, max-age=3600\""), Some(1));
    assert!(!response(&["extension=\"a, no-store\""]).no_store);
    assert!(response(&["extension=\"a, no-store"]).no_store);
}

#[test]
fn restrictions_count_whatever_their_argument_permissions_do_not() {
    let found = response(&["no-store=1, must-revalidate=no, public=maybe, immutable=1"]);
    assert!(found.no_store && found.must_revalidate);
    assert!(!found.public && !found.immutable);
    assert!(response(&["no-store =1"]).no_store);
}

#[test]
fn qualified_forms_list_fields() {
    let found = response(&["no-cache=\"a, B\"", "private=c"]);
    assert!(!found.no_cache && !found.private);
    assert_eq!(found.unstored, ["a", "b", "c"]);
}

#[test]
fn a_list_that_cannot_be_followed_means_all() {
    for value in [
        "",
        "\"\"",
        "\", \"",
        "\"a b\"",
        "\"content-encoding\"",
        "\"x, Vary\"",
    ] {
        let found = response(&[&format!("no-cache={value}, private={value}")]);
        assert!(found.no_cache && found.private, "{value}");
    }
    assert!(response(&["no-cache, no-cache=\"a\""]).no_cache);
    assert!(response(&["no-cache=\"x, max-age=9"]).no_cache);
}

#[test]
fn request_directives() {
    let found = request(&[(
        "cache-control",
        "no-cache, no-store, only-if-cached, max-age=1, min-fresh=2, max-stale=3, stale-if-error=4",
    )]);
    assert_eq!(
        found,
        RequestDirectives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            max_age: Some(Duration::from_secs(1)),
            min_fresh: Some(Duration::from_secs(2)),
            max_stale: Some(Duration::from_secs(3)),
            stale_if_error: Some(Duration::from_secs(4)),
        }
    );
}

#[test]
fn unreadable_request_directives_ask_for_more() {
    let found = request(&[(
        "cache-control",
        "max-age=x, min-fresh=x, max-stale=x, stale-if-error",
    )]);
    assert_eq!(found.max_age, Some(Duration::ZERO));
    assert_eq!(found.min_fresh, Some(MAX_DELTA));
    assert_eq!(found.max_stale, Some(Duration::ZERO));
    assert_eq!(found.stale_if_error, Some(Duration::ZERO));
    assert_eq!(
        request(&[("cache-control", "max-stale")]).max_stale,
        Some(MAX_DELTA)
    );
}

#[test]
fn pragma_counts_only_without_cache_control() {
    assert!(request(&[("pragma", "x, No-Cache")]).no_cache);
    assert!(!request(&[("pragma", "other")]).no_cache);
    assert!(!request(&[("pragma", "no-cache"), ("cache-control", "max-age=9")]).no_cache);
    assert_eq!(request(&[]), RequestDirectives::default());
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
            let mut fields = HeaderMap::new();
            fields.insert(CACHE_CONTROL, value);
            ResponseDirectives::parse(&fields);
            RequestDirectives::parse(&fields);
        }
    }

    #[test]
    fn what_is_written_is_read(flags: [bool; 8], numbers: [Option<u32>; 4], names in prop::collection::vec("x-[a-z]{1,5}", 0..3), shuffle: prop::sample::Index) {
        let words = [
            "no-store", "no-cache", "public", "must-revalidate", "proxy-revalidate",
            "must-understand", "no-transform", "immutable",
        ];
        let lifetimes = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];
        let mut lines: Vec<String> = words.iter().zip(flags).filter(|(_, said)| *said).map(|(word, _)| word.to_string()).collect();
        lines.extend(lifetimes.iter().zip(numbers).filter_map(|(word, number)| Some(format!("{word}={}", number?))));
        if !names.is_empty() {
            lines.push(format!("private=\"{}\"", names.join(", ")));
        }
        if !lines.is_empty() {
            let at = shuffle.index(lines.len());
            lines.rotate_left(at);
        }
        let seconds = |number: Option<u32>| number.map(|number| Duration::from_secs(u64::from(number).min(1 << 31)));
        let [no_store, no_cache, public, must_revalidate, proxy_revalidate, must_understand, no_transform, immutable] = flags;
        let [max_age, s_maxage, stale_while_revalidate, stale_if_error] = numbers.map(seconds);
        let expected = ResponseDirectives {
            no_store, no_cache, private: false, public, must_revalidate, proxy_revalidate,
            must_understand, no_transform, immutable, max_age, s_maxage, stale_while_revalidate,
            stale_if_error, target: None,
            unstored: names.iter().map(|name| HeaderName::try_from(name).unwrap()).collect(),
        };
        prop_assert_eq!(response(&[&lines.join(" , ")]), expected);
    }

    #[test]
    fn reads_what_it_is_told(age: u64, quoted: bool, shout: bool, noise in "[a-z-]{1,9}(=[a-z0-9]{1,5})?") {
        prop_assume!(!noise.starts_with("max-age"));
        let value = if quoted { format!("\"{age}\"") } else { age.to_string() };
        let mut line = format!("{noise} , max-age={value}");
        if shout {
            line.make_ascii_uppercase();
        }
        prop_assert_eq!(max_age(&line), Some(age.min(1 << 31)));
    }
}

fn targeted(fields: &[(&str, &str)]) -> ResponseDirectives {
    ResponseDirectives::parse(&headers(fields))
}

#[test]
fn the_most_specific_target_that_says_something_replaces_cache_control() {
    let all = [
        ("cache-control", "no-store, max-age=1"),
        ("cdn-cache-control", "max-age=2, private"),
        ("larder-cache-control", "max-age=3"),
    ];
    let found = targeted(&all);
    assert_eq!(found.max_age, Some(Duration::from_secs(3)));
    assert!(!found.no_store && !found.private);
    assert_eq!(found.target.unwrap(), "larder-cache-control");

    let found = targeted(&all[..2]);
    assert_eq!(found.max_age, Some(Duration::from_secs(2)));
    assert!(!found.no_store && found.private);
    assert_eq!(found.target.unwrap(), "cdn-cache-control");
}

#[test]
fn a_target_that_is_malformed_or_empty_is_as_if_it_were_absent() {
    for bad in [
        "",
        " ",
        "Max-Age=9",
        "max-age =9",
        "max-age= 9",
        "max-age=9,",
        "max-age=9; no-store,",
        "max-age=&",
        "max-age=9, no-cache=\"a",
        "max-age=9999999999999999",
        "max-age=9 no-store",
    ] {
        let fields = [("cache-control", "max-age=1"), ("cdn-cache-control", bad)];
        let found = targeted(&fields);
        assert_eq!(found.max_age, Some(Duration::from_secs(1)), "{bad:?}");
        assert_eq!(found.target, None, "{bad:?}");
    }
}

#[test]
fn values_of_a_target_have_the_type_of_their_directive() {
    let seconds = |value: &str| {
        let field = format!("max-age={value}");
        let found = targeted(&[("cdn-cache-control", &field)]);
        found.max_age.unwrap().as_secs()
    };
    assert_eq!(seconds("9;ignored=1"), 9);
    assert_eq!(seconds("1, max-age=9"), 9, "of several the last counts");
    assert_eq!(seconds("9999999999"), 1 << 31);
    for bad in ["\"9\"", "?1", "9.0", "-9", "(9)", "?0", "x", "@9"] {
        assert_eq!(seconds(bad), 0, "{bad}");
    }

    let fields = targeted(&[("cdn-cache-control", "no-cache=\"a, B\", private=\"c\"")]);
    assert!(!fields.no_cache && !fields.private);
    assert_eq!(fields.unstored, ["a", "b", "c"]);
    for bad in [
        "no-cache=a",
        "no-cache=?0",
        "no-cache=(\"a\")",
        "no-cache=\"\"",
    ] {
        assert!(targeted(&[("cdn-cache-control", bad)]).no_cache, "{bad}");
    }
    assert!(!targeted(&[("cdn-cache-control", "public=?0")]).public);
}

#[test]
fn lines_of_a_target_are_one_field() {
    let (one, two) = (
        ("cdn-cache-control", "max-age=9"),
        ("cdn-cache-control", "no-store"),
    );
    let found = targeted(&[one, two]);
    assert!(found.no_store && found.max_age.is_some());
    let broken = targeted(&[one, ("cdn-cache-control", "no-store=")]);
    assert_eq!(broken, ResponseDirectives::default());
}
