//! Structured fields (RFC 9651): strict, and whole or not at all.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible};

use http::{HeaderMap, HeaderName};
pub(super) use sfv::BareItemFromInput as BareItem;
use sfv::{
    KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor,
        ParameterVisitor,
    },
};

/// What a member of a list or a dictionary is, without parameters.
#[derive(Debug, Default)]
pub(super) enum Member<'a> {
    /// An item.
    Item(BareItem<'a>),
    /// An inner list of Strings.
    Strings(Vec<String>),
    /// An inner list of something else.
    #[default]
    Other,
}

#[derive(Default)]
struct Dictionary<'a>(BTreeMap<&'a str, Member<'a>>);

#[derive(Default)]
struct List<'a>(Vec<Member<'a>>);

/// Where a member goes, or a piece of an inner list. Parameters are ignored.
struct Place<'p, 'a>(&'p mut Member<'a>);
struct Piece<'p, 'a>(&'p mut Member<'a>);

/// All lines of a field as one, `None` where there is none.
pub(super) fn line<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    let mut line = Cow::Borrowed(first);
    for more in lines {
        line.to_mut().extend_from_slice(b", ");
        line.to_mut().extend_from_slice(more.as_bytes());
    }
    Some(line)
}

/// The members of a dictionary, of several with one key the last; `None` when it is malformed or
/// empty.
pub(super) fn dictionary(line: &[u8]) -> Option<BTreeMap<&str, Member<'_>>> {
    let members: Dictionary<'_> = Parser::new(line).parse_dictionary().ok()?;
    (!members.0.is_empty()).then_some(members.0)
}

/// The members of a list of Strings; `None` when it is malformed, or something else is in it.
pub(super) fn strings(line: &[u8]) -> Option<Vec<String>> {
    let members: List<'_> = Parser::new(line).parse_list().ok()?;
    let string = |member: Member<'_>| match member {
        Member::Item(BareItem::String(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    members.0.into_iter().map(string).collect()
}

impl<'a> DictionaryVisitor<'a> for Dictionary<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        let place = self.0.entry(key.as_str()).or_default();
        *place = Member::Other;
        Ok(Place(place))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'a> ListVisitor<'a> for List<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'a>, Infallible> {
        Ok(Place(self.0.push_mut(Member::Other)))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'a> EntryVisitor<'a> for Place<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        *self.0 = Member::Strings(Vec::new());
        Ok(self)
    }
}

impl<'a> ItemVisitor<'a> for Place<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItem<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        *self.0 = Member::Item(item);
        Ok(Ignored)
    }
}

impl<'a> InnerListVisitor<'a> for Place<'_, 'a> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(Piece(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Piece<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItem<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        match (self.0, item) {
            (Member::Strings(strings), BareItem::String(text)) => {
                strings.push(text.as_str().to_owned());
            }
            (list, _) => *list = Member::Other,
        }
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::headers;

    fn listed(line: &str) -> Option<Vec<String>> {
        strings(line.as_bytes())
    }

    fn number(member: &Member<'_>) -> i64 {
        match member {
            Member::Item(item) => item.as_integer().unwrap().into(),
            other => panic!("{other:?} is no number"),
        }
    }

    #[test]
    fn a_list_of_strings_has_nothing_else_in_it() {
        let two = Some(vec!["a b".to_owned(), "\"\\".to_owned()]);
        assert_eq!(listed(r#""a b";p=1, "\"\\""#), two);
        assert_eq!(listed(""), Some(vec![]));
        for bad in [
            "a",
            "\"a\", 1",
            "(\"a\")",
            "\"a",
            "\"a\",",
            "\"\u{e4}\"",
            ":YQ==:",
        ] {
            assert_eq!(listed(bad), None, "{bad}");
        }
    }

    #[test]
    fn of_several_members_with_one_key_the_last_counts() {
        let broken = dictionary(b"a=1, b, a=(1 2), b=2;x=(");
        assert!(broken.is_none(), "an error anywhere spoils all of it");
        let members = dictionary(b"a=1;x=y, b, a=(1 2), b=2;x").unwrap();
        assert_eq!(members.len(), 2);
        assert!(matches!(members["a"], Member::Other));
        assert_eq!(number(&members["b"]), 2);
        let lists = dictionary(b"a=(\"x\" \"y z\";p);q, b=(), c=(\"x\" 1), d=(1 \"x\")").unwrap();
        let strings = |key| match &lists[key] {
            Member::Strings(strings) => Some(strings.join("|")),
            _ => None,
        };
        assert_eq!(
            ["a", "b", "c", "d"].map(strings),
            [Some("x|y z".into()), Some(String::new()), None, None]
        );
        assert!(dictionary(b"").is_none());
    }

    #[test]
    fn lines_are_one() {
        let name = HeaderName::from_static("x");
        let found = headers(&[("x", "a"), ("y", "-"), ("x", "b=1")]);
        assert_eq!(line(&found, &name).as_deref(), Some(&b"a, b=1"[..]));
        assert_eq!(line(&headers(&[]), &name), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (dictionary(&bytes), strings(&bytes));
        }

        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec("[ -~]{0,8}", 0..5), numbers in prop::collection::btree_map("[a-z*][a-z0-9_.*-]{0,6}", -999_999_999_999_999i64..=999_999_999_999_999, 1..5)) {
            let quoted = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let line: Vec<_> = texts.iter().map(quoted).collect();
            prop_assert_eq!(listed(&line.join(", ")), Some(texts));
            let line: Vec<_> = numbers.iter().map(|(key, number)| format!("{key}={number};p")).collect();
            let line = line.join(",");
            let read: BTreeMap<String, i64> = dictionary(line.as_bytes()).unwrap().into_iter()
                .map(|(key, member)| (key.to_owned(), number(&member)))
                .collect();
            prop_assert_eq!(read, numbers);
        }
    }
}
