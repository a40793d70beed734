//! RFC 9110 §14: which bytes of a stored response.

use std::time::Duration;

use http::{
    Method, StatusCode,
    header::{IF_RANGE, RANGE},
    request,
};

use super::{Head, content::is_query, date, etag::ETag, list};

/// A part of a body: `first` to `last`, both included, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

/// Which bytes of a stored response a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// All: answer 200. There is no usable `Range`, or `If-Range` does not hold.
    Whole,
    /// 206 with these (one: `Content-Range`; several: `multipart/byteranges`), in order.
    Parts(Vec<ByteRange>),
    /// 416 with `Content-Range: bytes */len`.
    Unsatisfiable,
}

/// Who asks for more parts gets the whole (§14.2).
const MOST_PARTS: usize = 16;

pub(super) fn select(req: &request::Parts, head: &Head, len: u64) -> Selected {
    if head.status() != StatusCode::OK {
        return Selected::Whole;
    }
    match wanted(req, head, len) {
        None => Selected::Whole,
        Some(parts) if parts.is_empty() => Selected::Unsatisfiable,
        Some(parts) => Selected::Parts(coalesce(parts)),
    }
}

/// Whether a request wants all bytes, whatever their number, though it says so as a range: then
/// the whole costs no more than the range. Not with a condition on it, which may make it none.
pub(super) fn is_of_all(req: &request::Parts) -> bool {
    let mut lines = req.headers.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return false;
    };
    let all = line
        .as_bytes()
        .trim_ascii()
        .eq_ignore_ascii_case(b"bytes=0-");
    all && !req.headers.contains_key(IF_RANGE)
}

/// An incomplete response answers only for what lies within it (RFC 9111 §3.3). Where the
/// length of the whole is not known, a range that is counted from the end lies nowhere.
pub(super) fn select_held(req: &request::Parts, head: &Head) -> Option<Vec<ByteRange>> {
    let part = head.part?;
    let parts = wanted(req, head, part.complete.unwrap_or(u64::MAX))?;
    let held =
        |wanted: &ByteRange| wanted.first >= part.range.first && wanted.last <= part.range.last;
    (!parts.is_empty() && parts.iter().all(held)).then(|| coalesce(parts))
}

/// The ranges that a request wants of `len` bytes; `None` when it wants the whole.
fn wanted(req: &request::Parts, head: &Head, len: u64) -> Option<Vec<ByteRange>> {
    let mut lines = req.headers.get_all(RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let ranged = req.method == Method::GET || is_query(&req.method);
    if !ranged || !if_range(req, head) {
        return None;
    }
    parse(line.as_bytes(), len)
}

/// Whether `If-Range`, if there is one, names the stored response by a strong validator
/// (§13.1.5).
fn if_range(req: &request::Parts, head: &Head) -> bool {
    let Some(condition) = req.headers.get(IF_RANGE) else {
        return true;
    };
    if let Some(since) = date::parse(condition, head.stored.received) {
        // A date is strong when the response was sent later (§8.8.2.2).
        let (modified, sent) = (head.last_modified(), head.date());
        return modified == Some(since)
            && sent.is_some_and(|sent| date::since(sent, since) >= Duration::from_secs(1));
    }
    let condition = ETag::parse(condition.as_bytes());
    head.etag()
        .is_some_and(|tag| ETag::parse(tag.as_bytes()).strongly_matches(condition))
}

/// The ranges that lie in a body of `len` bytes; `None` when the field is not one to follow, or when
/// no `Content-Range` can say what it wants: the last bytes of none (§14.1.2).
fn parse(line: &[u8], len: u64) -> Option<Vec<ByteRange>> {
    let equals = line.iter().position(|&byte| byte == b'=')?;
    if !line[..equals].trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut asked = 0;
    let mut parts = Vec::new();
    for spec in list::pieces(&line[equals + 1..], b',').filter(|spec| !spec.is_empty()) {
        asked += 1;
        if asked > MOST_PARTS {
            return None;
        }
        parts.extend(part(spec, len)?);
    }
    (asked > 0).then_some(parts)
}

/// `Some(None)` when it is well-formed and lies outside.
fn part(spec: &[u8], len: u64) -> Option<Option<ByteRange>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let end = len.checked_sub(1);
    if first.is_empty() {
        let length = list::digits(last)?;
        let part = |last| ByteRange {
            first: len.saturating_sub(length),
            last,
        };
        let is_nothing = len == 0 && length > 0;
        return (!is_nothing).then(|| end.filter(|_| length > 0).map(part));
    }
    let first = list::digits(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        list::digits(last)?
    };
    if last < first {
        return None;
    }
    Some(end.filter(|&end| first <= end).map(|end| ByteRange {
        first,
        last: last.min(end),
    }))
}

/// Joins parts that overlap or touch; the others stay in the order in which they were asked for
/// (§15.3.7.2).
fn coalesce(parts: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted: Vec<(usize, ByteRange)> = parts.into_iter().enumerate().collect();
    sorted.sort_by_key(|(_, part)| part.first);
    let mut joined: Vec<(usize, ByteRange)> = Vec::with_capacity(sorted.len());
    for (nth, part) in sorted {
        match joined.last_mut() {
            Some((place, before)) if part.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(part.last);
                *place = nth.min(*place);
            }
            _ => joined.push((nth, part)),
        }
    }
    joined.sort_by_key(|(nth, _)| *nth);
    joined.into_iter().map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests;
