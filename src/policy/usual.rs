//! What requests usually say: nothing of it makes an origin fail that would not fail at others.
//!
//! A list of what is usual, and not of what is odd: there is no end to what some origin may
//! stumble over.

use http::{HeaderMap, HeaderName, header};

use super::{Varies, date, list, vary::thousandths};

/// No usual value is longer.
const LENGTH: usize = 1024;

/// Fields whose values are not looked at, but for their length: who asks, and from where, and what is
/// taken to trace requests.
const ANY_VALUE: [&str; 27] = [
    "baggage",
    "connection",
    "dnt",
    "host",
    "keep-alive",
    "origin",
    "priority",
    "proxy-connection",
    "purpose",
    "referer",
    "save-data",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-storage-access",
    "sec-fetch-user",
    "sec-gpc",
    "sec-purpose",
    "te",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amzn-trace-id",
    "x-correlation-id",
    "x-request-id",
    "x-requested-with",
];

/// What browsers and other clients accept, with parameters of no consequence.
const MEDIA_RANGES: [&str; 22] = [
    "*/*",
    "application/*",
    "application/json",
    "application/signed-exchange",
    "application/xhtml+xml",
    "application/xml",
    "audio/*",
    "font/*",
    "image/*",
    "image/apng",
    "image/avif",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/svg+xml",
    "image/webp",
    "text/*",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
    "video/*",
];

/// The registered content codings (RFC 9110 §18.6), and any.
const CODINGS: [&str; 11] = [
    "*",
    "aes128gcm",
    "br",
    "compress",
    "dcb",
    "dcz",
    "deflate",
    "exi",
    "gzip",
    "identity",
    "zstd",
];

/// Whether a request says nothing unusual, but for what `varies` makes a part of the key.
pub(super) fn is_usual(headers: &HeaderMap, varies: &Varies) -> bool {
    headers.iter().all(|(name, value)| {
        let keyed = || matches!(varies, Varies::By(fields) if fields.names().contains(name));
        is_usual_field(name, value.as_bytes()) || keyed()
    })
}

fn is_usual_field(name: &HeaderName, value: &[u8]) -> bool {
    let is_plain = value.iter().all(|b| (b' '..=b'~').contains(b));
    is_plain
        && value.len() <= LENGTH
        && match *name {
            header::ACCEPT => members(value, |range| is_one_of(&MEDIA_RANGES, range)),
            header::ACCEPT_ENCODING => members(value, |coding| is_one_of(&CODINGS, coding)),
            header::ACCEPT_LANGUAGE => members(value, is_language_range),
            header::CONTENT_LENGTH => value == b"0",
            header::CACHE_CONTROL | header::PRAGMA => value
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-=, ".contains(b)),
            header::DATE | header::IF_MODIFIED_SINCE | header::IF_UNMODIFIED_SINCE => {
                date::imf(value).is_some()
            }
            header::IF_MATCH | header::IF_NONE_MATCH => {
                value == b"*" || list::pieces(value, b',').all(|tag| tag.is_empty() || is_tag(tag))
            }
            _ if name == "traceparent" => is_traceparent(value),
            _ => {
                let name = name.as_str();
                name.starts_with("sec-ch-") || ANY_VALUE.contains(&name)
            }
        }
}

/// Whether all members of a list are such, and their parameters are weights; or the version of signed
/// exchanges that browsers name.
fn members(value: &[u8], is_usual: impl Fn(&[u8]) -> bool) -> bool {
    list::pieces(value, b',').all(|member| {
        let mut parts = list::pieces(member, b';');
        let range = parts.next().unwrap_or_default();
        let is_signed = is_one_of(&["application/signed-exchange"], range);
        (range.is_empty() || is_usual(range))
            && parts.all(|parameter| match parameter {
                [b'q' | b'Q', b'=', weight @ ..] => thousandths(weight).is_some(),
                other => is_signed && other == b"v=b3",
            })
    })
}

/// An entity tag (RFC 9110 §8.8.3).
fn is_tag(tag: &[u8]) -> bool {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.len() > 1 && tag.starts_with(b"\"") && tag.ends_with(b"\"")
}

/// As W3C's Trace Context writes it.
fn is_traceparent(value: &[u8]) -> bool {
    let parts: Vec<usize> = value.split(|b| *b == b'-').map(<[u8]>::len).collect();
    let is_hex = |b: &u8| b.is_ascii_hexdigit() || *b == b'-';
    parts == [2, 32, 16, 2] && value.iter().all(is_hex)
}

fn is_one_of(known: &[&str], one: &[u8]) -> bool {
    known
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(one))
}

/// A language, with a script and a region at the most: `*`, `de`, `pt-BR`, `zh-Hant-TW`.
fn is_language_range(range: &[u8]) -> bool {
    let mut subtags = range.split(|b| *b == b'-');
    let language = subtags.next().unwrap_or_default();
    let is_language = match language {
        b"*" => true,
        _ => (2..=3).contains(&language.len()) && language.iter().all(u8::is_ascii_alphabetic),
    };
    let is_subtag =
        |tag: &[u8]| (2..=4).contains(&tag.len()) && tag.iter().all(u8::is_ascii_alphanumeric);
    is_language && subtags.clone().count() <= 2 && subtags.all(is_subtag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Fields;

    fn usual(name: &str, value: &str) -> bool {
        let name = HeaderName::try_from(name).unwrap();
        is_usual_field(&name, value.as_bytes())
    }

    #[test]
    fn what_browsers_and_others_send_is_usual() {
        for (name, value) in [
            ("host", "a"),
            ("accept", "*/*"),
            (
                "accept",
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
                 image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            ),
            ("accept", "application/json, text/plain, */*"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-encoding", ""),
            (
                "accept-language",
                "en-GB,en;q=0.9, zh-Hant-TW;q=0.8,*;q=0.5",
            ),
            ("sec-ch-ua-platform", "\"Linux\""),
            ("user-agent", "curl/8.5.0"),
            ("cache-control", "max-age=0, no-cache"),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("if-none-match", "\"a\", W/\"b\""),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("x-amzn-trace-id", "Root=1"),
        ] {
            assert!(usual(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn all_else_is_not() {
        for (name, value) in [
            ("accept", "bogus/*"),
            ("accept", "application/json;v=99"),
            ("accept", "*/*;q=7"),
            ("cache-control", "bogus=\""),
            ("if-modified-since", "bogus"),
            ("if-none-match", "bogus"),
            ("traceparent", "bogus"),
            ("accept", "text/html;charset=x"),
            ("accept-encoding", "bogus"),
            ("accept-language", "not a language"),
            ("accept-language", "en-US-x-a-b"),
            ("api-version", "99"),
            ("authorization", "Bearer x"),
            ("content-length", "1"),
            ("content-md5", "x"),
            ("content-type", "bogus"),
            ("cookie", "a=b"),
            ("depth", "1"),
            ("destination", "/"),
            ("expect", "100-continue"),
            ("prefer", "x"),
            ("range", "bytes=x"),
            ("tenant", "7"),
            ("user-agent", "caf\u{e9}"),
            ("x-odd", "1"),
        ] {
            assert!(!usual(name, value), "{name}: {value}");
        }
        assert!(!usual("user-agent", &"x".repeat(LENGTH + 1)));
    }

    #[test]
    fn what_is_in_the_key_may_be_anything() {
        let mut headers = HeaderMap::new();
        headers.insert("tenant", "7".parse().unwrap());
        let by = |name: &str| Varies::By(Fields::new([name.parse().unwrap()]));
        assert!(is_usual(&headers, &by("tenant")));
        assert!(!is_usual(&headers, &by("other")));
    }
}
