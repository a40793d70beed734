//! What is remembered of a response besides its bytes.

mod lines;

use std::{
    mem::size_of,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{
        AGE, CACHE_CONTROL, CACHE_STATUS, CONTENT_LOCATION, DATE, ETAG, EXPIRES, Entry,
        LAST_MODIFIED, VARY,
    },
};

pub(super) use self::lines::Lines;
use super::{Lifetime, Part, ResponseDirectives, Rule, Varies, date};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// The head of a response as it is stored: hop-by-hop fields are gone, `Cache-Control` and
/// the dates are parsed, age and lifetime are reckoned. Nothing is left to parse on a hit.
///
/// Its fields always hold a `Date` and no `Set-Cookie`; and slots to overwrite when it is served,
/// so that a cloned map need not grow: an `Age`, an `X-Cache` that says `HIT`, and, as the last
/// line of `Cache-Status`, [`Head::SLOT`].
#[derive(Clone, Debug)]
pub struct Head {
    pub(super) stored: StoredHead,
    pub(super) directives: ResponseDirectives,
    pub(super) varies: Varies,
    pub(super) search: Option<Rule>,
    /// Which part of the representation it is about, if it is a 206 of one part.
    pub(super) part: Option<Part>,
    /// The response had a `Set-Cookie`, and did not say that all but it may be kept.
    pub(super) sets_cookie: bool,
    pub(super) lines: Lines,
}

/// The part of a [`Head`] that cannot be derived from the rest: what a store writes down, and
/// [`Head::restore`] takes.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHead {
    /// The response's status.
    pub status: StatusCode,
    /// The version it came in.
    pub version: Version,
    /// Its end-to-end fields.
    pub headers: HeaderMap,
    /// When its head arrived (`response_time`, RFC 9111 §4.2.3).
    pub received: SystemTime,
    /// How old it was then (`corrected_initial_age`), whole seconds.
    pub initial_age: Duration,
    /// How long it is fresh, counted from age 0.
    pub lifetime: Lifetime,
}

impl Head {
    /// What stands for this cache's own member of `Cache-Status` until there is one.
    pub const SLOT: HeaderValue = HeaderValue::from_static("larder");

    /// For how many more fields there must be room in a map that becomes a head's: for those that
    /// [`Head::restore`] adds, and for one more, as a full map grows even when a field of it is
    /// replaced.
    pub const ROOM: usize = 3;

    /// The head that `stored` came from.
    pub fn restore(mut stored: StoredHead) -> Head {
        add_slots(&mut stored.headers);
        Head {
            directives: ResponseDirectives::parse(&stored.headers),
            varies: Varies::parse(&stored.headers),
            search: Rule::parse(&stored.headers),
            part: Part::of(stored.status, &stored.headers),
            sets_cookie: false,
            lines: Lines::default(),
            stored,
        }
    }

    /// What a store must write down of it.
    pub fn stored(&self) -> &StoredHead {
        &self.stored
    }

    /// Status.
    pub fn status(&self) -> StatusCode {
        self.stored.status
    }

    /// Version.
    pub fn version(&self) -> Version {
        self.stored.version
    }

