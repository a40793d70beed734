//! What each flag and variable accepts. An error is what would have been accepted, in words.

use std::time::Duration;

use http::HeaderName;
use tracing_subscriber::EnvFilter;

use super::{BackendKind, LogFormat, Ttl};
use crate::{
    proxy::{
        hosts::{HostRule, PortRule},
        origin::Origin,
    },
    store::RedisUrl,
};

/// The value, or what is accepted in its place.
pub(super) type Parsed<T> = Result<T, &'static str>;

/// RFC 9111 §1.2.2: a cache need not reckon with more seconds than that.
const LONGEST: u64 = 1 << 31;

pub(super) fn port(text: &str) -> Parsed<u16> {
    text.parse()
        .map_err(|_| "a port from 0 to 65535 (0 picks a free one)")
}

pub(super) fn host(text: &str) -> Parsed<String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let named = bare
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if bare.is_empty() || !(named || bare.parse::<std::net::Ipv6Addr>().is_ok()) {
        return Err("an IPv4 or IPv6 address, or a name like localhost");
    }
    Ok(bare.to_owned())
}

/// Where to listen: host and port.
pub(super) fn place(text: &str) -> Parsed<(String, u16)> {
    let read = || {
        let (named, number) = text.rsplit_once(':')?;
        // Without its brackets, an IPv6 address may end in what looks like a port.
        let plain = named.starts_with('[') || !named.contains(':');
        Some((host(named).ok().filter(|_| plain)?, port(number).ok()?))
    };
    read().ok_or("an address and a port, like 127.0.0.1:9000 or [::1]:9000")
}

pub(super) fn origin(text: &str) -> Parsed<Origin> {
    Origin::parse(text)
}

pub(super) fn ttl(text: &str) -> Parsed<Ttl> {
    if text == "origin" {
        return Ok(Ttl::Origin);
    }
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= LONGEST => Ok(Ttl::For(Duration::from_secs(seconds))),
        _ => Err("a whole number of seconds from 0 to 2147483648, or the word origin"),
    }
}

pub(super) fn window(text: &str) -> Parsed<Duration> {
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds from 0 to 2147483648"),
    }
}

pub(super) fn backend(text: &str) -> Parsed<BackendKind> {
    match text {
        "memory" => Ok(BackendKind::Memory),
        "redis" => Ok(BackendKind::Redis),
        _ => Err("memory or redis"),
    }
}

pub(super) fn redis_url(text: &str) -> Parsed<RedisUrl> {
    RedisUrl::parse(text)
}

pub(super) fn redis_timeout(text: &str) -> Parsed<Duration> {
    match text.parse::<u64>() {
        Ok(ms @ 1..=60_000) => Ok(Duration::from_millis(ms)),
        _ => Err("a whole number of milliseconds from 1 to 60000"),
    }
}

pub(super) fn redis_prefix(text: &str) -> Parsed<String> {
    // No glob characters: clearing looks for what begins with the prefix.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if text.bytes().all(plain) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("up to 64 letters, digits and - _ . : /")
}

pub(super) fn size(text: &str) -> Parsed<u64> {
    const ACCEPTED: &str = "a size above 0 in bytes, like 8388608, 512KiB, 64MiB or 1GiB";
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(ACCEPTED),
    };
    let size = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    size.filter(|size| (1..=i64::MAX as u64).contains(size))
        .ok_or(ACCEPTED)
}

pub(super) fn timeout(text: &str) -> Parsed<Duration> {
    let seconds = text.parse::<f64>().ok();
    seconds
        .filter(|seconds| *seconds >= 0.001 && *seconds <= LONGEST as f64)
        .map(Duration::from_secs_f64)
        .ok_or("a number of seconds above 0")
}

pub(super) fn allow_hosts(text: &str) -> Parsed<Vec<HostRule>> {
    list(text).map(HostRule::parse).collect()
}

pub(super) fn allow_ports(text: &str) -> Parsed<Vec<PortRule>> {
    list(text).map(PortRule::parse).collect()
}

pub(super) fn key_headers(text: &str) -> Parsed<Vec<HeaderName>> {
    let names = list(text).map(HeaderName::try_from);
    names
        .collect::<Result<_, _>>()
        .map_err(|_| "names of header fields")
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|one| !one.is_empty())
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false (or 1, yes, on; 0, no, off)"),
    }
}

