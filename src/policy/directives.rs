//! Cache-Control, or the field that is targeted at this cache in its place (RFC 9213), parsed once
//! into plain fields (RFC 9111 §5.2).
//!
//! What cannot be read is read the safe way: an unreadable `max-age` is 0, a restriction counts
//! whatever its argument, a permission only as it is defined. Of several values the one counts
//! that allows least (§4.2.1).

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, PRAGMA},
};

use super::{
    date::MAX_DELTA,
    list,
    structured::{self, BareItem, Member},
};

/// The targeted fields that this cache follows, the first first (RFC 9213 §2.2).
pub(super) const TARGETS: [HeaderName; 2] = [
    HeaderName::from_static("larder-cache-control"),
    HeaderName::from_static("cdn-cache-control"),
];

/// The Cache-Control of a response, as a shared cache that knows RFC 5861 and RFC 8246 reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`, without a list of fields.
    pub no_cache: bool,
    /// `private`, without a list of fields.
    pub private: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `no-transform`.
    pub no_transform: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// The targeted field that all this was read from (RFC 9213); `None` when it was
    /// Cache-Control. Where there is one, `Expires` does not count either.
    pub target: Option<HeaderName>,
    /// The fields that `no-cache="…"` and `private="…"` list: a shared cache does not keep them.
    pub(super) unstored: Vec<HeaderName>,
}

/// The Cache-Control of a request, and its Pragma.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `min-fresh`.
    pub min_fresh: Option<Duration>,
    /// `max-stale`; without a value, as long as can be.
    pub max_stale: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// What comes after the `=` of a directive.
#[derive(Clone, Copy)]
struct Argument<'a>(Option<&'a [u8]>);

// === impl ResponseDirectives ===

impl ResponseDirectives {
    /// Reads what a response tells this cache: the first targeted field that says something, or
    /// else all its Cache-Control lines (RFC 9213 §2.2).
    pub fn parse(headers: &HeaderMap) -> Self {
        let targeted = TARGETS
            .into_iter()
            .find_map(|name| ResponseDirectives::targeted(headers, name));
        targeted.unwrap_or_else(|| ResponseDirectives::cache_control(headers))
    }

    /// What a targeted field says; `None` when it is absent, empty or malformed (§2.1).
    fn targeted(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let line = structured::line(headers, &name)?;
        let mut found = ResponseDirectives {
            target: Some(name),
            ..ResponseDirectives::default()
        };
        for (directive, value) in structured::dictionary(&line)? {
            let takes_names = matches!(directive, "no-cache" | "private");
            let argument = match value {
                Member::Item(BareItem::Boolean(true)) => None,
                Member::Item(BareItem::Integer(number)) => Some(number.to_string()),
                Member::Item(BareItem::String(names)) if takes_names => {
                    Some(names.as_str().to_owned())
                }
                // Another type than the directive's is not coerced: it cannot be read.
                _ => Some(String::new()),
            };
            let argument = argument.as_deref().map(str::as_bytes);
            found.add(directive.as_bytes(), Argument(argument));
        }
        Some(found)
    }

    fn cache_control(headers: &HeaderMap) -> Self {
        let mut found = ResponseDirectives::default();
        for (name, argument) in directives(headers) {
            found.add(name, argument);
        }
        found
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache |= !self.unstore(argument);
        } else if is("private") {
            self.private |= !self.unstore(argument);
        } else if is("public") {
            self.public |= argument.is_absent();
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("no-transform") {
            self.no_transform = true;
        } else if is("immutable") {
            self.immutable |= argument.is_absent();
        } else if is("max-age") {
            shortest(&mut self.max_age, argument.seconds_or_zero());
        } else if is("s-maxage") {
            shortest(&mut self.s_maxage, argument.seconds_or_zero());
        } else if is("stale-while-revalidate") {
            shortest(&mut self.stale_while_revalidate, argument.seconds_or_zero());
        } else if is("stale-if-error") {
            shortest(&mut self.stale_if_error, argument.seconds_or_zero());
        }
    }

