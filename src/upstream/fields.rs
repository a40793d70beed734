//! Header fields that belong to one connection and are not passed on (RFC 9110 §7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::hop::{is_hop_by_hop, is_vital};

/// Removes the hop-by-hop fields, and those that `Connection` names.
pub(super) fn strip(headers: &mut HeaderMap) {
    let mut those: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        // What sets a cookie is for one client, and the cache must be told.
        .filter(|name| !is_vital(name) && *name != header::SET_COOKIE)
        .collect();
    those.extend(headers.keys().filter(|name| is_hop_by_hop(name)).cloned());
    those.push(header::PROXY_AUTHORIZATION);
    for name in those {
        headers.remove(name);
    }
}

/// Refuses a response whose length different readers would see differently (RFC 9112 §6.3), or of
/// whose codings there are more than hyper undoes.
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings.next();
    let known = chunked.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !known || codings.next().is_some() {
        return Err("it has a Transfer-Encoding that is not just chunked");
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    if chunked.is_some() {
        return Err("it is chunked, and has a length too");
    }
    let digits = |length: &[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    if !digits(length.as_bytes()) || lengths.next().is_some() {
        return Err("its length is not one number");
    }
    Ok(())
}

/// Strips a request's fields, and says anew that its sender takes trailers, if it does
/// (RFC 9110 §10.1.4).
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let trailers =
        tokens(headers, &header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    strip(headers);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_belongs_to_the_connection_goes_and_the_rest_stays() {
        let mut headers = fields(&[
            ("connection", "close, X-Private,content-length"),
            ("connection", "x-other"),
            ("x-private", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eA=="),
            ("content-length", "3"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        strip_request(&mut headers);
        assert_eq!(
            headers,
            fields(&[("content-length", "3"), ("accept", "a"), ("accept", "b")])
        );
    }

    #[test]
    fn a_length_is_said_once() {
        for (yes, list) in [
            (true, &[][..]),
            (true, &[("content-length", "0")]),
            (true, &[("transfer-encoding", "Chunked")]),
            (false, &[("transfer-encoding", "gzip, chunked")]),
            (false, &[("transfer-encoding", "identity")]),
            (
                false,
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
            ),
            (
                false,
                &[("transfer-encoding", "chunked"), ("content-length", "1")],
            ),
            (false, &[("content-length", "1, 1")]),
            (false, &[("content-length", "+1")]),
            (false, &[("content-length", "")]),
            (false, &[("content-length", "1"), ("content-length", "1")]),
        ] {
            assert_eq!(check_framing(&fields(list)).is_ok(), yes, "{list:?}");
        }
    }

    #[test]
    fn readiness_for_trailers_is_said_anew() {
        let mut headers = fields(&[("te", "deflate;q=0.5, Trailers"), ("connection", "TE")]);
        strip_request(&mut headers);
        assert_eq!(headers, fields(&[("te", "trailers"), ("connection", "te")]));
    }
}
