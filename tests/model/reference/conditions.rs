//! RFC 9110 §13 and §14 for a request that is answered from what is stored.

use super::stored::Stored;
use crate::fields::{Fields, read_date};

/// §13.2.2: 304 or 412, where the request's own conditions say so.
pub(super) fn unmet(asked: &Fields, stored: &Stored) -> Option<u16> {
    if stored.status != 200 && stored.part.is_none() {
        return None; // §13.2.1
    }
    let tag = stored.tag();
    let modified = stored.fields.time("last-modified");
    if asked.has("if-match") {
        if !any_tag(asked, "if-match", |other| strong(other, tag)) {
            return Some(412);
        }
    } else if let (Some(since), Some(modified)) = (asked.time("if-unmodified-since"), modified)
        && modified > since
    {
        return Some(412);
    }
    if asked.has("if-none-match") {
        if any_tag(asked, "if-none-match", |other| weak(other, tag)) {
            return Some(304);
        }
    } else if let Some(since) = asked.time("if-modified-since")
        && modified
            .or(stored.fields.time("date"))
            .is_some_and(|at| at <= since)
    {
        return Some(304);
    }
    None
}

fn any_tag(asked: &Fields, name: &str, matches: impl Fn(&str) -> bool) -> bool {
    asked
        .members(name)
        .iter()
        .any(|tag| tag == "*" || matches(tag))
}

/// §8.8.3.2
pub(super) fn strong(one: &str, other: Option<&str>) -> bool {
    !one.starts_with("W/") && other == Some(one)
}

/// §8.8.3.2
pub(super) fn weak(one: &str, other: Option<&str>) -> bool {
    let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
    other.is_some_and(|other| opaque(one) == opaque(other))
}

pub(super) type Range = (usize, usize);

/// §14.2: the ranges that are asked for and exist, overlapping ones joined; `None` where the
/// whole is to be sent.
pub(super) fn ranges(asked: &Fields, stored: &Stored, length: usize) -> Option<Vec<Range>> {
    let line = asked.first("range")?.strip_prefix("bytes=")?;
    if stored.status != 200 && stored.part.is_none() || !if_range(asked, stored) {
        return None;
    }
    let mut ranges: Vec<Range> = Vec::new();
    for spec in line.split(',') {
        let (first, last) = spec.split_once('-')?;
        let range = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
            (None, Some(last)) => (length.saturating_sub(last), length.wrapping_sub(1)),
            (Some(first), None) => (first, length.wrapping_sub(1)),
            (Some(first), Some(last)) if first <= last => (first, last.min(length.wrapping_sub(1))),
            _ => return None,
        };
        if first.is_empty() && last != "0" && length == 0 {
            return None; // No `Content-Range` can say that.
        }
        if length > 0 && range.0 < length {
            ranges.push(range);
        }
    }
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(before) if range.0 <= before.1 + 1 => before.1 = before.1.max(range.1),
            _ => joined.push(range),
        }
    }
    Some(joined)
}

/// §13.1.5: a strong validator of the stored response.
fn if_range(asked: &Fields, stored: &Stored) -> bool {
    let Some(condition) = asked.first("if-range") else {
        return true;
    };
    match read_date(condition) {
        Some(since) => {
            let sent = stored.fields.time("date");
            stored.fields.time("last-modified") == Some(since) && sent > Some(since)
        }
        None => strong(condition, stored.tag()),
    }
}
