//! Responses that hold a part of a representation (RFC 9111 §3.3, §3.4).

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE},
};

use super::{ByteRange, Head, Policy, etag::ETag, freshness::Exchange, list::digits, validation};

/// Which part of a representation a 206 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub range: ByteRange,
    /// The length of the whole representation, where it is known.
    pub complete: Option<u64>,
}

impl Part {
    /// What `Content-Range` says of a 206; `None` when it holds several parts, or says nothing
    /// that can be relied on (RFC 9110 §14.4).
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Option<Part> {
        if status != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else {
            return None;
        };
        let (unit, rest) = line.split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let part = Part {
            range: ByteRange {
                first: digits(first.as_bytes())?,
                last: digits(last.as_bytes())?,
            },
            complete: match complete {
                "*" => None,
                number => Some(digits(number.as_bytes())?),
            },
        };
        let ByteRange { first, last } = part.range;
        let end = part.complete.unwrap_or(u64::MAX);
        (unit.eq_ignore_ascii_case("bytes") && first <= last && last < end).then_some(part)
    }

    /// The whole representation is one part of it, too.
    fn is_whole(self) -> bool {
        self.range.first == 0 && self.complete.is_some_and(|end| self.range.last + 1 == end)
    }
}

/// The head of a part of which `len` bytes came: as many as its head says, or fewer, so that it
/// is recorded as a smaller part. `None` when there is nothing to be recorded.
pub(super) fn received(head: &Head, len: u64) -> Option<Head> {
    let mut part = head.part?;
    let said = (part.range.last - part.range.first).saturating_add(1);
    if len == 0 || len > said {
        return None;
    }
    part.range.last = part.range.first + (len - 1);
    Some(holding(head.clone(), part))
}

/// The head of `stored` and `new` joined (§3.4): parts that overlap or touch, of what is by a
/// strong validator the same representation. What is whole then is a 200.
pub(super) fn combine(policy: &Policy, stored: &Head, new: &Head) -> Option<Head> {
    let (old, add) = (stored.part?, new.part?);
    let touch = add.range.first <= old.range.last.saturating_add(1)
        && old.range.first <= add.range.last.saturating_add(1);
    let same_length =
        old.complete.is_none() || add.complete.is_none() || old.complete == add.complete;
    if !touch || !same_length || !are_of_one(stored, new) {
        return None;
    }
    let part = Part {
        range: ByteRange {
            first: old.range.first.min(add.range.first),
            last: old.range.last.max(add.range.last),
        },
        complete: old.complete.or(add.complete),
    };
    // The new head states its age already.
    let received = new.stored.received;
    let exchange = Exchange {
        sent: received,
        received,
    };
    let mut head = validation::updated(policy, stored, new.headers(), exchange);
    head.sets_cookie = new.sets_cookie;
    let fits = part.complete.is_none_or(|end| part.range.last < end);
    fits.then(|| holding(head, part))
}

/// Whether both are parts of one representation, as their strong validators tell.
pub(super) fn are_of_one(one: &Head, other: &Head) -> bool {
    let (Some(one), Some(other)) = (one.etag(), other.etag()) else {
        return false;
    };
    ETag::parse(one.as_bytes()).strongly_matches(ETag::parse(other.as_bytes()))
}

/// Asks for what comes after `head`'s part, where that makes it whole: `false` when it cannot.
/// The parts could not be joined without a strong validator.
pub(super) fn ask_for_rest(headers: &mut HeaderMap, head: &Head) -> bool {
    let (Some(part), Some(tag)) = (head.part, head.etag()) else {
        return false;
    };
    if part.range.first > 0 || part.complete.is_none() || !are_of_one(head, head) {
        return false;
    }
    let rest = HeaderValue::try_from(format!("bytes={}-", part.range.last + 1));
    headers.insert(RANGE, rest.expect("digits and ASCII only"));
    headers.insert(IF_RANGE, tag.clone());
    true
}

/// `head`, as that of `part`.
fn holding(mut head: Head, part: Part) -> Head {
    let ByteRange { first, last } = part.range;
    let headers = &mut head.stored.headers;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(last - first + 1));
    if part.is_whole() {
        headers.remove(CONTENT_RANGE);
        head.stored.status = StatusCode::OK;
        head.part = None;
    } else {
        headers.insert(CONTENT_RANGE, content_range(part.range, part.complete));
        head.part = Some(part);
    }
    head
}

/// The value of `Content-Range` (RFC 9110 §14.4).
pub fn content_range(range: ByteRange, complete: Option<u64>) -> HeaderValue {
    let ByteRange { first, last } = range;
    let value = match complete {
        Some(complete) => format!("bytes {first}-{last}/{complete}"),
        None => format!("bytes {first}-{last}/*"),
    };
    HeaderValue::try_from(value).expect("digits and ASCII only")
}

#[cfg(test)]
mod tests;
