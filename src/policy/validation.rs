//! §4.3: conditional requests, to the origin and from clients.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, IF_MATCH,
        IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
        SET_COOKIE,
    },
    request, response,
};

use super::{
    Head, Policy, Precondition,
    content::is_query,
    date,
    etag::{ETag, Tags},
    freshness::{self, Exchange},
    hop, list,
};

/// Fields about the stored bytes, that a 304 cannot change (§3.2): the bytes stay as they are.
const OF_THE_BYTES: [HeaderName; 6] = [
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    ETAG,
];

/// Conditions for `stored`, in place of the client's own (§4.3.1). A range is taken out as well,
/// so that the answer is the whole.
pub(super) fn make_conditional(headers: &mut HeaderMap, stored: Option<&Head>) -> bool {
    let is_own = |name: &&HeaderName| is_condition(name) || [IF_RANGE, RANGE].contains(name);
    let own: Vec<HeaderName> = headers.keys().filter(is_own).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    let Some(head) = stored else {
        return false;
    };
    if let Some(tag) = head.etag() {
        headers.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(modified) = head.headers().get(LAST_MODIFIED)
        && head.last_modified().is_some()
    {
        headers.insert(IF_MODIFIED_SINCE, modified.clone());
    }
    head.has_validator()
}

/// The stored head with what a 304 says in place of what it said before (§3.2), if the 304 is
/// about it (§4.3.4).
pub(super) fn freshen(
    policy: &Policy,
    stored: &Head,
    not_modified: &response::Parts,
    exchange: Exchange,
) -> Option<Head> {
    is_about(&not_modified.headers, stored)
        .then(|| updated(policy, stored, &not_modified.headers, exchange))
}

/// The stored head with what a 200 to HEAD says in place of what it said before, if that is
/// about the same representation, whose length is `len` if that is known (§4.3.5).
pub(super) fn freshen_by_head(
    policy: &Policy,
    stored: &Head,
    len: Option<u64>,
    res: &response::Parts,
    exchange: Exchange,
) -> Option<Head> {
    let news = &res.headers;
    let same_time = !news.contains_key(LAST_MODIFIED) || stored.last_modified().is_some();
    let mut lengths = news.get_all(CONTENT_LENGTH).iter();
    let same_length = lengths.all(|stated| len.is_none() || list::digits(stated.as_bytes()) == len);
    let is_ok = stored.status() == StatusCode::OK || stored.part.is_some();
    let same_kind = res.status == StatusCode::OK && is_ok;
    (same_kind && same_length && same_time && is_about(news, stored))
        .then(|| updated(policy, stored, news, exchange))
}

/// Whether an answer tells what has become of the resource: not of a failure, nor of what is wrong
/// with the request.
pub(super) fn displaces(req: &request::Parts, status: StatusCode) -> bool {
    let of_resource = match status.as_u16() {
        206 | 304 => false,
        401 | 403 | 404 | 410 | 451 => true,
        status => (200..400).contains(&status),
    };
    of_resource && req.method != Method::HEAD
}

/// The stored fields with `news` in place of those of the same name, as far as §3.2 allows.
pub(super) fn updated(
    policy: &Policy,
    stored: &Head,
    news: &HeaderMap,
    exchange: Exchange,
) -> Head {
    let mut news = news.clone();
    hop::remove_hop_by_hop(&mut news);
    for name in OF_THE_BYTES.iter().chain([&SET_COOKIE]) {
        news.remove(name);
    }

    let mut headers = stored.headers().clone();
    headers.remove(AGE);
    headers.remove(DATE); // without a new one, it is of now
    for name in news.keys() {
        headers.remove(name);
    }
    for (name, value) in &news {
        headers.append(name, value.clone());
    }
    let (status, version) = (stored.status(), stored.version());
    freshness::head(policy, (status, version), &headers, exchange)
}

/// Whether the validators of a 304 are the stored ones. One without any answers the question
/// that was asked, which was about the stored response.
fn is_about(news: &HeaderMap, stored: &Head) -> bool {
    let tag =
        |value: &HeaderValue| ETag::parse(value.as_bytes()).weakly_matches(stored_tag(stored));
    if let Some(new) = news.get(ETAG) {
        return stored.etag().is_some() && tag(new);
    }
    match (news.get(LAST_MODIFIED), stored.last_modified()) {
        (Some(new), Some(modified)) => date::parse(new, stored.stored.received) == Some(modified),
        _ => true,
    }
}

fn stored_tag(head: &Head) -> ETag<'_> {
    ETag::parse(head.etag().map_or(b"", |tag| tag.as_bytes()))
}

/// Whether a field of this name is a condition on the whole of a response (RFC 9110 §13.1).
fn is_condition(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "if-match" | "if-modified-since" | "if-none-match" | "if-unmodified-since"
    )
}

/// The client's own conditions, in the order of RFC 9110 §13.2.2, applied as §4.3.2 says.
pub(super) fn precondition(req: &request::Parts, head: &Head) -> Precondition {
    let is_read = matches!(req.method, Method::GET | Method::HEAD) || is_query(&req.method);
    if !is_read
        || !(head.status() == StatusCode::OK || head.part.is_some())
        || !req.headers.keys().any(is_condition)
    {
        return Precondition::Proceed;
    }
    let tag = stored_tag(head);
    let has_tag = head.etag().is_some();
    let time = |name: HeaderName| {
        let mut lines = req.headers.get_all(name).iter();
        let time = date::parse(lines.next()?, head.stored.received)?;
        lines.next().is_none().then_some(time) // several are none
    };

    if let Some(tags) = Tags::parse(&req.headers, &IF_MATCH) {
        if !tags.any(|other| has_tag && other.strongly_matches(tag)) {
            return Precondition::Failed;
        }
    } else if let Some(since) = time(IF_UNMODIFIED_SINCE)
        && let Some(modified) = head.last_modified()
        && modified > since
    {
        return Precondition::Failed;
    }

    if let Some(tags) = Tags::parse(&req.headers, &IF_NONE_MATCH) {
        if tags.any(|other| has_tag && other.weakly_matches(tag)) {
            return Precondition::NotModified;
        }
    } else if let Some(since) = time(IF_MODIFIED_SINCE) {
        // What does not say when it was modified was not modified after it was sent.
        let modified = head.last_modified().or_else(|| head.date());
        if modified.is_some_and(|modified| modified <= since) {
            return Precondition::NotModified;
        }
    }
    Precondition::Proceed
}

#[cfg(test)]
mod tests;
