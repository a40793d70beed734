//! Which variant of a URI a request means (RFC 9111 §4.1).

use std::{collections::BTreeSet, fmt::Write, sync::Arc, time::SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE},
    request,
};

use super::{Digest, list};

/// What a response's `Vary` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Varies {
    /// There is none, or it is empty.
    No,
    /// The response was selected by these request fields.
    By(Fields),
    /// `*`, or something that cannot be read: no other request selects this response.
    Always,
}

/// Names of selecting request fields: lower case, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Arc<[HeaderName]>);

/// The normalised values of the selecting fields of one request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection(Box<str>);

/// A marker that stands under a primary key in place of a response: its variants are kept under
/// keys of their own (see [`Key::variant`](super::Key::variant)).
///
/// Without the marker nobody can know the `epoch`, so that removing it makes all variants
/// unreachable at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// A random number, part of every variant's key.
    pub epoch: u64,
    /// The fields that select among the variants.
    pub fields: Fields,
    /// Until when the longest-lived variant is kept.
    pub until: SystemTime,
}

// === impl Vary ===

impl Vary {
    /// The mark of variants that nobody has stored yet: all that is asked of a QUERY's URI is apart
    /// by what is asked alone, as far as is known.
    pub(crate) fn unknown() -> Vary {
        Vary {
            epoch: 0,
            fields: Fields::new([]),
            until: SystemTime::UNIX_EPOCH,
        }
    }

    /// What this request selects: by these fields, and by its content if it is a QUERY (RFC 10008
    /// §2.7).
    pub fn select(&self, req: &request::Parts) -> Selection {
        let fields = self.fields.select(&req.headers);
        match Digest::of(req) {
            Some(digest) => Selection(format!("{digest}&{}", fields.0).into()),
            None => fields,
        }
    }
}

// === impl Varies ===

impl Varies {
    /// Reads all `Vary` lines of a response.
    pub(super) fn parse(headers: &HeaderMap) -> Varies {
        if !headers.contains_key(header::VARY) {
            return Varies::No;
        }
        // `*` is a token, and would pass for a name.
        let names: Option<Vec<HeaderName>> = list::members(headers, &header::VARY)
            .map(|member| match member {
                b"*" => None,
                name => HeaderName::from_bytes(name).ok(),
            })
            .collect();
        match names {
            None => Varies::Always,
            Some(names) if names.is_empty() => Varies::No,
            Some(names) => Varies::By(Fields::new(names)),
        }
    }

    /// As [`Varies::parse`], after `names` were added to `Vary` where they lack.
    pub(super) fn parse_with(headers: &mut HeaderMap, names: &[HeaderName]) -> Varies {
        let varies = Varies::parse(headers);
        let lacks = |name: &&HeaderName| match &varies {
            Varies::No => true,
            Varies::By(fields) => !fields.0.contains(name),
            Varies::Always => false,
        };
        let lacking: Vec<&HeaderName> = names.iter().filter(lacks).collect();
        if lacking.is_empty() {
            return varies;
        }
        for name in lacking {
            headers.append(header::VARY, HeaderValue::from_name(name.clone()));
        }
        Varies::parse(headers)
    }
}

// === impl Fields ===

impl Fields {
    /// Field names of a stored marker.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// From names in any order.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Fields {
        let mut names: Vec<HeaderName> = names.into_iter().collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        Fields(names.into())
    }

    /// The normalised values of these fields in `headers`.
    ///
    /// Lines are combined and the space around commas is dropped for all fields (§4.1); of those
    /// whose syntax is known here, letters are compared without case where it has none, and
    /// languages and codings as a set of preferences.
    pub fn select(&self, headers: &HeaderMap) -> Selection {
        let mut text = String::new();
        for (nth, name) in self.0.iter().enumerate() {
            if nth > 0 {
                text.push('&');
            }
            if !headers.contains_key(name) {
                text.push('-'); // absent is not the same as empty
                continue;
            }
            text.push('=');
            if *name == ACCEPT_ENCODING || *name == ACCEPT_LANGUAGE {
                preferences(headers, name, &mut text);
            } else if *name == ACCEPT {
                media_ranges(headers, &mut text);
            } else {
                plain(headers, name, &mut text);
            }
        }
        Selection(text.into())
    }

    /// Whether all of `other`'s names are among these.
    pub fn covers(&self, other: &Fields) -> bool {
        other.0.iter().all(|name| self.0.contains(name))
    }

    /// The names of both.
    pub fn union(&self, other: &Fields) -> Fields {
        Fields::new(self.0.iter().chain(other.0.iter()).cloned())
    }
}

// === impl Selection ===

impl Selection {
    /// The text, printable ASCII without spaces.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(crate) fn into_text(self) -> String {
        self.0.into()
    }
}

/// Any field: the pieces as they are, since nothing is known of them.
fn plain(headers: &HeaderMap, name: &HeaderName, text: &mut String) {
    let pieces = headers
        .get_all(name)
        .iter()
        .flat_map(|line| list::pieces(line.as_bytes(), b','));
    for (nth, piece) in pieces.enumerate() {
        if nth > 0 {
            text.push(',');
        }
        escape(piece, text);
    }
}

/// `Accept` (RFC 9110 §12.5.1): types have no case; of parameters that is not known.
fn media_ranges(headers: &HeaderMap, text: &mut String) {
    for (nth, member) in list::members(headers, &ACCEPT).enumerate() {
        if nth > 0 {
            text.push(',');
        }
        for (nth, part) in list::pieces(member, b';').enumerate() {
            if nth == 0 {
                escape(&part.to_ascii_lowercase(), text);
            } else {
                text.push(';');
                escape(part, text);
            }
        }
    }
}

/// `Accept-Encoding` and `Accept-Language` (RFC 9110 §12.5.3, §12.5.4): what counts is which are
/// wanted and how much; the order and the way in which a weight is written do not.
fn preferences(headers: &HeaderMap, name: &HeaderName, text: &mut String) {
    let wanted: BTreeSet<Vec<u8>> = list::members(headers, name).map(preference).collect();
    for (nth, member) in wanted.iter().enumerate() {
        if nth > 0 {
            text.push(',');
        }
        escape(member, text);
    }
}

fn preference(member: &[u8]) -> Vec<u8> {
    let member = member.to_ascii_lowercase();
    let mut parts = list::pieces(&member, b';');
    let (Some(range), weight, None) = (parts.next(), parts.next(), parts.next()) else {
        return member;
    };
    match weight.map(|weight| weight.strip_prefix(b"q=").and_then(thousandths)) {
        None | Some(Some(1000)) => range.to_vec(),
        Some(Some(weight)) => [range, format!(";q={weight}").as_bytes()].concat(),
        Some(None) => member,
    }
}

/// A weight of at most 1, in thousandths (RFC 9110 §12.4.2).
pub(super) fn thousandths(weight: &[u8]) -> Option<u64> {
    let (whole, fraction) = match weight.split_first()? {
        (whole @ (b'0' | b'1'), []) => (*whole, &b""[..]),
        (whole @ (b'0' | b'1'), [b'.', fraction @ ..]) => (*whole, fraction),
        _ => return None,
    };
    let scale = [1000, 100, 10, 1].get(fraction.len())?;
    let fraction = if fraction.is_empty() {
        0
    } else {
        list::digits(fraction)?
    };
    let weight = u64::from(whole - b'0') * 1000 + fraction * scale;
    (weight <= 1000).then_some(weight)
}

/// Printable ASCII as it is; all else, and what has a meaning in a selection, as `%XX`.
fn escape(bytes: &[u8], text: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b'&' {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
}

#[cfg(test)]
mod tests;
