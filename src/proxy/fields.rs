//! What a proxy does to header fields on their way through, in both directions.
//!
//! Hop-by-hop fields are the upstream's to remove: it is the one that knows its connection.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{self, Entry},
};

use super::{config::Config, error::ApiError};
use crate::{hop::is_hop_by_hop, policy};

/// `HIT` or `MISS`.
pub(super) const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// What the cache did (RFC 9211).
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Fields that change what some origins answer, and that no cache key holds: with them, one
/// client could choose what all others are served. In order.
const UNKEYED: [&str; 44] = [
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded-proto",
    "front-end-https",
    "http-host",
    "proxy", // some take it for the variable HTTP_PROXY
    "request-uri",
    "true-client-ip",
    "x-arr-ssl",
    "x-azure-clientip",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-forward-for",
    "x-forward-proto",
    "x-host",
    "x-host-override",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-invoke-path",
    "x-method",
    "x-method-override",
    "x-middleware-subrequest",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-proxy-url",
    "x-proxyuser-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Which of the fields go on to the origin that speak around the URI, the method and the peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Unkeyed {
    /// Those in which proxies tell of the client: who sends them is one that can be trusted.
    pub(super) trust_forwarded: bool,
    /// Those that are part of the key.
    pub(super) keyed: Vec<HeaderName>,
}

/// How often a request may have passed larder before it is taken for one that goes in circles.
const TURNS: usize = 8;

impl Unkeyed {
    pub(super) fn new(config: &Config) -> Self {
        Unkeyed {
            trust_forwarded: config.trust_forwarded,
            keyed: config.key_headers.clone(),
        }
    }

    /// Removes the others.
    pub(super) fn remove(&self, headers: &mut HeaderMap) {
        remove_those(headers, |name| self.is_one(name));
    }

    /// Whether it removes a field of this name.
    pub(super) fn is_one(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        match name.contains('_') {
            // CGI and what came after it read both as the same variable.
            true => {
                let name = name.replace('_', "-");
                matches!(&*name, "content-length" | "transfer-encoding") || self.is_called(&name)
            }
            false => self.is_called(name),
        }
    }

    fn is_called(&self, name: &str) -> bool {
        // Most fields of most requests begin otherwise.
        if !name.starts_with(['b', 'c', 'f', 'h', 'p', 'r', 't', 'x']) {
            return false;
        }
        let forwarded = name.starts_with("x-forwarded")
            || matches!(name, "forwarded" | "forwarded-for" | "x-real-ip");
        let unkeyed = (forwarded && !self.trust_forwarded) || UNKEYED.binary_search(&name).is_ok();
        unkeyed && !self.keyed.iter().any(|keyed| keyed == name)
    }
}

/// Removes what is for the connection alone because its sender says so, and `Connection` itself
/// (RFC 9110 §7.6.1): before anything is looked up by what would not go on.
pub(super) fn remove_named(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    for name in policy::named(headers) {
        if !is_hop_by_hop(&name) {
            headers.remove(name);
        }
    }
    headers.remove(header::CONNECTION);
}

/// Removes all fields whose name `is_one`.
pub(super) fn remove_those(headers: &mut HeaderMap, is_one: impl Fn(&HeaderName) -> bool) {
    let those: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_one(name))
        .cloned()
        .collect();
    for name in those {
        headers.remove(name);
    }
}

/// Adds larder to `Via` (RFC 9110 §7.6.3), for a message that was received in `version`.
pub(super) fn add_via(headers: &mut HeaderMap, version: Version) {
    let received = match version {
        Version::HTTP_09 => "0.9 larder",
        Version::HTTP_10 => "1.0 larder",
        Version::HTTP_2 => "2 larder",
        Version::HTTP_3 => "3 larder",
        _ => "1.1 larder",
    };
    match headers.entry(header::VIA) {
        Entry::Occupied(mut others) => others.append(HeaderValue::from_static(received)),
        Entry::Vacant(none) => {
            none.insert(HeaderValue::from_static(received));
        }
    }
}

/// Refuses a request that goes in circles: an origin that leads back to larder itself.
pub(super) fn refuse_loop(headers: &HeaderMap) -> Result<(), ApiError> {
    let vias = headers.get_all(header::VIA).iter();
    let turns: usize = vias
        .flat_map(|via| via.as_bytes().split(|b| *b == b','))
        .filter(|member| member.trim_ascii().ends_with(b" larder"))
        .count();
    if turns < TURNS {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::LOOP_DETECTED,
        "loop_detected",
        "This request came back to larder again and again: its origin leads to itself.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unkeyed_fields_go() {
        let mut headers = HeaderMap::new();
        for name in [
            "x-forwarded-host",
            "x-forwarded-proto",
            "forwarded",
            "x_forwarded_host",
            "x-original-url",
            "x-host",
            "accept",
        ] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        let left = |unkeyed: Unkeyed| {
            let mut headers = headers.clone();
            unkeyed.remove(&mut headers);
            let mut left: Vec<String> = headers.keys().map(ToString::to_string).collect();
            left.sort();
            left.join(" ")
        };
        assert_eq!(left(Unkeyed::default()), "accept");
        let trusting = Unkeyed {
            trust_forwarded: true,
            keyed: vec![HeaderName::from_static("x-host")],
        };
        let all = "accept forwarded x-forwarded-host x-forwarded-proto x-host x_forwarded_host";
        assert_eq!(left(trusting), all);
    }

    #[test]
    fn unkeyed_fields_are_in_order() {
        assert!(UNKEYED.is_sorted());
    }

    #[test]
    fn via_is_appended() {
        let mut headers = HeaderMap::new();
        headers.insert("via", HeaderValue::from_static("1.0 fred"));
        add_via(&mut headers, Version::HTTP_2);
        let via: Vec<_> = headers.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 fred", "2 larder"]);
    }

    #[test]
    fn circles_end() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "via",
            HeaderValue::from_static("1.1 larder, 1.1 x, 1.1 larder"),
        );
        for _ in 0..5 {
            add_via(&mut headers, Version::HTTP_11);
        }
        assert_eq!(refuse_loop(&headers), Ok(()));
        add_via(&mut headers, Version::HTTP_11);
        assert_eq!(refuse_loop(&headers).unwrap_err().code, "loop_detected");
    }
}
