//! The reverse proxy: any path that is not larder's own, to the same path at the origin.

use std::mem;

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request,
    uri::PathAndQuery,
};

use super::{body::Spliced, error::ApiError, fields, framing::FORWARDED, origin::Origin};

/// The request to the origin that `request` means.
pub(super) fn request<B>(origin: &Origin, request: Request<B>) -> Result<Request<B>, ApiError> {
    let (mut head, body) = request.into_parts();
    fields::refuse_loop(&head.headers)?;
    if !origin.keeps(head.uri.path()) {
        let message = "The path leads out of the origin's.";
        return Err(ApiError::bad_request("bad_request", message));
    }
    let top = PathAndQuery::from_static("/");
    let target = head.uri.path_and_query().unwrap_or(&top);
    head.uri = origin.uri(target).map_err(|_| {
        let message = "The request's target is longer than larder forwards.";
        ApiError::bad_request("bad_request", message)
    })?;
    prepare(&mut head);
    Ok(Request::from_parts(head, body))
}

/// Counts down how far an OPTIONS may go (RFC 9110 §7.6.2); answers it where it goes no further.
pub(super) fn count_down<B>(request: &mut Request<B>) -> Option<Response<Spliced>> {
    let headers = match *request.method() {
        Method::OPTIONS => request.headers_mut(),
        _ => return None,
    };
    let left = headers.get(header::MAX_FORWARDS)?.to_str().ok()?;
    match left.parse::<u64>().ok()?.checked_sub(1) {
        Some(left) => {
            headers.insert(header::MAX_FORWARDS, left.into());
            None
        }
        None => {
            let mut answer = Response::new(Spliced::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            let allow = HeaderValue::from_static(FORWARDED);
            answer.headers_mut().insert(header::ALLOW, allow);
            Some(answer)
        }
    }
}

/// Makes of a client's fields those of a request to the origin.
pub(super) fn prepare(head: &mut request::Parts) {
    join_cookies(&mut head.headers);
    // The upstream names the origin. And hyper has answered, or will, what `Expect` asks.
    for name in [header::HOST, header::EXPECT] {
        head.headers.remove(name);
    }
}

/// Makes one line of the several that a client of HTTP/2 may send (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs = headers.get_all(header::COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let texts: Vec<&[u8]> = crumbs.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut line) = HeaderValue::from_bytes(&texts.join(&b"; "[..])) {
        // As HTTP/2 must not index it, where one of them was not to be (RFC 7541 §7.1.3).
        line.set_sensitive(crumbs.iter().any(HeaderValue::is_sensitive));
        headers.insert(header::COOKIE, line);
    }
}

/// The request as it goes on to the upstream: with larder in its `Via`.
pub(super) fn outgoing<B>(mut request: Request<B>) -> Request<B> {
    let version = mem::replace(request.version_mut(), Version::HTTP_11);
    fields::add_via(request.headers_mut(), version);
    request
}

/// The upstream's response as it comes to the cache: with larder in its `Via`, which is stored
/// with it.
pub(super) fn incoming<B>(mut response: Response<B>) -> Response<B> {
    let version = response.version();
    fields::add_via(response.headers_mut(), version);
    response
}

/// The response as it goes on to the client: of the version that larder speaks, not of the one
/// that the origin does.
pub(super) fn response<B>(mut response: Response<B>) -> Response<B> {
    *response.version_mut() = Version::HTTP_11;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_below_the_prefix() {
        let origin = Origin::parse("https://api.test/v1").unwrap();
        let given = Request::put("/a/b?c=%20d")
            .header("host", "larder.test")
            .header("accept", "a")
            .header("accept", "b")
            .body("body")
            .unwrap();
        let sent = request(&origin, given).unwrap();
        assert_eq!(sent.uri(), "https://api.test/v1/a/b?c=%20d");
        assert_eq!(sent.method(), "PUT");
        assert_eq!(sent.headers().get_all("accept").iter().count(), 2);
        assert!(!sent.headers().contains_key("host"));
        assert_eq!(*sent.body(), "body");
    }

    #[test]
    fn another_authority_in_the_target_changes_nothing() {
        let origin = Origin::parse("http://api.test").unwrap();
        for target in ["http://evil.test//x", "//x"] {
            let sent = request(&origin, Request::get(target).body(()).unwrap()).unwrap();
            assert_eq!(sent.uri(), "http://api.test//x");
        }
    }

    #[test]
    fn an_options_goes_as_far_as_it_may() {
        for (method, given, sent, is_answered) in [
            ("OPTIONS", "5", "4", false),
            ("OPTIONS", "1", "0", false),
            ("OPTIONS", "0", "0", true),
            ("OPTIONS", "many", "many", false),
            ("GET", "0", "0", false),
        ] {
            let request = Request::builder().method(method);
            let mut request = request.header("max-forwards", given).body(()).unwrap();
            let answer = count_down(&mut request);
            assert_eq!(answer.is_some(), is_answered, "{method} {given}");
            assert_eq!(request.headers()["max-forwards"], sent);
            if let Some(answer) = answer {
                assert_eq!(answer.status(), StatusCode::NO_CONTENT);
                assert_eq!(answer.headers()["allow"], FORWARDED);
            }
        }
    }

    #[test]
    fn crumbs_of_a_cookie_become_one_line() {
        let origin = Origin::parse("http://api.test").unwrap();
        for crumbs in [
            &["a=b; c=d; e"][..],
            &["a=b", "c=d", "e"],
            &["a=b; c=d", "e"],
        ] {
            let mut given = Request::get("/");
            for crumb in crumbs {
                given = given.header("cookie", *crumb);
            }
            let sent = request(&origin, given.body(()).unwrap()).unwrap();
            let lines: Vec<_> = sent.headers().get_all("cookie").iter().collect();
            assert_eq!(lines, ["a=b; c=d; e"]);
        }
        let mut secret = HeaderValue::from_static("c=d");
        secret.set_sensitive(true);
        let given = Request::get("/").header("cookie", "a=b");
        let given = given.header("cookie", secret).body(()).unwrap();
        let sent = request(&origin, given).unwrap();
        assert!(sent.headers()["cookie"].is_sensitive());
    }

    #[test]
    fn a_request_does_not_leave_the_prefix() {
        let origin = Origin::parse("http://api.test/v1").unwrap();
        let sent = request(&origin, Request::get("/a/../../x").body(()).unwrap());
        assert_eq!(sent.unwrap_err().status, 400);
    }

    #[test]
    fn messages_name_what_they_came_in() {
        let given = Request::get("/").version(Version::HTTP_2).body(()).unwrap();
        let sent = outgoing(given);
        assert_eq!(sent.headers()["via"], "2 larder");
        assert_eq!(sent.version(), Version::HTTP_11);

        let given = Response::builder().version(Version::HTTP_10);
        let come = incoming(given.body(()).unwrap());
        assert_eq!(come.headers()["via"], "1.0 larder");
        assert_eq!(come.version(), Version::HTTP_10);
        assert_eq!(response(come).version(), Version::HTTP_11);
    }
}
