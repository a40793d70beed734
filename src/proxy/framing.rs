//! Requests that the server lets through and a proxy must not: they mean different things to
//! different readers.

use http::{Method, Request, StatusCode, Version, header};

use super::error::ApiError;

/// The methods that larder forwards.
const FORWARDED: &str = "GET, HEAD, QUERY, POST, PUT, PATCH, DELETE, OPTIONS";

/// Refuses what cannot be forwarded safely.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let (uri, headers) = (request.uri(), request.headers());
    // A tunnel would bypass the cache, and TRACE show credentials (RFC 9110 §9.3.8).
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(ApiError::method(FORWARDED));
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !target.starts_with('/') || !target.is_ascii() {
        return Err(bad(
            "The request's target must be a path that begins with a slash.",
        ));
    }
    // RFC 9112 §3.2: exactly one, whatever the target says.
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(bad("The request must have exactly one Host field."));
    }
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
    Ok(())
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
        match check(&request.body(()).unwrap()) {
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
        assert_eq!(status(get("http://other/a")), 200);
        assert_eq!(status(get("/").header("transfer-encoding", "Chunked")), 200);
        assert_eq!(
            status(Request::get("http://h/").version(Version::HTTP_2)),
            200
        );
        assert_eq!(status(Request::get("/").version(Version::HTTP_10)), 200);
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
        let raw = http::Uri::from_maybe_shared(bytes::Bytes::from("/ä")).unwrap();
        assert_eq!(status(Request::get(raw).header("host", "h")), 400);
    }

    #[test]
    fn tunnels_and_traces_are_refused() {
        assert_eq!(status(get("h:1").method("CONNECT")), 405);
        assert_eq!(status(get("/").method("TRACE")), 405);
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
