//! `No-Vary-Search` (draft-ietf-httpbis-no-vary-search): which parts of a query do not matter.
//!
//! Queries are compared as lists of parameters, as `application/x-www-form-urlencoded` has them.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderName};

use super::{
    Key,
    structured::{self, BareItem, Member},
};

const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// A URL search variance (§4) other than the default one, by which every query is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names of parameters, as they are after decoding, sorted, each once.
    pub names: Arc<[Box<str>]>,
    /// Those parameters are the only ones that matter (`except`); else they are those that do not
    /// (`params`).
    pub only: bool,
    /// The order of different parameters matters (there is no `key-order`).
    pub ordered: bool,
}

/// A mark for a path: responses are kept under one key for all queries that are the same by its
/// rule.
///
/// Without the mark nobody can know the `epoch`, so that removing it makes all of them unreachable
/// at once: also when the rule is learned again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// A random number, part of each of those keys.
    pub epoch: u64,
    /// What the path's newest response says.
    pub rule: Rule,
    /// Until when the longest-lived response is kept.
    pub until: SystemTime,
}

impl Rule {
    /// §5: `None` is the default variance, which is also that of whatever is malformed.
    pub(super) fn parse(headers: &HeaderMap) -> Option<Rule> {
        let line = structured::line(headers, &NO_VARY_SEARCH)?;
        let members = structured::dictionary(&line)?;
        let ordered = match members.get("key-order") {
            None => true,
            Some(Member::Item(BareItem::Boolean(any))) => !any,
            Some(_) => return None,
        };
        let (names, only) = match (members.get("params"), members.get("except")) {
            (None | Some(Member::Item(BareItem::Boolean(false))), None) => (&[][..], false),
            (Some(Member::Strings(names)), None) => (&names[..], false),
            (Some(Member::Item(BareItem::Boolean(true))), None) => (&[][..], true),
            (Some(Member::Item(BareItem::Boolean(true))), Some(Member::Strings(names))) => {
                (&names[..], true)
            }
            _ => return None,
        };
        let is_default = names.is_empty() && !only && ordered;
        (!is_default).then(|| Rule::new(names.iter().map(|name| decoded(name)), only, ordered))
    }

    /// From names in any order.
    pub fn new(
        names: impl IntoIterator<Item = impl Into<Box<str>>>,
        only: bool,
        ordered: bool,
    ) -> Rule {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Rule {
            names: names.into(),
            only,
            ordered,
        }
    }

    /// What matters of a query: the same text for queries that are equivalent (§6), and for no
    /// others. It is a query itself.
    pub fn canonical(&self, query: &str) -> String {
        let mut parameters: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            form_urlencoded::parse(query.as_bytes())
                .filter(|(name, _)| self.matters(name))
                .collect();
        if !self.ordered {
            // Stable: the order of parameters of one name matters still.
            parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish()
    }

    /// Whether two URIs are equivalent by this rule (§6).
    pub fn is_same(&self, one: &Key, other: &Key) -> bool {
        one.path() == other.path() && self.canonical(one.query()) == self.canonical(other.query())
    }

    /// The memory that it takes besides its own size, approximately.
    pub(crate) fn weight(&self) -> usize {
        self.names.iter().map(|name| name.len() + 32).sum()
    }

    fn matters(&self, name: &str) -> bool {
        let named = self.names.binary_search_by(|own| (**own).cmp(name)).is_ok();
        named == self.only
    }
}

impl Search {
    /// The key for all URIs that are the same as this one by the rule.
    pub fn key(&self, uri: &Key) -> Key {
        uri.with_search(self.epoch, &self.rule.canonical(uri.query()))
    }
}

/// §5.3: a name may be written as in a query.
fn decoded(name: &str) -> String {
    // As what comes before a `=`, where neither sign has a meaning.
    let escaped = name.replace('&', "%26").replace('=', "%3D");
    let parsed = form_urlencoded::parse(escaped.as_bytes()).next();
    parsed.map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests;
