//! Entity tags (RFC 9110 §8.8.3): reading, comparing, lists of them.

use http::HeaderMap;
use http::HeaderName;

/// An entity tag. One that is not written as it must be is taken as it stands, and as weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ETag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

/// What `If-Match` or `If-None-Match` lists.
pub(super) enum Tags<'a> {
    /// `*`
    Any,
    /// Some.
    These(Vec<ETag<'a>>),
}

impl<'a> ETag<'a> {
    pub(super) fn parse(value: &'a [u8]) -> ETag<'a> {
        let value = value.trim_ascii();
        let (weak, opaque) = match value.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, value),
        };
        match opaque {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => ETag { weak, opaque },
            _ => ETag {
                weak: true,
                opaque: value,
            },
        }
    }

    /// Same, and both strong (§8.8.3.2).
    pub(super) fn strongly_matches(self, other: ETag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Same but for strength (§8.8.3.2).
    pub(super) fn weakly_matches(self, other: ETag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

impl<'a> Tags<'a> {
    /// All lines of such a field; `None` when there is no line.
    pub(super) fn parse(headers: &'a HeaderMap, name: &HeaderName) -> Option<Tags<'a>> {
        let mut tags = Vec::new();
        let mut found = false;
        for line in headers.get_all(name) {
            found = true;
            let mut rest = line.as_bytes();
            while let Some((tag, after)) = split(rest) {
                if tag == b"*" {
                    return Some(Tags::Any);
                }
                tags.push(ETag::parse(tag));
                rest = after;
            }
        }
        found.then_some(Tags::These(tags))
    }

    pub(super) fn any(&self, matches: impl Fn(ETag<'a>) -> bool) -> bool {
        match self {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().copied().any(matches),
        }
    }
}

/// The first tag, and what comes after it. Between quotes a comma is a part of the tag, and a
/// backslash is nothing special.
fn split(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = list
        .iter()
        .position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
    let list = &list[start..];
    let open = if list.starts_with(b"W/\"") { 2 } else { 0 };
    let quoted = list[open..]
        .strip_prefix(b"\"")
        .and_then(|inner| inner.iter().position(|&byte| byte == b'"'))
        .map(|length| open + length + 2);
    let comma = |from: usize| {
        let after = list[from..].iter().position(|&byte| byte == b',');
        after.map_or(list.len(), |at| from + at)
    };
    Some(list.split_at(comma(quoted.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::headers;

    const NAME: HeaderName = http::header::IF_NONE_MATCH;

    fn holds(list: &str, tag: &str) -> bool {
        let fields = headers(&[("if-none-match", list)]);
        let tag = ETag::parse(tag.as_bytes());
        Tags::parse(&fields, &NAME)
            .unwrap()
            .any(|other| other.weakly_matches(tag))
    }

    #[test]
    fn strength() {
        let (strong, weak) = (ETag::parse(b"\"a\""), ETag::parse(b"W/\"a\""));
        assert!(strong.strongly_matches(strong) && strong.weakly_matches(weak));
        assert!(!strong.strongly_matches(weak) && !weak.strongly_matches(weak));
        assert!(weak.weakly_matches(weak));
        assert!(!ETag::parse(b"a").strongly_matches(ETag::parse(b"a")));
        assert!(!ETag::parse(b"w/\"a\"").weakly_matches(strong));
    }

    #[test]
    fn lists() {
        for list in [
            "\"a\"",
            "\"x\", \"a\"",
            "\"a\",\"x\"",
            ", ,\"x\" ,W/\"a\"",
            "x, \"a\"",
        ] {
            assert!(holds(list, "\"a\""), "{list}");
        }
        for list in [
            "",
            ",",
            "\"b\"",
            "a",
            "\"x,\"a\"\"",
            "\"A\"",
            "\"a",
            "\"x, \"a\"",
        ] {
            assert!(!holds(list, "\"a\""), "{list}");
        }
        assert!(holds("\"1\", \"a,b\", \"2\"", "\"a,b\""));
        assert!(holds("\"a\\\", \"b\"", "\"b\""));
        assert!(holds("abcdef", "abcdef"));
        assert!(holds("\"\u{fc}\"", "W/\"\u{fc}\""));
        assert!(holds("*", "\"a\"") && holds("\"x\", *", "\"a\""));
    }

    #[test]
    fn all_lines_count() {
        let fields = headers(&[("if-none-match", "\"x\""), ("if-none-match", "\"a\"")]);
        let tags = Tags::parse(&fields, &NAME).unwrap();
        assert!(tags.any(|tag| tag == ETag::parse(b"\"a\"")));
        assert!(Tags::parse(&headers(&[]), &NAME).is_none());
    }

    proptest! {
        #[test]
        fn any_tag_is_found_in_any_list(tags in prop::collection::vec("(W/)?\"[!#-~]{0,6}\"", 1..6), pick: prop::sample::Index) {
            let tag: &String = pick.get(&tags);
            prop_assert!(holds(&tags.join(", "), tag));
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut map = HeaderMap::new();
                map.insert(NAME, value);
                Tags::parse(&map, &NAME);
            }
        }
    }
}
