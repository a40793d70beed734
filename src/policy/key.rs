//! Which stored thing a request means: method class, scheme, authority, path and query.
//!
//! All of them, always: there is no way to build a [`Key`] that leaves one out, and two keys are
//! equal when their whole text is (RFC 9111 §2). GET and HEAD are one class, `GET`, and so are all
//! methods that are never looked up; `QUERY` is one of its own (RFC 10008 §2.7).

use std::{
    borrow::Borrow,
    fmt::{self, Write},
    hash::{Hash, Hasher},
};

use http::{HeaderValue, Uri, header::HOST, request, uri::PathAndQuery};

use super::{Selection, Vary, content::is_query};

/// The name under which a record is kept.
///
/// The text reads `GET https://host/path?query`; a variant's has its selection after a space,
/// which no URI contains. The responses to QUERY are all variants, by what was asked. What answers
/// many queries of one path (`No-Vary-Search`) has `https://host/path#epoch?what-matters` for its
/// URI, and the mark of that path `https://host/path#`: no URI of a request has a fragment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    text: Box<str>,
    primary: usize,
}

const GET: &str = "GET ";
const QUERY: &str = "QUERY ";

impl Key {
    /// The key of this request.
    ///
    /// Scheme and authority come from an absolute target; else the authority is `Host`'s and
    /// the scheme `http`. Both are compared as RFC 9110 §4.2.3 does: without case, and without
    /// a default port. Path and query are taken as they came.
    pub fn of(req: &request::Parts) -> Key {
        let mut text = String::with_capacity(room(&req.uri));
        Key::write(req, &mut text);
        Key::whole(text)
    }

    /// Writes the text of [`Key::of`] this request.
    pub(crate) fn write(req: &request::Parts, text: &mut String) {
        let class = if is_query(&req.method) { QUERY } else { GET };
        if req.uri.authority().is_some() {
            return push_absolute(text, class, &req.uri);
        }
        let port = push_scheme(text, class, &req.uri);
        let mut hosts = req.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        push_authority(text, port, hosts.next().unwrap_or_default());
        for other in hosts {
            // Which of them the origin heeds is not known, so this is neither's key.
            text.push('@');
            push_authority(text, port, other);
        }
        push_target(text, target(&req.uri));
    }

    /// The key of an absolute URI, for the `GET` class of methods.
    pub fn of_uri(uri: &Uri) -> Key {
        let mut text = String::with_capacity(room(uri));
        push_absolute(&mut text, GET, uri);
        Key::whole(text)
    }

    /// The key of another target of the same origin, for the `GET` class of methods.
    pub(super) fn sibling(&self, target: &PathAndQuery) -> Key {
        let mut text = [GET, self.origin()].concat();
        push_target(&mut text, target.as_str());
        Key::whole(text)
    }

    /// The key whose text, without a variant's selection, is this.
    fn whole(text: String) -> Key {
        Key {
            primary: text.len(),
            text: text.into_boxed_str(),
        }
    }

    /// The key of the variant that `selection` picks among those of `vary`.
    pub fn variant(&self, vary: &Vary, selection: &Selection) -> Key {
        let mut text = self.primary().to_owned();
        push_variant(&mut text, vary, selection);
        Key {
            text: text.into_boxed_str(),
            primary: self.primary,
        }
    }

    /// The key of `text`, as [`Key::as_str`] gave it.
    pub fn parse(text: &str) -> Key {
        let class = text.find(' ').map_or(0, |at| at + 1);
        let primary = text[class..].find(' ').map_or(text.len(), |at| class + at);
        Key {
            text: text.into(),
            primary,
        }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text without a variant's selection: the same for all variants of a URI.
    pub fn primary(&self) -> &str {
        &self.text[..self.primary]
    }

    /// The URI up to its query.
    pub fn path(&self) -> &str {
        let uri = self.uri();
        uri.find(['?', '#']).map_or(uri, |end| &uri[..end])
    }

    /// The query, without its question mark.
    pub(super) fn query(&self) -> &str {
        self.uri().split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether it is of the class of GET.
    pub(crate) fn is_get(&self) -> bool {
        self.text.starts_with(GET)
    }

    /// Whether there is a query, be it empty.
    pub(crate) fn has_query(&self) -> bool {
        self.uri().contains('?')
    }

    /// The key of the mark that tells which parts of a query do not matter here.
    pub(crate) fn search_mark(&self) -> Key {
        Key::whole([GET, self.path(), "#"].concat())
    }

    pub(super) fn with_search(&self, epoch: u64, query: &str) -> Key {
        Key::whole(format!("{GET}{}#{epoch:016x}?{query}", self.path()))
    }

    /// The URI alone: the same for all classes of methods.
    pub fn uri(&self) -> &str {
        self.primary().split_once(' ').map_or("", |(_, uri)| uri)
    }

    /// The keys of this URI, of each class of methods.
    pub(crate) fn of_each_class(&self) -> [Key; 2] {
        starts(self.uri()).map(|text| Key::parse(&text))
    }

    /// Whether this is the URI of `top`, or one below it: `/a`, `/a/b` and `/a?b` are below `/a`,
    /// and `/ab` is not. A `top` that ends with a separator has all that begins with it below it.
    /// The class of methods does not matter. What answers many queries is below each of them.
    pub fn is_below(&self, top: &Key) -> bool {
        let (mut own, mut top) = (self.uri(), top.uri());
        if own.contains('#') {
            own = self.path();
            if let Some((path, _)) = top.split_once('?') {
                return own == path;
            }
        }
        if let Some((path, _)) = top.split_once('#') {
            top = path;
        }
        own.strip_prefix(top).is_some_and(|rest| {
            rest.is_empty()
                || top.ends_with(['/', '?', '&', '='])
                || rest.starts_with(['/', '?', '&'])
        })
    }

    /// How the keys of all variants begin that this mark leads to.
    pub(crate) fn start_of_variants(&self, vary: &Vary) -> String {
        format!("{} {:016x} ", self.primary(), vary.epoch)
    }

    /// How the keys begin of everything whose path begins as this one.
    pub(crate) fn starts(&self) -> [String; 2] {
        starts(self.path())
    }

    /// How the keys of everything of this origin begin.
    pub(crate) fn starts_of_origin(&self) -> [String; 2] {
        starts(&[self.origin(), "/"].concat())
    }

    /// Scheme and authority, as `https://host`.
    pub fn origin(&self) -> &str {
        self.split().0
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        let uri = self.uri();
        let authority = uri.find("://").map_or(0, |at| at + "://".len());
        let path = uri[authority..]
            .find('/')
            .map_or(uri.len(), |at| authority + at);
        uri.split_at(path)
    }
}

/// A key is found by its text.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// As its text, which all else follows from.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Key {
    /// Without a variant's selection, which may hold what is secret: cookies, credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = if self.primary < self.text.len() {
            " …"
        } else {
            ""
        };
        write!(f, "Key({}{variant})", self.primary())
    }
}

