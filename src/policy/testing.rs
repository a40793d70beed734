//! Requests, responses and times for the tests of the rules.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request, response};

use super::{Head, Policy, date};

/// `seconds` after the moment at which all tests play, a Saturday in 2025.
pub(super) fn at(seconds: i64) -> SystemTime {
    let start = UNIX_EPOCH + Duration::from_secs(1_763_800_000);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        start - distance
    } else {
        start + distance
    }
}

/// The HTTP-date of that moment.
pub(super) fn date_at(seconds: i64) -> String {
    date::format(at(seconds)).to_str().unwrap().to_owned()
}

pub(super) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

pub(super) fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    let mut parts = request.into_parts().0;
    parts.headers = headers(fields);
    parts
}

pub(super) fn get(fields: &[(&str, &str)]) -> request::Parts {
    request("GET", "http://a.example/x", fields)
}

pub(super) fn response(status: u16, fields: &[(&str, &str)]) -> response::Parts {
    let mut parts = Response::builder()
        .status(status)
        .body(())
        .unwrap()
        .into_parts()
        .0;
    parts.headers = headers(fields);
    parts
}

/// The head of a response to a plain GET that took no time and arrived at 0.
pub(super) fn head(policy: &Policy, status: u16, fields: &[(&str, &str)]) -> Head {
    policy.head(&get(&[]), &response(status, fields), at(0), at(0))
}

/// A fresh-for-a-minute-or-as-it-says 200 under [`Policy::origin`].
pub(super) fn ok(fields: &[(&str, &str)]) -> Head {
    head(&Policy::origin(), 200, fields)
}
