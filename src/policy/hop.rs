//! RFC 9110 §7.6.1, RFC 9111 §3.1: fields that are for one connection, and are not stored.

use http::{HeaderMap, HeaderName, header::CONNECTION};

use super::list;
use crate::hop::{is_hop_by_hop, is_vital};

/// Whether a field is between a client and its proxy: a cache must not store it (RFC 9111 §3.1).
pub(super) fn is_for_proxy(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "proxy-authenticate" | "proxy-authentication-info" | "proxy-authorization"
    )
}

/// Takes out the fields that are for one connection only, and those that `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let mut those = named(headers);
    those.extend(headers.keys().filter(|name| is_hop_by_hop(name)).cloned());
    for name in those {
        headers.remove(name);
    }
}

/// The fields that `Connection` names: for one connection only.
///
/// A `Connection` that names a field without which the message would be misread, as
/// `Cache-Control`, is not obeyed in that (RFC 9110 §7.6.1 forbids to send it).
pub(crate) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    list::members(headers, &CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_vital(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::headers;

    #[test]
    fn removes_what_connection_names_and_nothing_vital() {
        let mut fields = headers(&[
            ("connection", "a, B , cache-control"),
            ("connection", "close, cdn-cache-control"),
            ("cdn-cache-control", "no-store"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("cache-control", "no-store"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x"),
            ("te", "trailers"),
            ("trailer", "etag"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
        ]);
        remove_hop_by_hop(&mut fields);
        assert_eq!(
            fields,
            headers(&[
                ("cdn-cache-control", "no-store"),
                ("c", "3"),
                ("cache-control", "no-store"),
                ("trailer", "etag")
            ])
        );
    }

    #[test]
    fn knows_what_is_between_client_and_proxy() {
        let those = headers(&[
            ("proxy-authenticate", "a"),
            ("proxy-authentication-info", "b"),
            ("proxy-authorization", "c"),
        ]);
        assert!(those.keys().all(is_for_proxy));
        assert!(!is_for_proxy(&http::header::WWW_AUTHENTICATE));
    }
}