    /// Takes in the list of a qualified directive; false when there is none that can be followed,
    /// so that the directive means the whole response.
    fn unstore(&mut self, argument: Argument<'_>) -> bool {
        let Some(names) = argument.field_names() else {
            return false;
        };
        self.unstored.extend(names);
        true
    }

    /// Whether the origin says that a shared cache may give it to anybody, whoever asked first.
    pub(super) fn is_shared(&self) -> bool {
        self.public || self.s_maxage.is_some()
    }

    /// Whether it must not be served stale (RFC 9111 §4.2.4); `s-maxage` implies
    /// `proxy-revalidate` (§5.2.2.10).
    pub(crate) fn forbids_stale(&self) -> bool {
        self.no_cache || self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }
}

// === impl RequestDirectives ===

impl RequestDirectives {
    /// Reads all Cache-Control lines of a request; `Pragma` counts only where there are none
    /// (RFC 9111 §5.4).
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut found = RequestDirectives::default();
        if headers.contains_key(CACHE_CONTROL) {
            for (name, argument) in directives(headers) {
                found.add(name, argument);
            }
        } else if headers.contains_key(PRAGMA) {
            found.no_cache = is_pragma_no_cache(headers);
        }
        found
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            shortest(&mut self.max_age, argument.seconds_or_zero());
        } else if is("min-fresh") {
            let wanted = argument.seconds().unwrap_or(MAX_DELTA);
            self.min_fresh = Some(self.min_fresh.map_or(wanted, |other| other.max(wanted)));
        } else if is("max-stale") {
            let any = argument.is_absent().then_some(MAX_DELTA);
            shortest(
                &mut self.max_stale,
                any.unwrap_or(argument.seconds_or_zero()),
            );
        } else if is("stale-if-error") {
            shortest(&mut self.stale_if_error, argument.seconds_or_zero());
        }
    }
}

/// Whether one of the Pragma lines says `no-cache`.
pub(super) fn is_pragma_no_cache(headers: &HeaderMap) -> bool {
    list::members(headers, &PRAGMA).any(|member| member.eq_ignore_ascii_case(b"no-cache"))
}

// === impl Argument ===

impl Argument<'_> {
    fn is_absent(self) -> bool {
        self.0.is_none()
    }

    /// A number of seconds, as a token or quoted (RFC 9111 §1.2.2, §5.2).
    fn seconds(self) -> Option<Duration> {
        let text = self.0?;
        let seconds = list::digits(list::unquote(text).unwrap_or(text))?;
        Some(Duration::from_secs(seconds).min(MAX_DELTA))
    }

    fn seconds_or_zero(self) -> Duration {
        self.seconds().unwrap_or_default()
    }

    /// A list of field names; `None` when there is none, or when it names a field without which
    /// the rest would be misread.
    fn field_names(self) -> Option<Vec<HeaderName>> {
        let text = self.0?;
        let names = list::pieces(list::unquote(text).unwrap_or(text), b',')
            .filter(|name| !name.is_empty())
            .map(|name| {
                HeaderName::from_bytes(name)
                    .ok()
                    .filter(|name| !crate::hop::is_vital(name))
            })
            .collect::<Option<Vec<_>>>()?;
        (!names.is_empty()).then_some(names)
    }
}

fn shortest(known: &mut Option<Duration>, other: Duration) {
    *known = Some(known.map_or(other, |known| known.min(other)));
}

/// Name and argument of every directive. Space before the `=` is no part of the name, so that it
/// does not hide a restriction; space after it makes the argument unreadable.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], Argument<'_>)> {
    list::members(headers, &CACHE_CONTROL).map(|member| {
        match member.iter().position(|&byte| byte == b'=') {
            None => (member, Argument(None)),
            Some(at) if member[..at].ends_with(b" ") || member[..at].ends_with(b"\t") => {
                (member[..at].trim_ascii(), Argument(Some(b"")))
            }
            Some(at) => (&member[..at], Argument(Some(&member[at + 1..]))),
        }
    })
}

#[cfg(test)]
mod tests;
