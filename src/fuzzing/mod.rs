//! What the fuzzers run: for each parser and codec a function that takes any bytes, and asserts
//! what must hold whatever they are. The tests run the same on the corpus and on what is near it.

mod layer;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request};

pub use self::layer::layer;
use crate::policy::{
    Head, Keep, Key, Policy, RequestDirectives, ResponseDirectives, Selected, Varies,
};
pub use crate::{proxy::fuzz_proxy_url as proxy_url, store::fuzz_redis_record as redis_record};

/// Takes any bytes, and panics where what must hold does not.
pub type Target = fn(&[u8]);

/// All targets, by the names that they have in `fuzz/fuzz_targets`.
pub const TARGETS: [(&str, Target); 9] = [
    ("cache_control", cache_control),
    ("dates", dates),
    ("layer", layer),
    ("no_vary_search", no_vary_search),
    ("proxy_url", proxy_url),
    ("ranges", ranges),
    ("redis_record", redis_record),
    ("structured_fields", structured_fields),
    ("vary", vary),
];

/// The moment at which all this plays.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_763_800_000)
}

/// A field with a line for each line of `data` that a field may have.
fn field(headers: &mut HeaderMap, name: HeaderName, data: &[u8]) {
    for line in data.split(|b| *b == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(&name, value);
        }
    }
}

fn get(uri: &str) -> request::Parts {
    let request = Request::get(uri).body(()).expect("this URI is one");
    request.into_parts().0
}

/// The head of a 200 with these fields, received now.
fn ok(headers: HeaderMap) -> Head {
    of(StatusCode::OK, headers)
}

fn of(status: StatusCode, headers: HeaderMap) -> Head {
    let mut response = Response::new(()).into_parts().0;
    response.status = status;
    response.headers = headers;
    let request = get("http://a.example/x?a=1&b=2");
    Policy::origin().head(&request, &response, now(), now())
}

/// Cache-Control of both sides, and what the rules make of it.
pub fn cache_control(data: &[u8]) {
    let mut headers = HeaderMap::new();
    field(&mut headers, header::CACHE_CONTROL, data);
    let says = ResponseDirectives::parse(&headers);
    let mut more = headers.clone();
    more.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let forbidden = ResponseDirectives::parse(&more);
    // An unclosed string before it may swallow it, and then its own line is no part of it.
    assert!(forbidden.no_store || !says.no_store);
    for seconds in [says.max_age, says.s_maxage].into_iter().flatten() {
        assert!(seconds.as_secs() <= 1 << 31 && seconds.subsec_nanos() == 0);
    }
    let mut request = get("http://a.example/x");
    request.headers = headers.clone();
    let asks = RequestDirectives::parse(&request.headers);
    let policy = Policy::origin();
    let head = ok(headers);
    let keep = policy.keep(&get("http://a.example/x"), &head, now());
    if says.no_store && !says.must_understand || says.private {
        assert!(matches!(keep, Keep::No(_)), "{says:?} is kept");
    }
    if asks.no_store {
        assert!(matches!(policy.keep(&request, &head, now()), Keep::No(_)));
    }
    let _ = policy.reuse(&head, &request, now() + Duration::from_secs(5));
}

/// `Date`, `Expires`, `Last-Modified` and `Age`, a line of `data` for each.
pub fn dates(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let names = [
        header::DATE,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::AGE,
    ];
    for (name, line) in names.into_iter().zip(data.split(|b| *b == b'\n')) {
        field(&mut headers, name, line);
    }
    let head = ok(headers);
    let (mut age, mut ttl) = (0, i64::MAX);
    for later in [0, 1, 60, 1 << 31, 1 << 40] {
        let then = now() + Duration::from_secs(later);
        assert!(head.age(then) >= age && head.ttl(then) <= ttl);
        (age, ttl) = (head.age(then), head.ttl(then));
        let _ = Policy::origin().reuse(&head, &get("http://a.example/x"), then);
    }
    // The clock may be set back.
    let _ = (head.age(UNIX_EPOCH), head.ttl(UNIX_EPOCH));
}

