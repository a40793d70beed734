//! Selections: equal where they may be, apart where they must be.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

fn vary(lines: &[&str]) -> Varies {
    let fields: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
    Varies::parse(&headers(&fields))
}

fn fields(names: &[&'static str]) -> Fields {
    Fields::new(names.iter().map(|name| HeaderName::from_static(name)))
}

fn select(name: &'static str, lines: &[&str]) -> Selection {
    let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    fields(&[name]).select(&headers(&lines))
}

#[test]
fn reads_all_lines() {
    assert_eq!(vary(&[]), Varies::No);
    assert_eq!(vary(&["", " , "]), Varies::No);
    assert_eq!(
        vary(&["Foo, bar", "FOO,Accept"]),
        Varies::By(fields(&["accept", "bar", "foo"]))
    );
}

#[test]
fn a_star_anywhere_is_never_matched() {
    for lines in [
        &["*"][..],
        &["*, *"],
        &["*", "*"],
        &[", *"],
        &["", "*"],
        &["*, foo"],
        &["foo, *"],
        &["foo", "*"],
        &["foo bar"],
        &["foo, b@r"],
        &["\"foo\""],
    ] {
        assert_eq!(vary(lines), Varies::Always, "{lines:?}");
    }
}

#[test]
fn sets_of_names() {
    let (ab, b) = (fields(&["b", "a", "b"]), fields(&["b"]));
    assert_eq!(ab.names(), ["a", "b"]);
    assert!(ab.covers(&b) && !b.covers(&ab) && b.covers(&b));
    assert_eq!(b.union(&fields(&["a"])), ab);
}

#[test]
fn any_field_is_compared_by_lines_and_space_alone() {
    assert_eq!(select("foo", &["1", "2"]), select("foo", &["1, 2"]));
    assert_eq!(select("foo", &["1,2"]), select("foo", &[" 1 ,\t2 "]));
    for (one, other) in [
        (&["1"][..], &["2"][..]),
        (&["a"], &["A"]),
        (&["1, 2"], &["2, 1"]),
        (&["1 2"], &["12"]),
        (&["\"1, 2\""], &["\"1,2\""]),
        (&["1,,2"], &["1,2"]),
        (&[], &[""]),
    ] {
        assert_ne!(
            select("foo", one),
            select("foo", other),
            "{one:?} {other:?}"
        );
    }
}

#[test]
fn languages_and_codings_are_sets_of_preferences() {
    for name in ["accept-language", "accept-encoding"] {
        let plain = select(name, &["en, de"]);
        for same in [
            "de, en",
            "eN, De",
            " en ,   de",
            "en;q=1.0,de ; q=1",
            "en,,de,en",
        ] {
            assert_eq!(select(name, &[same]), plain, "{same}");
        }
        assert_eq!(select(name, &["de", "en"]), plain);
        assert_eq!(select(name, &["en;q=0.5"]), select(name, &["EN; Q=0.500"]));
        for other in [
            "en",
            "en, de;q=0.9",
            "en, de;q=0",
            "en, de;q=x",
            "en, de;q=2",
            "",
        ] {
            assert_ne!(select(name, &[other]), plain, "{other}");
        }
        assert_ne!(select(name, &["en;q=0.5"]), select(name, &["en;q=0.05"]));
    }
}

#[test]
fn media_types_have_no_case() {
    let plain = select("accept", &["text/html, */*;q=0.1"]);
    assert_eq!(select("accept", &["Text/HTML", "*/* ; q=0.1"]), plain);
    assert_ne!(select("accept", &["*/*;q=0.1, text/html"]), plain);
    assert_ne!(
        select("accept", &["a/b;p=\"X ,Y\""]),
        select("accept", &["a/b;p=\"x ,y\""])
    );
}

#[test]
fn no_value_can_pass_for_those_of_other_fields() {
    let both = fields(&["a", "b"]);
    let of = |values: &[(&str, &str)]| both.select(&headers(values));
    let all = [
        of(&[]),
        of(&[("a", "")]),
        of(&[("b", "")]),
        of(&[("a", "-")]),
        of(&[("a", "1"), ("b", "2")]),
        of(&[("a", "1&=2")]),
        of(&[("a", "1%26=2")]),
        of(&[("a", "1&=2"), ("b", "")]),
        of(&[("a", "1"), ("b", "=2")]),
        of(&[("a", "12")]),
        of(&[("b", "12")]),
    ];
    for (nth, one) in all.iter().enumerate() {
        assert!(all[nth + 1..].iter().all(|other| other != one), "{one:?}");
    }
}

proptest! {
    #[test]
    fn is_printable_and_tells_different_values_apart(one in "[a &%=,-]{0,6}", two in "[a &%=,-]{0,6}", three in "[a &%=,-]{0,6}") {
        let both = fields(&["a", "b"]);
        let text = |a: &str, b: &str| both.select(&headers(&[("a", a), ("b", b)]));
        let same = |one: &str, other: &str| {
            let pieces = |text: &str| list::pieces(text.as_bytes(), b',').map(<[u8]>::to_vec).collect::<Vec<_>>();
            pieces(one) == pieces(other)
        };
        prop_assert_eq!(text(&one, &two) == text(&one, &three), same(&two, &three));
        prop_assert_eq!(text(&one, &two) == text(&two, &one), same(&one, &two));
        prop_assert!(text(&one, &two).as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    }

    #[test]
    fn never_panics(bytes: Vec<u8>, name in prop::sample::select(vec!["accept", "accept-language", "foo", "vary"])) {
        if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
            let name = HeaderName::from_static(name);
            let mut map = HeaderMap::new();
            map.insert(name.clone(), value);
            let text = Fields::new([name]).select(&map);
            prop_assert!(text.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            Varies::parse(&map);
        }
    }
}