/// A path that larder's own paths are put below: it begins with a slash and ends without one.
pub(super) fn prefix(text: &str) -> Parsed<String> {
    const ACCEPTED: &str = "a path like /_larder";
    let trimmed = text.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    let segments = || trimmed.split('/').skip(1);
    let rooted = trimmed.is_empty() || trimmed.starts_with('/');
    if !rooted || !trimmed.bytes().all(plain) || segments().any(|s| matches!(s, "" | "." | "..")) {
        return Err(ACCEPTED);
    }
    Ok(trimmed.to_owned())
}

/// How many of something: at least one, and no more than HTTP/2 can say.
pub(super) fn count(text: &str) -> Parsed<usize> {
    up_to(1 << 30, text).ok_or("a number from 1 to 1073741824")
}

/// How many fields a head may have: hyper makes room for all of them for each request, and a map
/// has no more than so many.
pub(super) fn fields(text: &str) -> Parsed<usize> {
    up_to(16_384, text).ok_or("a number from 1 to 16384")
}

pub(super) fn threads(text: &str) -> Parsed<usize> {
    up_to(1024, text).ok_or("a number from 1 to 1024")
}

fn up_to(most: usize, text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| (1..=most).contains(n))
}

pub(super) fn log(text: &str) -> Parsed<String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a filter like info, debug or larder=debug,hyper=warn"),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("512 kib"), Ok(512 << 10));
        assert_eq!(size("1000"), Ok(1000));
        for no in [
            "",
            "0",
            "12parsecs",
            "MiB",
            "-1",
            "1.5GiB",
            "99999999999GiB",
            "9223372036854775808",
        ] {
            assert!(size(no).is_err(), "{no}");
        }
    }

    #[test]
    fn lifetimes() {
        assert_eq!(ttl("0"), Ok(Ttl::For(Duration::ZERO)));
        assert_eq!(ttl("origin"), Ok(Ttl::Origin));
        for no in ["-3", "soon", "1.5", "", "99999999999"] {
            assert!(ttl(no).is_err(), "{no}");
        }
    }

    #[test]
    fn windows() {
        assert_eq!(window("60"), Ok(Duration::from_secs(60)));
        for no in ["-3", "origin", "1.5", "", "99999999999"] {
            assert!(window(no).is_err(), "{no}");
        }
    }

    #[test]
    fn timeouts() {
        assert_eq!(timeout("0.5"), Ok(Duration::from_millis(500)));
        for no in ["0", "-1", "NaN", "inf", "1e300", ""] {
            assert!(timeout(no).is_err(), "{no}");
        }
    }

    #[test]
    fn hosts_to_listen_on() {
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        assert_eq!(host("::").as_deref(), Ok("::"));
        assert_eq!(host("localhost").as_deref(), Ok("localhost"));
        for no in ["", "a b", "http://x", "1.2.3.4:80", "[x]:1"] {
            assert!(host(no).is_err(), "{no}");
        }
    }

    #[test]
    fn places_to_listen_at() {
        assert_eq!(place("127.0.0.1:9000"), Ok(("127.0.0.1".to_owned(), 9000)));
        assert_eq!(place("[::1]:0"), Ok(("::1".to_owned(), 0)));
        for no in [
            "",
            "9000",
            ":9000",
            "localhost",
            "::1:9000",
            "[::1]",
            "a:99999",
            "http://a:1",
        ] {
            assert!(place(no).is_err(), "{no}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix("/_larder/").as_deref(), Ok("/_larder"));
        assert_eq!(prefix("/").as_deref(), Ok(""));
        for no in ["larder", "/a//b", "/a/../b", "/a?b", "/ä"] {
            assert!(prefix(no).is_err(), "{no}");
        }
    }

    #[test]
    fn redis_urls_and_prefixes() {
        assert!(redis_url("redis://:secret@h:1/2").is_ok());
        assert!(redis_url("http://h").is_err());
        assert!(redis_url("localhost:6379").is_err());
        assert!(redis_prefix("larder*").is_err());
        assert_eq!(redis_timeout("20"), Ok(Duration::from_millis(20)));
        for no in ["0", "-1", "60001", "0.5", "50ms", ""] {
            assert!(redis_timeout(no).is_err(), "{no}");
        }
    }

    #[test]
    fn switches_and_filters() {
        assert_eq!(switch("Yes"), Ok(true));
        assert_eq!(switch("off"), Ok(false));
        assert!(switch("maybe").is_err());
        assert!(log("larder=loud").is_err());
        assert!(log("info,larder=debug").is_ok());
    }
}