    /// End-to-end fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.stored.headers
    }

    /// Its fields as lines of HTTP/1.1 (RFC 9112 §5), but for those that are told anew each time:
    /// `Age`, `Content-Length` and [`Head::SLOT`].
    pub fn lines(&self) -> &[u8] {
        self.lines.of(&self.stored.headers)
    }

    /// Its Cache-Control.
    pub fn directives(&self) -> &ResponseDirectives {
        &self.directives
    }

    /// What its `Vary` says.
    pub fn varies(&self) -> &Varies {
        &self.varies
    }

    /// What its `No-Vary-Search` says, if it says anything.
    pub fn search(&self) -> Option<&Rule> {
        self.search.as_ref()
    }

    /// Which part of a representation its body is, if it is but one.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// Age at `now`: seconds (RFC 9111 §4.2.3).
    pub fn age(&self, now: SystemTime) -> u64 {
        let resident = date::since(now, self.stored.received);
        self.stored.initial_age.saturating_add(resident).as_secs()
    }

    /// Seconds until stale, negative when stale.
    pub fn ttl(&self, now: SystemTime) -> i64 {
        self.ttl_at(self.age(now))
    }

    /// The same at this age.
    pub(super) fn ttl_at(&self, age: u64) -> i64 {
        let lifetime = self.stored.lifetime.duration.as_secs();
        let ttl = i128::from(lifetime) - i128::from(age);
        i64::try_from(ttl).unwrap_or(if ttl < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it may be used at `now` without asking the origin, as far as it says itself: it is
    /// fresh, and not `no-cache`.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.ttl(now) > 0 && !self.directives.no_cache
    }

    /// Whether it has a validator.
    pub fn has_validator(&self) -> bool {
        self.etag().is_some() || self.last_modified().is_some()
    }

    /// The fields of a 304 that tells a client to use what it has (RFC 9110 §15.4.5).
    pub fn not_modified_headers(&self) -> HeaderMap {
        let names = [
            AGE,
            CACHE_CONTROL,
            CONTENT_LOCATION,
            DATE,
            ETAG,
            EXPIRES,
            VARY,
        ];
        let mut headers = HeaderMap::with_capacity(names.len() + 1);
        for name in &names {
            self.copy(name, &mut headers);
        }
        if self.etag().is_none() {
            self.copy(&LAST_MODIFIED, &mut headers);
        }
        headers
    }

    fn copy(&self, name: &HeaderName, headers: &mut HeaderMap) {
        for value in self.headers().get_all(name) {
            headers.append(name, value.clone());
        }
    }

    /// The memory that it takes, in bytes, approximately: for a store's budget.
    pub fn weight(&self) -> usize {
        /// What a map keeps of an entry besides name and value: hash, links, a place in the index.
        const SLOT: usize = size_of::<HeaderName>() + size_of::<HeaderValue>() + 40;
        /// The same of a further value of one name: links.
        const EXTRA: usize = size_of::<HeaderValue>() + 32;
        let headers = self.headers();
        let text: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let unstored = self.directives.unstored.capacity() * size_of::<HeaderName>();
        let selecting = match &self.varies {
            Varies::By(fields) => size_of_val(fields.names()),
            Varies::No | Varies::Always => 0,
        };
        let slots = headers.capacity() * SLOT + (headers.len() - headers.keys_len()) * EXTRA;
        let rule = self.search.as_ref().map_or(0, Rule::weight);
        size_of::<Head>() + slots + text + unstored + selecting + rule
    }

    /// The entity tag, whatever it looks like.
    pub(super) fn etag(&self) -> Option<&HeaderValue> {
        self.headers().get(ETAG).filter(|tag| !tag.is_empty())
    }

    pub(super) fn last_modified(&self) -> Option<SystemTime> {
        self.time(&LAST_MODIFIED)
    }

    pub(super) fn date(&self) -> Option<SystemTime> {
        self.time(&DATE)
    }

    fn time(&self, name: &HeaderName) -> Option<SystemTime> {
        date::parse(self.headers().get(name)?, self.stored.received)
    }
}

/// The fields whose name `is_kept`, with all values in one piece of memory of their own: values as
/// they are received share the buffer that they were read into, and would keep it, body bytes and
/// all.
pub(crate) fn apart(headers: &HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = Vec::with_capacity(headers.len());
    kept.extend(headers.iter().filter(|(name, _)| is_kept(name)));
    let mut text = BytesMut::with_capacity(kept.iter().map(|(_, value)| value.len()).sum());
    for (_, value) in &kept {
        text.extend_from_slice(value.as_bytes());
    }
    let mut text: Bytes = text.freeze();
    // Those that a head has in any case are `Age` and `Accept-Ranges`.
    let mut apart = HeaderMap::with_capacity(headers.len() + 2 + Head::ROOM);
    for (name, value) in kept {
        let bytes = text.split_to(value.len());
        let mut copy = HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
        copy.set_sensitive(value.is_sensitive());
        apart.append(name.clone(), copy);
    }
    apart
}

pub(super) fn add_slots(headers: &mut HeaderMap) {
    headers.insert(X_CACHE, HeaderValue::from_static("HIT"));
    match headers.entry(CACHE_STATUS) {
        Entry::Vacant(none) => drop(none.insert(Head::SLOT)),
        Entry::Occupied(lines) if lines.iter().next_back() == Some(&Head::SLOT) => {}
        Entry::Occupied(mut lines) => lines.append(Head::SLOT),
    }
}

#[cfg(test)]
mod tests;