/// `Vary`, and the fields that it selects by: the first line, and the rest.
pub fn vary(data: &[u8]) {
    let (varies, selecting) = split(data, b'\n');
    let mut headers = HeaderMap::new();
    field(&mut headers, header::VARY, varies);
    let Varies::By(fields) = ok(headers).varies().clone() else {
        return;
    };
    let mut request = HeaderMap::new();
    for name in fields.names() {
        field(&mut request, name.clone(), selecting);
    }
    assert_eq!(fields.select(&request), fields.select(&request.clone()));
    assert!(fields.covers(&fields) && fields.union(&fields).covers(&fields));
}

/// `Range` and `If-Range` of a request, and `Content-Range` of a response: a line for each.
pub fn ranges(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let mut request = get("http://a.example/x");
    let mut headers = HeaderMap::new();
    field(
        &mut request.headers,
        header::RANGE,
        lines.next().unwrap_or_default(),
    );
    field(
        &mut headers,
        header::CONTENT_RANGE,
        lines.next().unwrap_or_default(),
    );
    field(
        &mut request.headers,
        header::IF_RANGE,
        lines.next().unwrap_or_default(),
    );
    headers.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
    let policy = Policy::origin();
    let whole = ok(headers.clone());
    for length in [0, 1, 10, 1000, u64::MAX] {
        if let Selected::Parts(parts) = policy.select(&request, &whole, length) {
            assert!(!parts.is_empty());
            for part in parts {
                assert!(
                    part.first <= part.last && part.last < length,
                    "{part:?} of {length}"
                );
            }
        }
    }
    let part = of(StatusCode::PARTIAL_CONTENT, headers);
    let Some(known) = part.part() else { return };
    assert!(known.range.first <= known.range.last);
    assert!(
        known
            .complete
            .is_none_or(|length| known.range.last < length)
    );
    for held in policy.select_held(&request, &part).into_iter().flatten() {
        assert!(held.first >= known.range.first && held.last <= known.range.last);
    }
    if let Some(less) = policy.received(&part, 1) {
        let _ = policy.combine(&less, &part);
    }
    let _ = policy.ask_for_rest(&mut HeaderMap::new(), &part);
}

/// What is read as structured fields besides No-Vary-Search: the targeted Cache-Control,
/// `Cache-Groups`, and the tags.
pub fn structured_fields(data: &[u8]) {
    let names = [
        "larder-cache-control",
        "cdn-cache-control",
        "cache-groups",
        "cache-tag",
        "surrogate-key",
    ];
    for name in names {
        let mut headers = HeaderMap::new();
        field(&mut headers, HeaderName::from_static(name), data);
        let head = ok(headers);
        assert!(head.tags().all(|tag| !tag.is_empty()));
        let _ = head.groups();
        let _ = Policy::origin().keep(&get("http://a.example/x"), &head, now());
    }
}

/// `No-Vary-Search`, and the query that it is applied to: the first line, and the rest.
pub fn no_vary_search(data: &[u8]) {
    let (rule, query) = split(data, b'\n');
    let mut headers = HeaderMap::new();
    field(
        &mut headers,
        HeaderName::from_static("no-vary-search"),
        rule,
    );
    let head = ok(headers);
    let Some(rule) = head.search() else { return };
    let query = String::from_utf8_lossy(query);
    let canonical = rule.canonical(&query);
    assert_eq!(
        rule.canonical(&canonical),
        canonical,
        "{query:?} by {rule:?}"
    );
    if let Ok(uri) = format!("http://a.example/x?{query}").parse() {
        let key = Key::of_uri(&uri);
        assert!(rule.is_same(&key, &key));
    }
}

/// Before and after the first `separator`.
fn split(data: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == separator) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

#[cfg(test)]
mod tests;
