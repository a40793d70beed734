//! Dictionaries whose members may be inner lists of Strings (RFC 9651 §3.2).

use std::{collections::BTreeMap, convert::Infallible};

use sfv::{
    BareItemFromInput as BareItem, KeyRef, Parser,
    visitor::{
        DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
    },
};

/// A member's value, without parameters.
#[derive(Debug, PartialEq)]
pub(in crate::policy) enum Member {
    /// A Boolean.
    Boolean(bool),
    /// An inner list of Strings.
    Strings(Vec<String>),
    /// Anything else.
    Other,
}

#[derive(Default)]
struct Members<'a>(BTreeMap<&'a str, Member>);

/// Where a member goes, or a piece of an inner list.
struct Place<'p>(&'p mut Member);
struct Piece<'p>(&'p mut Member);

/// The members of a dictionary, of several with one key the last; `None` when it is malformed.
pub(in crate::policy) fn members(line: &[u8]) -> Option<BTreeMap<&str, Member>> {
    let members: Members<'_> = Parser::new(line).parse_dictionary().ok()?;
    Some(members.0)
}

impl<'a> DictionaryVisitor<'a> for Members<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        let place = self.0.entry(key.as_str()).or_insert(Member::Other);
        *place = Member::Other;
        Ok(Place(place))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<'a> EntryVisitor<'a> for Place<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        *self.0 = Member::Strings(Vec::new());
        Ok(self)
    }
}

impl<'a> ItemVisitor<'a> for Place<'_> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItem<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        if let BareItem::Boolean(value) = item {
            *self.0 = Member::Boolean(value);
        }
        Ok(Ignored)
    }
}

impl<'a> InnerListVisitor<'a> for Place<'_> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(Piece(self.0))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

impl<'a> ItemVisitor<'a> for Piece<'_> {
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
