//! One stored response, and its freshness (RFC 9111 §3.1, §4.2).

use super::says::{self, LARGEST};
use crate::{
    fields::{Fields, write_date},
    history::{Settings, Ttl},
    origin::{Answer, Call},
};

/// For how long larder keeps what can be validated, after it went stale.
const FOR_VALIDATION: i64 = 24 * 60 * 60;

/// For how long larder keeps what was fresh, after it went stale, for requests with `max-stale`.
const FOR_MAX_STALE: i64 = 10 * 60;

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) url: String,
    /// The fields of the request that it answered.
    pub(crate) by: Fields,
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) says: says::Response,
    pub(crate) body: Vec<u8>,
    /// The first byte that it holds, of how many, where it is a part.
    pub(crate) part: Option<(usize, usize)>,
    pub(crate) received: i64,
    pub(crate) initial_age: i64,
    pub(crate) lifetime: i64,
    pub(crate) explicit: bool,
    pub(crate) sets_cookie: bool,
    /// When larder drops it for good.
    pub(crate) useless_from: i64,
    /// Purged, replaced, or out of reach.
    pub(crate) gone: bool,
}

/// What is never stored: fields of a connection (RFC 9110 §7.6.1), cookies, and what `no-cache`
/// and `private` name (RFC 9111 §3.1).
fn storable(fields: &Fields) -> Fields {
    let mut kept = fields.clone();
    for name in fields.members("connection") {
        kept.remove(&name.to_lowercase());
    }
    for name in says::Response::read(fields).unstored {
        kept.remove(&name);
    }
    for name in ["connection", "set-cookie", "age"] {
        kept.remove(name);
    }
    kept
}

impl Stored {
    pub(crate) fn new(settings: Settings, by: &Fields, call: &Call, answer: &Answer) -> Stored {
        let body = answer.body.clone();
        let age = initial_age(&answer.fields, call);
        let mut new = Stored::build(settings, answer.status, &answer.fields, age, call.received);
        new.url.clone_from(&call.url);
        new.by = by.clone();
        new.body = body;
        new.part = part(answer);
        new.sets_cookie = answer.fields.has("set-cookie");
        new
    }

    fn build(settings: Settings, status: u16, said: &Fields, age: i64, received: i64) -> Stored {
        let mut fields = storable(said);
        if fields.time("date").is_none() {
            fields.remove("date");
            fields.add("date", write_date(received)); // RFC 9110 §6.6.1
        }
        let says = says::Response::read(said);
        let (lifetime, explicit) = lifetime(settings, status, &fields, &says, age);
        let mut new = Stored {
            url: String::new(),
            by: Fields::default(),
            status,
            fields,
            says,
            body: Vec::new(),
            part: None,
            received,
            initial_age: age,
            lifetime,
            explicit,
            sets_cookie: false,
            useless_from: 0,
            gone: false,
        };
        new.useless_from = received + new.useful(settings, received);
        new
    }

    /// The same with the fields of a newer response in place of its own (§3.2): not those that
    /// are about the bytes.
    pub(crate) fn updated(&self, settings: Settings, call: &Call, news: &Fields) -> Stored {
        let age = initial_age(news, call);
        let mut news = storable_news(news);
        for name in ["content-length", "content-range", "etag"] {
            news.remove(name);
        }
        let mut fields = self.fields.clone();
        fields.remove("date");
        for (name, _) in &news.0 {
            fields.remove(name);
        }
        fields.0.extend(news.0);
        let new = Stored::build(settings, self.status, &fields, age, call.received);
        Stored {
            url: self.url.clone(),
            by: self.by.clone(),
            body: self.body.clone(),
            part: self.part,
            ..new
        }
    }

    /// §4.2.3: `current_age`.
    pub(crate) fn age(&self, now: i64) -> i64 {
        self.initial_age + (now - self.received)
    }

    /// Seconds until it is stale.
    pub(crate) fn ttl(&self, now: i64) -> i64 {
        self.lifetime - self.age(now)
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.fields.first("etag")
    }

    pub(crate) fn has_validator(&self) -> bool {
        self.tag().is_some() || self.fields.has("last-modified")
    }

