//! Requests that the server lets through and a proxy must not: they mean different things to
//! different readers.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};

use super::{
    error::ApiError,
    limits::{Bounds, Limit},
};

/// The methods that larder forwards.
pub(super) const FORWARDED: &str = "GET, HEAD, QUERY, POST, PUT, PATCH, DELETE, OPTIONS";

/// Refuses what cannot be forwarded safely.
pub(super) fn check<B>(request: &Request<B>, bounds: &Bounds) -> Result<(), ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
    // A tunnel would bypass the cache, and TRACE show credentials (RFC 9110 §9.3.8).
    // Methods have case, but not all who read them heed it.
    let is = |method: &Method| {
        request
            .method()
            .as_str()
            .eq_ignore_ascii_case(method.as_str())
    };
    if is(&Method::CONNECT) || is(&Method::TRACE) {
        return Err(ApiError::method(FORWARDED));
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !is_path(target) {
        return Err(bad(
            "The request's target must be a path that begins with a slash.",
        ));
    }
    check_size(target, headers.len(), bounds)?;
    check_host(uri, headers, request.version()).map_err(bad)?;
    // RFC 9112 §6.1: readers differ about any other.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if !plain {
        return Err(bad("The request's only Transfer-Encoding may be chunked."));
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(bad(
            "The request must have no more than one Content-Length.",
        ));
    }
    Ok(())
}

/// Whether all read the same in it: a path, perhaps with a query, of what RFC 3986 allows.
pub(super) fn is_path(target: &str) -> bool {
    target.starts_with('/') && target.is_ascii()
}

/// hyper has refused what is larger than a connection's buffer, but in HTTP/2 any number of fields.
fn check_size(target: &str, fields: usize, bounds: &Bounds) -> Result<(), ApiError> {
    let limits = &bounds.limits;
    if target.len() as u64 > limits.target {
        bounds.met(Limit::Target);
        let message = "The request's target is longer than larder takes (--max-target).";
        let status = StatusCode::URI_TOO_LONG;
        return Err(ApiError::new(status, "target_too_long", message));
    }
    if fields > limits.fields {
        bounds.met(Limit::Head);
        let message = "The request has more fields than larder takes (--max-headers).";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(ApiError::new(status, "too_many_fields", message));
    }
    Ok(())
}

/// RFC 9112 §3.2: exactly one, that can be one, and that the target does not contradict.
pub(super) fn check_host(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() || (host.is_none() && version == Version::HTTP_11) {
        return Err("The request must have exactly one Host field.");
    }
    if host.is_some_and(|host| !is_host(host)) {
        return Err("The Host field must name a host, and perhaps a port.");
    }
    let Some(authority) = uri.authority() else {
        return Ok(());
    };
    let default_port: &[u8] = match uri.scheme_str() {
        Some("http") => b":80",
        Some("https") => b":443",
        _ => return Err("The request's target must be a path, or an http or https URL."),
    };
    let named = authority.as_str().as_bytes();
    if !is_host(named) {
        return Err("The request's target must name a host, and no user.");
    }
    let plain = |host| <[u8]>::strip_suffix(host, default_port).unwrap_or(host);
    if host.is_some_and(|host| !plain(host).eq_ignore_ascii_case(plain(named))) {
        return Err("The request's target and its Host field name different hosts.");
    }
    Ok(())
}

/// A name or an address, with a port or without one (RFC 9110 §7.2). No userinfo, and of what
/// RFC 3986 lets a name be only what names are.
fn is_host(host: &[u8]) -> bool {
    let in_name =
        |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~');
    let in_address = |b: &u8| b.is_ascii_hexdigit() || b":.".contains(b);
    let (name, rest) = match host.strip_prefix(b"[") {
        Some(inside) => match inside.iter().position(|b| *b == b']') {
            Some(end) if inside[..end].iter().all(in_address) => inside.split_at(end),
            _ => return false,
        },
        None => {
            let end = host.iter().position(|b| !in_name(b));
            host.split_at(end.unwrap_or(host.len()))
        }
    };
    let rest = rest.strip_prefix(b"]").unwrap_or(rest);
    let port = |port: &[u8]| {
        // `u16` would read a sign.
        port.iter().all(u8::is_ascii_digit)
            && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
    };
    !name.is_empty() && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(port))
}

/// The answer to a request that was not understood: where the next one would begin is not known.
pub(super) fn closing<B>(mut response: Response<B>, version: Version) -> Response<B> {
    if version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Refuses a body that is declared larger than `limit` where none is read.
pub(super) fn check_length<B>(request: &Request<B>, limit: u64) -> Result<(), ApiError> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_none_or(|length| length <= limit) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "This path takes no request body, and this one is large.",
    ))
}

fn bad(message: &'static str) -> ApiError {
    ApiError::bad_request("bad_request", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: http::request::Builder) -> u16 {
        let bounds = Bounds::new(Default::default(), Default::default());
        match check(&request.body(()).unwrap(), &bounds) {
            Ok(()) => 200,
            Err(error) => error.status.as_u16(),
        }
    }

    fn get(uri: &str) -> http::request::Builder {
        Request::get(uri).header("host", "h")
    }

    #[test]
    fn ordinary_requests_pass() {
        assert_eq!(status(get("/a?b")), 200);
        assert_eq!(status(get("http://H:80/a")), 200);
        assert_eq!(status(Request::get("/").header("host", "[::1]:8080")), 200);
        assert_eq!(status(get("/").header("transfer-encoding", "Chunked")), 200);
        assert_eq!(
            status(Request::get("http://h/").version(Version::HTTP_2)),
            200
        );
        assert_eq!(status(Request::get("/").version(Version::HTTP_10)), 200);
    }

    #[test]
    fn large_ones_do_not() {
        let path = format!("/{}", "x".repeat(8191));
        assert_eq!(status(get(&path)), 200);
        assert_eq!(status(get(&format!("{path}x"))), 414);
        let fields = |n| (1..n).fold(get("/"), |request, _| request.header("x", "y"));
        assert_eq!(status(fields(100)), 200);
        assert_eq!(status(fields(101)), 431);
    }

    #[test]
    fn ambiguous_ones_do_not() {
        assert_eq!(status(Request::get("/")), 400);
        assert_eq!(status(get("/").header("host", "h")), 400);
        assert_eq!(status(get("a")), 400);
        assert_eq!(status(get("*").method("OPTIONS")), 400);
        assert_eq!(
            status(get("/").header("transfer-encoding", "gzip, chunked")),
            400
        );
        let twice = get("/").header("transfer-encoding", "chunked");
        assert_eq!(status(twice.header("transfer-encoding", "chunked")), 400);
        let length = get("/").header("content-length", "1");
        assert_eq!(status(length.header("content-length", "1")), 400);
        let raw = http::Uri::from_maybe_shared(bytes::Bytes::from("/ä")).unwrap();
        assert_eq!(status(Request::get(raw).header("host", "h")), 400);
    }

    #[test]
    fn tunnels_and_traces_are_refused() {
        assert_eq!(status(get("h:1").method("CONNECT")), 405);
        assert_eq!(status(get("/").method("TRACE")), 405);
        assert_eq!(status(get("/").method("trace")), 405);
    }

    #[test]
    fn large_bodies_are_refused_where_none_is_read() {
        let request = Request::delete("/cache")
            .header("content-length", "70000")
            .body(())
            .unwrap();
        assert_eq!(check_length(&request, 65536).unwrap_err().status, 413);
        assert_eq!(check_length(&request, 70000), Ok(()));
    }
}
