//! RFC 9110 §7.6.1, RFC 9111 §3.1: fields that are for one connection, and are not stored.

use http::{
    HeaderMap, HeaderName,
    header::{
        AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
        CONTENT_TYPE, DATE, EXPIRES, HOST, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE, VARY,
    },
};

use super::{directives::TARGETS, list};

/// Fields for one hop, whether `Connection` names them or not. `Trailer` is not among them: it
/// announces fields that are kept with the body.
const HOP_BY_HOP: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields between a client and its proxy, that a cache must not store (RFC 9111 §3.1).
const PROXY: [HeaderName; 3] = [
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
];

/// Takes out the fields that are for one connection only, and those that `Connection` names.
///
/// A `Connection` that names a field without which the message would be misread, as
/// `Cache-Control`, is not obeyed in that (RFC 9110 §7.6.1 forbids to send it).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = list::members(headers, &CONNECTION)
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .filter(|name| !is_vital(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Takes out what is between a client and its proxy.
pub(super) fn remove_proxy_fields(headers: &mut HeaderMap) {
    for name in &PROXY {
        headers.remove(name);
    }
}

/// Whether a message without this field would mean something else.
pub(super) fn is_vital(name: &HeaderName) -> bool {
    [
        AGE,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        DATE,
        EXPIRES,
        HOST,
        LOCATION,
        VARY,
    ]
    .contains(name)
        || TARGETS.contains(name)
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
    fn removes_what_is_between_client_and_proxy() {
        let mut fields = headers(&[
            ("proxy-authenticate", "a"),
            ("proxy-authentication-info", "b"),
            ("proxy-authorization", "c"),
            ("www-authenticate", "d"),
        ]);
        remove_proxy_fields(&mut fields);
        assert_eq!(fields, headers(&[("www-authenticate", "d")]));
    }
}
