//! §4.4: what an unsafe method makes the cache forget.

use http::{
    header::{CONTENT_LOCATION, LOCATION},
    request, response,
};

use super::{Key, reference, storing};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{request, response};

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
