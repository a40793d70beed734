//! By which names a response can be forgotten together with others.

use http::{HeaderMap, HeaderName};

use super::{Head, list, structured};

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

impl Head {
    /// The tags that it carries: those of `Surrogate-Key`, separated by spaces, of `Cache-Tag`,
    /// separated by commas, and the groups of `Cache-Groups` (RFC 9875). One that is no UTF-8 is
    /// left out.
    pub fn tags(&self) -> impl Iterator<Item = String> {
        let headers = self.headers();
        let keys = headers.get_all(SURROGATE_KEY).into_iter();
        let keys = keys.flat_map(|line| line.as_bytes().split(|byte| b" \t".contains(byte)));
        let keys = keys.filter(|key| !key.is_empty());
        keys.chain(list::members(headers, &CACHE_TAG))
            .filter_map(|tag| std::str::from_utf8(tag).ok().map(str::to_owned))
            // A group may have an empty name; nothing can be purged by it.
            .chain(self.groups().into_iter().filter(|group| !group.is_empty()))
    }

    /// The groups of `Cache-Groups`, none where it is malformed (RFC 9875 §2). They are names
    /// within the response's origin.
    pub fn groups(&self) -> Vec<String> {
        groups(self.headers(), &CACHE_GROUPS)
    }
}

/// The Strings in the list of this field.
pub(super) fn groups(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    structured::line(headers, name)
        .and_then(|line| structured::strings(&line))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::policy::testing::ok;

    fn tags(fields: &[(&str, &str)]) -> Vec<String> {
        ok(fields).tags().collect()
    }

    #[test]
    fn each_field_has_its_own_separator() {
        let fields = [
            ("surrogate-key", " a,b  c\td "),
            ("surrogate-key", "e"),
            ("cache-tag", "f g, h,,\"i,j\""),
            ("cache-groups", "\"k l\", \"m\";n=1"),
            ("cache-groups", "\"o\""),
        ];
        let all = ["a,b", "c", "d", "e", "f g", "h", "\"i,j\"", "k l", "m", "o"];
        assert_eq!(tags(&fields), all);
        assert_eq!(ok(&fields).groups(), all[7..]);
        assert!(tags(&[]).is_empty());
    }

    #[test]
    fn what_is_malformed_is_no_tag() {
        assert!(tags(&[("cache-groups", "a, \"b\"")]).is_empty());
        assert!(tags(&[("cache-groups", "\"b\", ("), ("cache-tag", ",")]).is_empty());
        assert_eq!(tags(&[("cache-groups", "\"\", \"b\"")]), ["b"]);
        assert_eq!(
            tags(&[("cache-tag", "Ä"), ("surrogate-key", "é")]),
            ["é", "Ä"]
        );
    }
}
