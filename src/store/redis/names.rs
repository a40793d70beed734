//! What the keys in Redis are called.
//!
//! That of a record is the store's prefix and the text of its [`Key`], as in
//! `larder:{GET http://h/path} epoch variant`. In a cluster, what is between the first braces of a
//! name decides where it is kept: so all variants of a URI are where the mark is that leads to them,
//! and so are the rest of a large body (`larder:{GET http://h/path}:body epoch variant`) and the
//! lease. Braces of a URI's own end that part sooner, for all of them alike.

use crate::policy::Key;

/// What follows the braces in the names of bodies, and of leases.
const BODY: &str = ":body";
#[cfg(feature = "memory")]
const LEASE: &str = ":lease";

/// How the names of one store begin: its prefix, and a colon.
#[derive(Debug)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Names(format!("{prefix}:"))
    }

    /// How all of them begin.
    pub(super) fn start(&self) -> &str {
        &self.0
    }

    /// Of a record.
    pub(super) fn record(&self, key: &Key) -> String {
        self.of("", key)
    }

    /// Of the rest of its body.
    pub(super) fn body(&self, key: &Key) -> String {
        self.of(BODY, key)
    }

    /// Of who fetches it.
    #[cfg(feature = "memory")]
    pub(super) fn lease(&self, key: &Key) -> String {
        self.of(LEASE, key)
    }

    fn of(&self, what: &str, key: &Key) -> String {
        let (primary, variant) = key.as_str().split_at(key.primary().len());
        format!("{}{{{primary}}}{what}{variant}", self.0)
    }

    /// How the names begin of all records whose key's text begins with `start`.
    pub(super) fn records_from(&self, start: &str) -> String {
        match split(start) {
            (all, "") => format!("{}{{{all}", self.0),
            (primary, variant) => format!("{}{{{primary}}}{variant}", self.0),
        }
    }

    /// The key of the record with this name, if it is that of one of ours.
    pub(super) fn key_of(&self, name: &[u8]) -> Option<Key> {
        let (primary, variant) = self.parts(name)?;
        let primary = primary.strip_suffix('}')?;
        Some(Key::parse(&[primary, variant].concat()))
    }

    /// Whether this is the name of a body of ours, in its place or set aside under its token.
    pub(super) fn is_body(&self, name: &[u8]) -> bool {
        self.parts(name).is_some_and(|(primary, _)| {
            let body = primary.rfind('}').map(|end| &primary[end + 1..]);
            let rest = body.and_then(|body| body.strip_prefix(BODY));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
    }

    /// What follows the first brace, up to the variant's selection, and that. The names of a store
    /// whose prefix merely begins like ours (`larder` and `larder:two`) have a colon in the first
    /// word of it.
    fn parts<'n>(&self, name: &'n [u8]) -> Option<(&'n str, &'n str)> {
        let text = std::str::from_utf8(name).ok()?;
        let text = text.strip_prefix(&*self.0)?.strip_prefix('{')?;
        let class = text.find(' ')?;
        (!text[..class].contains(':')).then(|| split(text))
    }
}

/// Whether a cluster keeps all names of one URI together that begin with `prefix`: it has no opening
/// brace, or decides by itself.
pub(super) fn fit_cluster(prefix: &str) -> bool {
    prefix
        .split_once('{')
        .is_none_or(|(_, rest)| rest.find('}').is_some_and(|end| end > 0))
}

/// The text of a key up to a variant's selection, and that.
fn split(text: &str) -> (&str, &str) {
    text.split_at(Key::parse(text).primary().len())
}

#[cfg(test)]
mod tests {
    use fred::util::redis_keyslot;

    use super::*;

    const PATHS: [&str; 10] = [
        "", "{x}", "{", "}:body", "{}", "}{", "{}{x}", "a{b}c{d}", "}}", "{{",
    ];

    #[test]
    fn what_belongs_together_is_kept_together_whatever_braces_there_are() {
        for prefix in ["larder", "{pin}", "a{b}c", "a}b", "}{x}", "a:b"] {
            assert!(fit_cluster(prefix), "{prefix}");
            let names = Names::new(prefix);
            for path in PATHS {
                let text = format!("GET http://a/{path}");
                let (mark, variant) = (Key::parse(&text), Key::parse(&format!("{text} 00ff a&b")));
                let record = names.record(&mark);
                for other in [
                    names.record(&variant),
                    names.body(&variant),
                    names.lease(&variant),
                    names.lease(&mark),
                    names.body(&mark),
                    format!("{}:0123", names.body(&mark)),
                ] {
                    let slots = [&record, &other].map(|name| redis_keyslot(name.as_bytes()));
                    assert_eq!(slots[0], slots[1], "{record} {other}");
                }
            }
        }
        for prefix in ["{", "{}", "a{", "a{}b", "a{b", "}{"] {
            assert!(!fit_cluster(prefix), "{prefix}");
        }
    }

    #[test]
    fn a_name_tells_the_key() {
        let names = Names::new("larder");
        for path in PATHS {
            for variant in ["", " 00ff ", " 00ff a}&b c"] {
                let key = Key::parse(&format!("GET http://a/{path}{variant}"));
                let record = names.record(&key);
                assert_eq!(names.key_of(record.as_bytes()), Some(key.clone()));
                assert!(!names.is_body(record.as_bytes()));
                let body = names.body(&key);
                for body in [&body, &format!("{body}:0123456789abcdef")] {
                    assert!(names.is_body(body.as_bytes()), "{body}");
                    assert_eq!(names.key_of(body.as_bytes()), None, "{body}");
                }
                let lease = names.lease(&key);
                assert_eq!(names.key_of(lease.as_bytes()), None);
                assert!(!names.is_body(lease.as_bytes()));
                for end in 0..=key.as_str().len() {
                    let start = names.records_from(&key.as_str()[..end]);
                    assert!(record.starts_with(&start), "{record} {start}");
                }
            }
        }
        let variants = names.records_from("GET http://a/ 00ff ");
        assert_eq!(variants, "larder:{GET http://a/} 00ff ");
    }

    #[test]
    fn what_others_call_their_own_is_not_ours() {
        let names = Names::new("larder");
        for theirs in [
            "larder:two:{GET http://a/}",
            "larder:{two}:{GET http://a/}",
            "larder:{two:{GET http://a/}",
            "larder::purges",
            "larder:x",
            "larder:{x}",
            "larder:{GET http://a/",
            "xlarder:{GET http://a/}",
        ] {
            assert_eq!(names.key_of(theirs.as_bytes()), None, "{theirs}");
            assert!(!names.is_body(theirs.as_bytes()), "{theirs}");
        }
        assert!(!names.is_body(b"larder:two:{GET http://a/}:body"));
    }
}
