//! RFC 10008 §2.7: what a QUERY asks, as a part of its key: its content, and what is said of it.

use std::fmt::{self, Write};

use http::{Method, request};

use super::Reason;

#[cfg(feature = "query")]
mod reading;

/// What is known of the content of a QUERY: an extension of the request. Without it the cache has
/// no part in the request, as it sees no bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Known(Digest),
    /// Not enough: the response is not to be stored, for this reason.
    Unknown(Reason),
}

/// A collision-resistant digest of a request's content and of the fields that describe it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Content {
    /// What is known of this request's content. Of other methods than QUERY, none counts.
    pub(super) fn of(req: &request::Parts) -> Option<Content> {
        is_query(&req.method)
            .then(|| req.extensions.get().copied())
            .flatten()
    }
}

impl Digest {
    /// Made elsewhere: of all that tells one content from another.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// The digest of a request's content, where that is known.
    pub fn of(req: &request::Parts) -> Option<Digest> {
        match Content::of(req)? {
            Content::Known(digest) => Some(digest),
            Content::Unknown(_) => None,
        }
    }
}

/// In hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Whether it is RFC 10008's method, which the `http` crate has no name for.
pub(super) fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}
