//! Rules about queries: how they are written, and which queries they make one.

use proptest::prelude::*;

use super::*;
use crate::policy::testing::headers;

fn rule(line: &str) -> Option<Rule> {
    Rule::parse(&headers(&[("no-vary-search", line)]))
}

fn same(line: &str, one: &str, other: &str) -> bool {
    let rule = rule(line).expect(line);
    let key = |query: &str| Key::parse(&format!("GET http://h/p{query}"));
    rule.is_same(&key(one), &key(other))
}

#[test]
fn what_is_said_is_read() {
    let none: [&str; 0] = [];
    for (line, want) in [
        ("params", Rule::new(none, true, true)),
        ("params=?1", Rule::new(none, true, true)),
        (
            "params=(\"b\" \"a\" \"b\")",
            Rule::new(["a", "b"], false, true),
        ),
        ("params, except=(\"x\")", Rule::new(["x"], true, true)),
        ("params, except=()", Rule::new(none, true, true)),
        ("key-order", Rule::new(none, false, false)),
        ("key-order, params=(\"a\")", Rule::new(["a"], false, false)),
        (
            "params;p=1, key-order=?1;q, other=(1 2)",
            Rule::new(none, true, false),
        ),
        ("params=1, params=(\"a\";x)", Rule::new(["a"], false, true)),
        (
            "params=(\"%C3%A9+%E6%B0%97\" \"a&b=c\" \"\")",
            Rule::new(["é 気", "a&b=c", ""], false, true),
        ),
    ] {
        assert_eq!(rule(line), Some(want), "{line}");
    }
    let lines = headers(&[
        ("no-vary-search", "params"),
        ("no-vary-search", "key-order"),
    ]);
    assert_eq!(Rule::parse(&lines), Some(Rule::new(none, true, false)));
}

#[test]
fn what_is_malformed_or_says_nothing_is_no_rule() {
    for line in [
        "",
        "unknown-key",
        "key-order=\"not a boolean\"",
        "params=\"not a boolean or inner list\"",
        "params=(not-a-string)",
        "params=(\"a\" 1)",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "params, except=(not-a-string)",
        "params, except=\"not an inner list\"",
        "params, except=?1",
        "except=(\"x\")",
        "except=()",
        "params=?0",
        "params=()",
        "key-order=?0",
        "params,",
        "params=(\"a\"",
        "Params",
    ] {
        assert_eq!(rule(line), None, "{line}");
    }
    assert_eq!(Rule::parse(&headers(&[])), None);
}

#[test]
fn queries_are_compared_as_parameters() {
    let key_order = |one, other| same("key-order", one, other);
    for (one, other) in [
        ("", "?"),
        ("?a=x", "?%61=%78"),
        ("?a=\u{e9}", "?a=%C3%A9"),
        ("?a=%f6", "?a=%ef%bf%bd"),
        ("?a=x&&&&", "?a=x"),
        ("?a=", "?a"),
        ("?a=%20", "?a=+"),
        ("?b=1&a=2&b=3", "?a=2&b=1&b=3"),
    ] {
        assert!(key_order(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("?a", "?A"),
        ("?a=1", "?a=2"),
        ("?a=1&a=2", "?a=2&a=1"),
        ("?a=1", "?a=1&a=1"),
        ("?a=1", "?a%3D1"),
        ("", "?="),
    ] {
        assert!(!key_order(one, other), "{one} {other}");
    }
}

#[test]
fn each_form_ignores_what_it_says() {
    let utm = "params=(\"utm\" \"gclid\")";
    assert!(same(utm, "?a=1&utm=2", "?gclid&a=1"));
    assert!(!same(utm, "?a=1&utm=2", "?a=2&utm=2"));
    assert!(!same(utm, "?a=1&b=2", "?b=2&a=1"), "the order matters");
    assert!(same("params", "?a=1", ""));
    let except = "params, except=(\"id\")";
    assert!(same(except, "?id=1&x=2", "?y&id=1"));
    assert!(!same(except, "?id=1", "?id=2"));
    assert!(!same(except, "?id=1", ""));
    let key = |text: &str| Key::parse(&format!("GET http://h{text}"));
    let rule = rule("params").unwrap();
    assert!(!rule.is_same(&key("/a?x"), &key("/b?x")));
}

fn rules() -> impl Strategy<Value = Rule> {
    (
        prop::collection::vec("[ab+ ]{0,1}", 0..3),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(names, only, ordered)| Rule::new(names, only, ordered))
}

const QUERY: &str = "([abc+]?=?(%[0-9a-f]{2}|[12])?&){0,4}";

proptest! {
    #[test]
    fn equivalence_is_one(rule in rules(), a in QUERY, b in QUERY) {
        let canonical = rule.canonical(&a);
        prop_assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
        prop_assert_eq!(&rule.canonical(&canonical), &canonical, "a query equals its canonical form");
        prop_assert_eq!(rule.canonical(&a) == rule.canonical(&b), equivalent(&rule, &a, &b));
    }

    #[test]
    fn never_panics(line in "[ -~]{0,40}", query: String) {
        if let Some(rule) = rule(&line) {
            rule.canonical(&query);
        }
    }
}

/// The draft's algorithm to the letter.
fn equivalent(rule: &Rule, a: &str, b: &str) -> bool {
    let read = |query: &str| {
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        pairs.retain(|(name, _)| rule.names.iter().any(|own| **own == **name) == rule.only);
        if !rule.ordered {
            pairs.sort_by(|one, other| one.0.encode_utf16().cmp(other.0.encode_utf16()));
        }
        pairs
    };
    read(a) == read(b)
}
