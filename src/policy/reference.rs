//! RFC 3986 §5: which resource of the same origin a `Location` or `Content-Location` means.

use http::{HeaderValue, Uri, uri::PathAndQuery};

use super::Key;

/// The key of what `reference` means in a response from `base`, if it is of the same origin.
pub(super) fn resolve(base: &Key, reference: &HeaderValue) -> Option<Key> {
    let reference = reference.to_str().ok()?.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    let key = if has_scheme(reference) {
        absolute(reference)?
    } else if reference.starts_with("//") {
        let scheme = base.origin().split("//").next().unwrap_or_default();
        absolute(&[scheme, reference].concat())?
    } else {
        base.sibling(&target(base.target(), reference)?)
    };
    (key.origin() == base.origin()).then_some(key)
}

fn absolute(reference: &str) -> Option<Key> {
    let uri = reference.parse::<Uri>().ok()?;
    // `mailto:a@b` would pass for user, password and host.
    uri.scheme()?;
    Some(Key::of_uri(&uri))
}

fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']).unwrap_or(reference.len());
    reference[end..].starts_with(':')
}

/// The target that a reference without scheme and authority means (§5.2.2).
fn target(base: &str, reference: &str) -> Option<PathAndQuery> {
    let base_path = base.split('?').next().unwrap_or_default();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let mut target = if reference.is_empty() {
        return base.parse().ok();
    } else if path.is_empty() {
        base_path.to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let directory = base_path.rfind('/').map_or("/", |at| &base_path[..=at]);
        without_dots(&[directory, path].concat())
    };
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    target.parse().ok()
}

/// `path`, which begins with a slash, without `.` and `..` (§5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push(""); // `/a/.` is the directory `/a/`
        }
    }
    ["/", &kept.join("/")].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::testing::request;

    fn from(base: &str, reference: &str) -> Option<String> {
        let base = Key::of(&request("POST", base, &[]));
        let key = resolve(&base, &HeaderValue::from_str(reference).unwrap())?;
        Some(key.as_str().strip_prefix("GET ").unwrap().to_owned())
    }

    #[test]
    fn the_examples_of_rfc_3986() {
        for (reference, path) in [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            ("..g", "/b/c/..g"),
            ("./g/.", "/b/c/g/"),
            ("g/../h", "/b/c/h"),
            ("g?y/../x", "/b/c/g?y/../x"),
        ] {
            let found = from("http://a/b/c/d;p?q", reference);
            assert_eq!(found, Some(format!("http://a{path}")), "{reference}");
        }
    }

    #[test]
    fn only_the_same_origin() {
        let base = "http://a.example:80/x";
        for same in [
            "HTTP://A.example/y",
            "//a.example:80/y",
            "http://a.example/y#z",
            "y",
        ] {
            assert_eq!(
                from(base, same).as_deref(),
                Some("http://a.example/y"),
                "{same}"
            );
        }
        for other in [
            "https://a.example/y",
            "http://a.example:81/y",
            "//b.example/y",
            "http://a.example.b/y",
            "mailto:a@a.example",
            "urn:x",
            "a.example:80",
        ] {
            assert_eq!(from(base, other), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_means_nothing() {
        for bad in ["a b", "http://", "//", "http://[", "/\u{e9}"] {
            let base = Key::of(&request("POST", "http://a/", &[]));
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            assert_eq!(resolve(&base, &value), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z:/?#.@\\[\\] ]{0,20}") {
            from("http://a/b/c/d?q", &text);
        }
    }
}
