//! A response body as the `data` of an envelope.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use encoding_rs::Encoding;
use http::{HeaderMap, StatusCode, header};
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::{policy::Head, store::Verdict};

/// What a body is, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `application/json`, and all that is `+json`.
    Json,
    /// `text/*`, in this encoding.
    Text(&'static Encoding),
    /// Anything else, and what is in an unknown encoding.
    Other,
}

/// The JSON value that stands for `body`. `verdict` is what was found out before about whether
/// it is JSON, for all times that it is served.
pub(super) fn of(
    headers: &HeaderMap,
    verdict: Option<&Verdict>,
    body: Bytes,
) -> Result<Bytes, ApiError> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"null"));
    }
    match Kind::of(headers) {
        Kind::Json => {
            let valid = match verdict {
                Some(verdict) => verdict.get_or_look(|| is_json(&body)),
                None => is_json(&body),
            };
            match valid {
                true => Ok(body.slice_ref(without_mark(&body))),
                false => Err(ApiError::new(
                    StatusCode::BAD_GATEWAY,
                    "upstream_invalid_json",
                    "The upstream calls its answer JSON, and it is not.",
                )),
            }
        }
        Kind::Text(encoding) => {
            let (text, _, _) = encoding.decode(&body);
            Ok(quoted(&text).into())
        }
        Kind::Other => Ok(encoded(headers, &body).into()),
    }
}

/// The same for a body that is the JSON value itself, as was found out before.
pub(super) fn at_hand(headers: &HeaderMap, verdict: &Verdict, body: &Bytes) -> Option<Bytes> {
    let is_json = verdict.get() == Some(true) && !headers.contains_key(header::CONTENT_ENCODING);
    is_json.then(|| body.slice_ref(without_mark(body)))
}

/// What the cache finds out about a response that it stores: whether it is JSON, as it is stored.
pub(super) fn inspect(head: &Head, data: &[u8]) -> bool {
    Kind::of(head.headers()) == Kind::Json && is_json(data)
}

/// Whether `data` is one JSON value, in UTF-8, perhaps after a byte order mark.
fn is_json(data: &[u8]) -> bool {
    std::str::from_utf8(without_mark(data))
        .is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

/// RFC 8259 §8.1: the mark is no part of the value, and may be ignored.
fn without_mark(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data)
}

/// `{"content_type": …, "base64": …}`, with the content coding where there is one left.
fn encoded(headers: &HeaderMap, body: &[u8]) -> String {
    let text = |name| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
    };
    let content_type = text(header::CONTENT_TYPE).map_or("null".to_owned(), |text| quoted(&text));
    let coding = text(header::CONTENT_ENCODING);
    let coding = coding.map_or(String::new(), |text| {
        format!(r#""content_encoding": {}, "#, quoted(&text))
    });
    let base64 = BASE64_STANDARD.encode(body);
    format!(r#"{{"content_type": {content_type}, {coding}"base64": "{base64}"}}"#)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string always has a JSON form")
}

// === impl Kind ===

impl Kind {
    fn of(headers: &HeaderMap) -> Kind {
        let Some(value) = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
        else {
            return Kind::Other;
        };
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Kind::Other;
        }
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        let essence = essence.trim().to_ascii_lowercase();
        if essence == "application/json" || essence.ends_with("+json") {
            return Kind::Json;
        }
        if !essence.starts_with("text/") {
            return Kind::Other;
        }
        match charset(parameters) {
            Some(label) => Encoding::for_label(label.as_bytes()).map_or(Kind::Other, Kind::Text),
            None => Kind::Text(encoding_rs::UTF_8),
        }
    }
}

/// The value of `charset` among the parameters of a media type (RFC 9110 §8.3.1). A quoted string
/// may hold a semicolon; with an escape in it, it names no encoding.
fn charset(parameters: &str) -> Option<&str> {
    let mut quoted = false;
    let mut parameters = parameters.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("charset");
        named.then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn data(content_type: &'static str, body: &'static [u8]) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert("content-type", HeaderValue::from_static(content_type));
        }
        let data = of(&headers, None, Bytes::from_static(body)).map_err(|error| error.code)?;
        Ok(String::from_utf8(data.to_vec()).unwrap())
    }

    #[test]
    fn json_is_spliced_as_it_came() {
        let body = br#" {"b": 1.10, "a": 123456789012345678901234567890, "b": 1e400} "#;
        for content_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
        ] {
            assert_eq!(data(content_type, body).unwrap().as_bytes(), body);
        }
        assert_eq!(data("application/json", b"\xEF\xBB\xBF[1]").unwrap(), "[1]");
    }

    #[test]
    fn what_is_called_json_and_is_not_is_an_error() {
        for body in [
            &b"{"[..],
            b"{} {}",
            b"\"\xff\"",
            b"<html>",
            b" ",
            b"nul",
            b"\"a\nb\"",
        ] {
            assert_eq!(data("application/json", body), Err("upstream_invalid_json"));
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep: &'static str =
            Box::leak(("[".repeat(200_000) + &"]".repeat(200_000)).into_boxed_str());
        assert!(data("application/json", deep.as_bytes()).is_ok());
    }

    #[test]
    fn text_is_a_string() {
        assert_eq!(
            data("text/plain", "ä\n\"".as_bytes()).unwrap(),
            "\"ä\\n\\\"\""
        );
        assert_eq!(
            data("text/html; charset=ISO-8859-1", b"\xe4").unwrap(),
            "\"ä\""
        );
        assert_eq!(
            data("text/plain; charset=\"shift_jis\"", b"\x82\xa0").unwrap(),
            "\"あ\""
        );
        assert_eq!(
            data("text/plain; x=\"a;charset=utf-16\"; charset=utf-8", b"hi").unwrap(),
            "\"hi\""
        );
        assert_eq!(data("text/plain", b"a\xffb").unwrap(), "\"a\u{fffd}b\"");
    }

    #[test]
    fn anything_else_is_base64() {
        let png = r#"{"content_type": "image/png", "base64": "AAE="}"#;
        assert_eq!(data("image/png", b"\x00\x01").unwrap(), png);
        assert_eq!(
            data("", b"a").unwrap(),
            r#"{"content_type": null, "base64": "YQ=="}"#
        );
        assert!(
            data("text/plain; charset=klingon", b"a")
                .unwrap()
                .contains("base64")
        );
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-encoding", HeaderValue::from_static("zstd"));
        let data = of(&headers, None, Bytes::from_static(b"{")).unwrap();
        let zstd =
            r#"{"content_type": "application/json", "content_encoding": "zstd", "base64": "ew=="}"#;
        assert_eq!(data, zstd);
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(data("application/json", b"").unwrap(), "null");
        assert_eq!(data("text/plain", b"").unwrap(), "null");
    }

    #[test]
    fn a_verdict_is_believed_and_reached_once() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let verdict = Verdict::default();
        assert!(of(&headers, Some(&verdict), Bytes::from_static(b"[]")).is_ok());
        assert_eq!(verdict.get(), Some(true));
        // Not looked at again: the wrong body shows it.
        assert!(of(&headers, Some(&verdict), Bytes::from_static(b"[")).is_ok());
    }
}
