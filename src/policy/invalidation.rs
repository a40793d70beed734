//! §4.4: what an unsafe method makes the cache forget.

use http::{
    HeaderName,
    header::{CONTENT_LOCATION, LOCATION},
    request, response,
};

use super::{Key, reference, storing, tags};

const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The target, and what of the same origin the response names as changed; nothing when it is an
/// error, or the method is safe.
pub(super) fn invalidated(req: &request::Parts, res: &response::Parts) -> Vec<Key> {
    let succeeded = res.status.is_success() || res.status.is_redirection();
    if !succeeded || storing::is_safe(&req.method) {
        return Vec::new();
    }
    let target = Key::of(req);
    let mut keys = vec![target.clone()];
    for field in [LOCATION, CONTENT_LOCATION] {
        for reference in res.headers.get_all(field) {
            if let Some(key) = reference::resolve(&target, reference)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
    }
    keys
}

/// The groups of the target's origin that the response to an unsafe request names as changed
/// (RFC 9875 §3). It need not be a success: whoever names them means it.
pub(super) fn groups(req: &request::Parts, res: &response::Parts) -> Vec<String> {
    if storing::is_safe(&req.method) {
        return Vec::new();
    }
    tags::groups(&res.headers, &CACHE_GROUP_INVALIDATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{request, response};

    #[test]
    fn groups_are_named_by_answers_to_unsafe_methods() {
        let named = |method, status, value| {
            let req = request(method, "/a", &[("host", "h.example")]);
            groups(
                &req,
                &response(status, &[("cache-group-invalidation", value)]),
            )
        };
        assert_eq!(named("POST", 200, "\"a b\", \"c\";d"), ["a b", "c"]);
        assert_eq!(named("PUT", 500, "\"a\""), ["a"]);
        for safe in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert!(named(safe, 200, "\"a\"").is_empty(), "{safe}");
        }
        for malformed in ["a", "\"a", "\"a\", b", ""] {
            assert!(named("POST", 200, malformed).is_empty(), "{malformed}");
        }
    }

    fn forgotten(method: &str, status: u16, fields: &[(&str, &str)]) -> Vec<String> {
        let req = request(method, "/a/b?c", &[("host", "h.example")]);
        invalidated(&req, &response(status, fields))
            .iter()
            .map(|key| key.as_str().to_owned())
            .collect()
    }

    #[test]
    fn the_target_and_what_the_response_names() {
        let fields = [
            ("location", "/new"),
            ("content-location", "http://H.example:80/a/other"),
            ("content-location", "https://h.example/elsewhere"),
        ];
        assert_eq!(
            forgotten("POST", 201, &fields),
            [
                "GET http://h.example/a/b?c",
                "GET http://h.example/new",
                "GET http://h.example/a/other",
            ]
        );
        assert_eq!(forgotten("PUT", 204, &[("location", "")]).len(), 1);
    }

    #[test]
    fn any_unsafe_or_unknown_method_that_succeeds() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"] {
            assert_eq!(forgotten(method, 200, &[]).len(), 1, "{method}");
            assert_eq!(forgotten(method, 303, &[]).len(), 1, "{method}");
            assert!(forgotten(method, 404, &[]).is_empty(), "{method}");
            assert!(forgotten(method, 500, &[]).is_empty(), "{method}");
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert!(forgotten(method, 200, &[]).is_empty(), "{method}");
        }
    }
}
