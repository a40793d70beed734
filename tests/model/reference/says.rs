//! What a response tells a shared cache (RFC 9111 §5.2.2, RFC 5861, RFC 8246), and a request
//! (§5.2.1), read as larder documents it: what cannot be read is read the safe way.

use crate::fields::Fields;

/// RFC 9111 §1.2.2: what does not fit is as large as this.
pub(crate) const LARGEST: i64 = 1 << 31;

#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) immutable: bool,
    pub(crate) max_age: Option<i64>,
    pub(crate) s_maxage: Option<i64>,
    pub(crate) stale_while_revalidate: Option<i64>,
    pub(crate) stale_if_error: Option<i64>,
    /// A targeted field stands in for Cache-Control, and for Expires (RFC 9213 §2.2).
    pub(crate) targeted: bool,
    /// Fields that a shared cache must not keep, or not reuse (§5.2.2.4, §5.2.2.7).
    pub(crate) unstored: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<i64>,
    pub(crate) min_fresh: Option<i64>,
    pub(crate) max_stale: Option<i64>,
    pub(crate) stale_if_error: Option<i64>,
}

type Directive = (String, Option<String>);

impl Response {
    pub(crate) fn read(fields: &Fields) -> Response {
        let targeted = ["larder-cache-control", "cdn-cache-control"];
        let targeted = targeted.iter().find_map(|name| dictionary(fields, name));
        let mut says = Response {
            targeted: targeted.is_some(),
            ..Response::default()
        };
        for (name, value) in targeted.unwrap_or_else(|| directives(fields)) {
            says.take(&name, value.as_deref());
        }
        says
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        let seconds = || number(value.unwrap_or_default()).unwrap_or(0);
        match name {
            "no-store" => self.no_store = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "public" => self.public |= value.is_none(),
            "immutable" => self.immutable |= value.is_none(),
            "max-age" => least(&mut self.max_age, seconds()),
            "s-maxage" => least(&mut self.s_maxage, seconds()),
            "stale-while-revalidate" => least(&mut self.stale_while_revalidate, seconds()),
            "stale-if-error" => least(&mut self.stale_if_error, seconds()),
            "private" | "no-cache" => match value.filter(|value| !value.is_empty()) {
                Some(names) => {
                    let names = names.split(',').map(|name| name.trim().to_lowercase());
                    self.unstored.extend(names);
                }
                None if name == "private" => self.private = true,
                None => self.no_cache = true,
            },
            _ => {}
        }
    }

    /// It may be given to others than who asked first, as larder's README says.
    pub(crate) fn is_shared(&self) -> bool {
        self.public || self.s_maxage.is_some()
    }

    /// §4.2.4, and §5.2.2.10: `s-maxage` incorporates `proxy-revalidate`.
    pub(crate) fn forbids_stale(&self) -> bool {
        self.no_cache || self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }
}

impl Request {
    pub(crate) fn read(fields: &Fields) -> Request {
        let mut says = Request::default();
        if !fields.has("cache-control") {
            // §5.4
            says.no_cache = fields.members("pragma").iter().any(|one| one == "no-cache");
        }
        for (name, value) in directives(fields) {
            let seconds = value.as_deref().and_then(number);
            match name.as_str() {
                "no-cache" => says.no_cache = true,
                "no-store" => says.no_store = true,
                "only-if-cached" => says.only_if_cached = true,
                "max-age" => says.max_age = Some(seconds.unwrap_or(0)),
                "min-fresh" => says.min_fresh = Some(seconds.unwrap_or(LARGEST)),
                "max-stale" if value.is_none() => says.max_stale = Some(LARGEST),
                "max-stale" => says.max_stale = Some(seconds.unwrap_or(0)),
                "stale-if-error" => says.stale_if_error = Some(seconds.unwrap_or(0)),
                _ => {}
            }
        }
        says
    }
}

/// Cache-Control: names have no case, an argument is a token or a quoted string (§5.2). Space
/// around `=` is malformed.
fn directives(fields: &Fields) -> Vec<Directive> {
    let members = fields.members("cache-control").into_iter();
    let directive = |member: String| match member.split_once('=') {
        Some((name, _)) if name.ends_with(' ') => (name.trim().to_lowercase(), Some("?".into())),
        Some((name, value)) => {
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            (name.to_lowercase(), Some(inner.unwrap_or(value).to_owned()))
        }
        None => (member.to_lowercase(), None),
    };
    members.map(directive).collect()
}

/// A targeted field is a dictionary (RFC 9651 §3.2): malformed or empty, it does not count.
fn dictionary(fields: &Fields, name: &str) -> Option<Vec<Directive>> {
    let line = fields.lines(name).collect::<Vec<_>>().join(", ");
    let mut members = Vec::new();
    for member in line.split(',') {
        let (key, value) = match member.trim().split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (member.trim(), None),
        };
        let is_key = |c: char| c.is_ascii_lowercase() || c == '-';
        if key.is_empty() || !key.chars().all(is_key) {
            return None;
        }
        members.push((key.to_owned(), value));
    }
    Some(members)
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(LARGEST).min(LARGEST))
}

/// §4.2.1: of several values the one that allows least.
fn least(known: &mut Option<i64>, other: i64) {
    *known = Some(known.map_or(other, |known| known.min(other)));
}

/// §5.1: the first member, if it is a number.
pub(crate) fn age(fields: &Fields) -> i64 {
    let first = fields.first("age").unwrap_or_default();
    number(first.split(',').next().unwrap_or_default().trim()).unwrap_or(0)
}
