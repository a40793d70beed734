//! Which fields are for one connection (RFC 9110 §7.6.1), and which no `Connection` takes away.

use http::HeaderName;

/// Whether a field is for one hop, whether `Connection` names it or not. `Trailer` is not: it
/// announces fields that are kept with the body.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Whether a message without this field would mean something else: to whom it goes, what its bytes
/// are, and who may have it. A peer must not be able to make another message of it.
pub(crate) fn is_vital(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "age"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "date"
            | "expires"
            | "host"
            | "location"
            | "surrogate-control"
            | "vary"
    ) || name.as_str().ends_with("-cache-control") // `CDN-Cache-Control` and its like
}