    /// For how long it is of use from `now`: fresh, or stale where that is allowed, or to be
    /// validated.
    pub(crate) fn useful(&self, settings: Settings, now: i64) -> i64 {
        let ttl = self.ttl(now);
        let fresh = if self.says.no_cache { 0 } else { ttl };
        let stale = [
            self.says
                .stale_while_revalidate
                .or(settings.stale_while_revalidate),
            self.says.stale_if_error.or(settings.stale_if_error),
            (ttl > 0).then_some(FOR_MAX_STALE),
        ];
        let stale = stale
            .into_iter()
            .flatten()
            .max()
            .filter(|_| !self.says.forbids_stale());
        let validated = self.has_validator().then_some(ttl.max(0) + FOR_VALIDATION);
        let stale = stale.map_or(0, |window| ttl + window);
        fresh.max(stale).max(validated.unwrap_or(0)).max(0)
    }

    pub(crate) fn tags(&self) -> Vec<String> {
        let keys = self
            .fields
            .lines("surrogate-key")
            .flat_map(str::split_whitespace);
        let mut tags: Vec<String> = keys.map(str::to_owned).collect();
        tags.extend(self.fields.members("cache-tag"));
        tags.extend(groups(&self.fields, "cache-groups"));
        tags
    }
}

/// RFC 9875 §2: a list of Strings, parameters ignored, or nothing.
pub(crate) fn groups(fields: &Fields, name: &str) -> Vec<String> {
    let members = fields.members(name);
    let string = |member: &String| {
        let member = member.split(';').next()?;
        Some(member.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    let all: Option<Vec<String>> = members.iter().map(string).collect();
    all.unwrap_or_default()
}

/// A connection's fields are not news; what `no-cache` names is looked at when all is together.
fn storable_news(news: &Fields) -> Fields {
    let mut kept = news.clone();
    for name in news.members("connection") {
        kept.remove(&name.to_lowercase());
    }
    for name in ["connection", "set-cookie"] {
        kept.remove(name);
    }
    kept
}

/// §4.2.3: `corrected_initial_age`.
fn initial_age(fields: &Fields, call: &Call) -> i64 {
    let date = fields.time("date").unwrap_or(call.received);
    let apparent_age = (call.received - date).max(0);
    let response_delay = call.received - call.sent;
    apparent_age
        .max(says::age(fields) + response_delay)
        .min(LARGEST)
}

/// §4.2.1, and whether the origin states it; capped as the README says of `--ttl`.
fn lifetime(
    settings: Settings,
    status: u16,
    fields: &Fields,
    says: &says::Response,
    initial_age: i64,
) -> (i64, bool) {
    let date = fields.time("date").unwrap();
    let expires = || {
        let ends = fields.lines("expires").map(crate::fields::read_date);
        ends.map(|end| end.map_or(0, |end| (end - date).max(0)))
            .min()
    };
    let stated = says.s_maxage.or(says.max_age);
    let stated = stated.or_else(|| expires().filter(|_| !says.targeted));
    let assumed = || match settings.ttl {
        Ttl::Origin if says.public || is_heuristic(status) => {
            fields
                .time("last-modified")
                .map_or(0, |at| (date - at).max(0) / 10) // §4.2.2
        }
        Ttl::Origin => 0,
        Ttl::Unset | Ttl::Seconds(_) if ![200, 203, 204, 206, 300, 301, 308].contains(&status) => 0,
        Ttl::Unset => initial_age + 60,
        Ttl::Seconds(ttl) => initial_age + ttl,
    };
    let lifetime = stated.unwrap_or_else(assumed);
    match settings.ttl {
        Ttl::Seconds(cap) => (lifetime.min(initial_age + cap), stated.is_some()),
        _ => (lifetime, stated.is_some()),
    }
}

/// RFC 9110 §15.1.
pub(crate) fn is_heuristic(status: u16) -> bool {
    [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status)
}

fn part(answer: &Answer) -> Option<(usize, usize)> {
    let range = answer
        .fields
        .first("content-range")
        .filter(|_| answer.status == 206)?;
    let (range, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, whole.parse().ok()?))
}
