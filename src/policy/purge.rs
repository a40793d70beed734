//! What is to be purged, and which responses that concerns.

use super::{Head, Key};

/// What is to be purged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purge {
    /// Everything.
    All,
    /// A URI, with all its variants, whatever the method.
    Uri(Key),
    /// A URI and all that is [below](Key::is_below) it.
    Below(Key),
    /// What carries this [tag](Head::tags).
    Tag(String),
    /// What is in one of these groups (RFC 9875), of the origin that the key is of.
    Groups(Key, Vec<String>),
}

impl Purge {
    /// Whether this may be about something under `key`.
    pub fn concerns_key(&self, key: &Key) -> bool {
        match self {
            Purge::All | Purge::Tag(_) => true,
            Purge::Uri(uri) => key.uri() == uri.uri(),
            Purge::Below(top) => key.is_below(top),
            Purge::Groups(origin, _) => key.origin() == origin.origin(),
        }
    }

    /// The same of a response to come, which may say that not all of its query matters.
    pub fn may_concern(&self, key: &Key) -> bool {
        match self {
            Purge::Uri(uri) => key.path() == uri.path(),
            Purge::Below(top) => key.is_below(top) || key.search_mark().is_below(top),
            _ => self.concerns_key(key),
        }
    }

    /// Whether this is about the response that has this head under `key`, or answers more than
    /// that.
    pub fn concerns(&self, key: &Key, head: &Head) -> bool {
        let by_key = self.concerns_key(key)
            || match (self, head.search()) {
                (Purge::Uri(uri), Some(rule)) => rule.is_same(key, uri),
                (Purge::Below(top), Some(_)) => key.search_mark().is_below(top),
                _ => false,
            };
        by_key
            && match self {
                Purge::All | Purge::Uri(_) | Purge::Below(_) => true,
                Purge::Tag(tag) => head.tags().any(|other| other == *tag),
                Purge::Groups(_, names) => head.groups().iter().any(|own| names.contains(own)),
            }
    }

    /// Whether all variants of a URI are purged, or only those with the right head.
    pub fn is_by_key(&self) -> bool {
        matches!(self, Purge::All | Purge::Uri(_) | Purge::Below(_))
    }

    /// How the keys begin that this may be about.
    pub fn starts(&self) -> Vec<String> {
        match self {
            Purge::All | Purge::Tag(_) => vec![String::new()],
            Purge::Uri(key) | Purge::Below(key) => key.starts().into(),
            Purge::Groups(key, _) => key.starts_of_origin().into(),
        }
    }
}
