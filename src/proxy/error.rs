//! How larder says that something is wrong: the one shape of every error it answers with itself.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::body::Spliced;

/// An error as the client sees it: a status, a code for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
    /// What some statuses say besides: a 405, for one, what is allowed.
    field: Option<(HeaderName, &'static str)>,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        ApiError {
            status,
            code,
            message: message.into(),
            field: None,
        }
    }

    /// 400: the request makes no sense.
    pub(super) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: the token is missing, or is another (RFC 6750 §3).
    pub(super) fn unauthorized() -> Self {
        let message = "This takes the admin token: send it as Authorization: Bearer TOKEN.";
        ApiError {
            field: Some((header::WWW_AUTHENTICATE, "Bearer")),
            ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
        }
    }

    /// 403: not from there.
    pub(super) fn forbidden(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 408: the client has kept larder waiting, and is not waited for any longer.
    pub(super) fn stalled() -> Self {
        let message = "The request's body did not go on in time (--timeout).";
        ApiError {
            field: Some((header::CONNECTION, "close")),
            ..Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
        }
    }

    /// Not now, but perhaps in a second.
    pub(super) fn later(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        ApiError {
            field: Some((header::RETRY_AFTER, "1")),
            ..Self::new(status, code, message)
        }
    }

    /// 405, with the methods that are allowed.
    pub(super) fn method(allow: &'static str) -> Self {
        let message = format!("This path answers to {allow}.");
        let error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
        );
        ApiError {
            field: Some((header::ALLOW, allow)),
            ..error
        }
    }

    /// 500: a bug of ours.
    pub(super) fn internal() -> Self {
        let message = "larder failed in a way that it should not. The log says more.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The `error` member of an envelope: `{"code": …, "message": …}`.
    pub(super) fn to_json(&self) -> String {
        let ApiError { code, message, .. } = self;
        let message = serde_json::to_string(message).expect("a string always has a JSON form");
        format!(r#"{{"code": "{code}", "message": {message}}}"#)
    }

    pub(super) fn into_response(self) -> Response<Spliced> {
        let body = format!("{{\"success\": false, \"error\": {}}}", self.to_json());
        let mut response = json(self.status, body);
        if let Some((name, value)) = self.field {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A response of our own in JSON, which is about this moment and not to be kept.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Spliced> {
    let mut response = own(status, "application/json", body);
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// A response of our own.
pub(super) fn own(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Spliced> {
    in_pieces(status, content_type, Spliced::from(body.into()))
}

/// More fields than an envelope mostly has.
const FIELDS: usize = 12;

/// The same, with a body of several pieces.
pub(super) fn in_pieces(
    status: StatusCode,
    content_type: &'static str,
    body: Spliced,
) -> Response<Spliced> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(FIELDS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length);
    // What others wrote is never to be taken for a page of ours.
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_error_is_json_whatever_its_message() {
        let error = ApiError::bad_request("odd", "say \"what\"\n");
        let response = error.into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "success": false,
            "error": {"code": "odd", "message": "say \"what\"\n"},
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_405_names_the_methods() {
        let response = ApiError::method("GET, HEAD").into_response();
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn a_401_says_how() {
        let response = ApiError::unauthorized().into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