impl Vary {
    /// The key under which the variant for this request is kept.
    pub fn key(&self, primary: &Key, req: &request::Parts) -> Key {
        primary.variant(self, &self.select(req))
    }

    /// Makes the text of a primary key that of [`Vary::key`].
    pub(crate) fn write(&self, req: &request::Parts, text: &mut String) {
        push_variant(text, self, &self.select(req));
    }
}

fn starts(uri: &str) -> [String; 2] {
    [GET, QUERY].map(|class| [class, uri].concat())
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// The length that the text of a key of this target has, if its `Host` is not unusually long.
fn room(uri: &Uri) -> usize {
    64 + target(uri).len()
}

fn push_absolute(text: &mut String, class: &str, uri: &Uri) {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // Userinfo is no part of what is identified.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let port = push_scheme(text, class, uri);
    push_authority(text, port, authority.as_bytes());
    push_target(text, target(uri));
}

/// Answers how a port is written that need not be: the scheme's default, or none.
fn push_scheme(text: &mut String, class: &str, uri: &Uri) -> &'static [u8] {
    text.push_str(class);
    let start = text.len();
    text.push_str(uri.scheme_str().unwrap_or("http"));
    text[start..].make_ascii_lowercase();
    let port: &[u8] = match &text[start..] {
        "http" => b":80",
        "https" => b":443",
        _ => b":",
    };
    text.push_str("://");
    port
}

fn push_variant(text: &mut String, vary: &Vary, selection: &Selection) {
    write!(text, " {:016x} {}", vary.epoch, selection.as_str())
        .expect("writing to a String does not fail");
}

fn push_target(text: &mut String, target: &str) {
    if !target.starts_with('/') {
        text.push('/'); // `?query` after an empty path
    }
    text.push_str(target);
}

/// Adds host and port, where it is not the scheme's `default_port`, in lower case. `Host` may hold
/// anything: what is no part of a host is escaped, so that it cannot pass for a path or for
/// another host.
fn push_authority(text: &mut String, default_port: &[u8], authority: &[u8]) {
    let without = |port: &[u8]| {
        let host = authority.strip_suffix(port)?;
        // Colons inside of an address are not followed by a port.
        let is_host = host.ends_with(b"]") || !host.contains(&b':');
        (is_host && !host.is_empty()).then_some(host)
    };
    let authority = without(default_port)
        .or_else(|| without(b":"))
        .unwrap_or(authority);
    let start = text.len();
    match str::from_utf8(authority) {
        // As all are that are meant.
        Ok(plain) if plain.bytes().all(is_plain) => text.push_str(plain),
        _ => authority.iter().for_each(|&byte| match is_plain(byte) {
            true => text.push(char::from(byte)),
            false => write!(text, "%{byte:02x}").expect("writing to a String does not fail"),
        }),
    }
    text[start..].make_ascii_lowercase();
}

/// Whether the byte stands in an authority as it is (RFC 3986 §3.2).
fn is_plain(byte: u8) -> bool {
    PLAIN[byte as usize]
}

/// [`is_plain`] of each byte: it is asked for all of them, for each request.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0);
    while byte < 256 {
        plain[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let (others, mut n) = (b"-._~:[]!$&'()*+,;=", 0);
    while n < others.len() {
        plain[others[n] as usize] = true;
        n += 1;
    }
    plain
};

#[cfg(test)]
mod tests;
