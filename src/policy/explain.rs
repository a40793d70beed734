//! Why: the rules that were applied on the way to a decision, told one by one.
//!
//! Nothing is decided here. The functions that decide show each rule that they apply to a
//! [`Witness`]; for a request that is to be explained it is a [`Teller`], which puts it into words.
//! So what is told is what is done, in the order in which it is done.

use std::time::{Duration, SystemTime};

use http::{
    HeaderName, Method,
    header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, EXPIRES, IF_RANGE, LAST_MODIFIED},
    request,
};

use super::{
    Admit, Head, Keep, Policy, RequestDirectives, Reuse, Source, freshness, reuse,
    rules::{Rule, Witness},
    storing,
};

/// A rule that was applied on the way to a decision, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Where the rule is written: `RFC 9111 §4.2`, or `larder` where it is this cache's own.
    pub rule: &'static str,
    /// What was found, in words.
    pub what: String,
    /// Whether what was found is what the rule asks for.
    pub holds: bool,
}

/// Where the lifetime of a stored response comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stated {
    /// How long it is fresh by what the response says, or by what stands in for that.
    pub duration: Duration,
    /// What says so.
    pub source: Source,
    /// The field that it was read from.
    pub field: Option<HeaderName>,
    /// What makes it live shorter than that.
    pub limit: Option<Limit>,
}

/// What shortens the lifetime of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// No response lives longer in this cache ([`Policy::ttl`]).
    Cap,
    /// A purge made it stale, or it was stored when the settings were others.
    Earlier,
}

/// Tells what it is shown.
struct Teller<'a> {
    policy: &'a Policy,
    req: &'a request::Parts,
    /// With the time at which it is looked at.
    head: Option<(&'a Head, SystemTime)>,
    steps: Vec<Step>,
}

impl Policy {
    /// What [`admit`](Policy::admit) answers, and why.
    pub fn explain_admit(&self, req: &request::Parts) -> (Admit, Vec<Step>) {
        let mut teller = Teller::new(self, req, None);
        (storing::admit(req, &mut teller), teller.steps)
    }

    /// What [`keep`](Policy::keep) answers, and why.
    pub fn explain_keep(
        &self,
        req: &request::Parts,
        head: &Head,
        now: SystemTime,
    ) -> (Keep, Vec<Step>) {
        let mut teller = Teller::new(self, req, Some((head, now)));
        let keep = storing::keep(self, req, head, now, &mut teller);
        (keep, teller.steps)
    }

    /// What [`reuse`](Policy::reuse) answers, and why.
    pub fn explain_reuse(
        &self,
        head: &Head,
        req: &request::Parts,
        now: SystemTime,
    ) -> (Reuse, Vec<Step>) {
        let mut teller = Teller::new(self, req, Some((head, now)));
        let reuse = reuse::reuse(self, head, req, now, &mut teller);
        (reuse, teller.steps)
    }

    /// Where the lifetime of `head` comes from.
    pub fn stated(&self, head: &Head) -> Stated {
        let stored = &head.stored;
        let directives = head.directives();
        let (duration, source) = freshness::stated(
            self,
            stored.status,
            &stored.headers,
            directives,
            stored.initial_age,
            stored.received,
        );
        let cap = freshness::cap(self, stored.initial_age);
        let limit = match stored.lifetime.duration {
            lives if lives < duration.min(cap) => Some(Limit::Earlier),
            lives if lives < duration => Some(Limit::Cap),
            _ => None,
        };
        let field = match source {
            Source::SharedMaxAge | Source::MaxAge => {
                Some(directives.target.clone().unwrap_or(CACHE_CONTROL))
            }
            Source::Expires => Some(EXPIRES),
            Source::Heuristic => Some(LAST_MODIFIED),
            Source::Configured | Source::None => None,
        };
        Stated {
            duration,
            source,
            field,
            limit,
        }
    }

    /// For how long `head` is served stale while it is fetched anew (RFC 5861 §3); `None` when it
    /// is not.
    pub fn stale_while_revalidate_window(&self, head: &Head) -> Option<Duration> {
        let forbidden = head.directives().forbids_stale();
        self.revalidate_window(head).filter(|_| !forbidden)
    }

    /// For how long `head`, stale, stands in for an origin that fails (RFC 5861 §4), as far as
    /// it depends on itself; `None` when it does not.
    pub fn stale_if_error_window(&self, head: &Head) -> Option<Duration> {
        let forbidden = head.directives().forbids_stale();
        self.error_window(head).filter(|_| !forbidden)
    }
}

// === impl Step ===

impl Step {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>, holds: bool) -> Self {
        Step {
            rule,
            what: what.into(),
            holds,
        }
    }
}

// === impl Source ===

impl Source {
    /// The directive or the field that says it; `heuristic`, `default` or `none` where none does.
    pub const fn word(self) -> &'static str {
        match self {
            Source::SharedMaxAge => "s-maxage",
            Source::MaxAge => "max-age",
            Source::Expires => "expires",
            Source::Heuristic => "heuristic",
            Source::Configured => "default",
            Source::None => "none",
        }
    }
}

// === impl Limit ===

impl Limit {
    /// `cap` or `earlier`.
    pub const fn word(self) -> &'static str {
        match self {
            Limit::Cap => "cap",
            Limit::Earlier => "earlier",
        }
    }
}

// === impl Teller ===

impl Witness for Teller<'_> {
    fn see(&mut self, rule: Rule, holds: bool) -> bool {
        let what = match self.head {
            None => of_request(rule, holds, self.req),
            Some((head, now)) => self.of_response(rule, holds, head, now),
        };
        self.steps
            .extend(what.map(|what| Step::new(rule.section(), what, holds)));
        holds
    }
}

/// What the rule finds in a request.
fn of_request(rule: Rule, holds: bool, req: &request::Parts) -> Option<String> {
    let method = &req.method;
    let what = match (rule, holds) {
        (Rule::KnownContent, false) => format!("what this {method} asks is not known for sure"),
        (Rule::Read, true) => format!("{method} may be answered from the cache"),
        (Rule::Read, false) => format!("{method} is not answered from the cache"),
        (Rule::Safe, true) => format!("{method} changes nothing at the origin: it is passed on"),
        (Rule::Safe, false) => format!(
            "{method} may change something: it is passed on, and a successful answer makes the \
             cache forget the URL"
        ),
        (Rule::BareRequest, true) => "the request has no body and asks for no upgrade".into(),
        (Rule::BareRequest, false) => "the request has a body or asks for an upgrade".into(),
        (Rule::SharableRequest, true) => "the request does not say no-store".into(),
        (Rule::SharableRequest, false) => {
            "the request says no-store: nothing of its answer may be kept".into()
        }
        _ => return None,
    };
    Some(what)
}

impl<'a> Teller<'a> {
    fn new(
        policy: &'a Policy,
        req: &'a request::Parts,
        head: Option<(&'a Head, SystemTime)>,
    ) -> Self {
        Teller {
            policy,
            req,
            head,
            steps: Vec::new(),
        }
    }

    /// What the rule finds in a response; `None` when it has nothing to be about, and so nothing
    /// was found.
    fn of_response(&self, rule: Rule, holds: bool, head: &Head, now: SystemTime) -> Option<String> {
        let wanted = RequestDirectives::parse(&self.req.headers);
        let asked = |name| self.req.headers.contains_key(name);
        let (directives, status) = (head.directives(), head.status().as_u16());
        let (age, ttl) = (head.age(now), head.ttl(now));
        let may_be_shared = "and the response says that it may be shared";
        let not_shared = "and the response does not say that it may be shared";
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        let what = match (rule, holds) {
            (Rule::StorableMethod, _) => self.method(holds),
            (Rule::NoStore, true) => "neither request nor response says no-store".into(),
            (Rule::NoStore, false) if wanted.no_store => "the request says no-store".into(),
            (Rule::NoStore, false) => "the response says no-store".into(),
            (Rule::Private, true) => "the response does not say private".into(),
            (Rule::Private, false) => "the response says private: it is for one client".into(),
            (Rule::VaryStar, true) => "the response does not say Vary: *".into(),
            (Rule::VaryStar, false) => "by its Vary, no other request selects this response".into(),
            (Rule::Authorization, true) if asked(AUTHORIZATION) => {
                format!("the request has Authorization, {may_be_shared}")
            }
            (Rule::Authorization, true) => "the request has no Authorization".into(),
            (Rule::Authorization, false) => {
                format!("the request has Authorization, {not_shared}")
            }
            (Rule::Unauthorized, false) => {
                format!("status {status} is for who brings no credentials, {not_shared}")
            }
            (Rule::Cookie, true) if asked(COOKIE) => {
                format!("the request has a Cookie, {may_be_shared}")
            }
            (Rule::Cookie, true) => "the request has no Cookie".into(),
            (Rule::Cookie, false) => format!("the request has a Cookie, {not_shared}"),
            (Rule::SetCookie, true) if head.sets_cookie => {
                "the response sets a cookie, which is not stored, and says that it may be shared"
                    .into()
            }
            (Rule::SetCookie, true) => "the response sets no cookie".into(),
            (Rule::SetCookie, false) => {
                "the response sets a cookie, and does not say that it may be shared".into()
            }
            (Rule::Satisfiable, false) => "what 416 means depends on the request's ranges".into(),
            (Rule::Final, false) => format!("a response of status {status} is never stored"),
            (Rule::Understood, true) if directives.must_understand => {
                format!("the response says must-understand, and status {status} is understood")
            }
            (Rule::Understood, false) => {
                format!("the response says must-understand, and status {status} is not understood")
            }
            (Rule::Kept, _) => self.kept(holds, head),
            (Rule::Unprovoked, true) => {
                "the response says how long the error is fresh, and nothing unusual was asked"
                    .into()
            }
            (Rule::Unprovoked, false) => format!(
                "the error {} may have been provoked: the response does not say how long it is \
                 fresh, or the request had unusual fields that are not part of the key",
                status
            ),
            (Rule::UsablePart, true) if head.part().is_some() => {
                "the response is one part, and was asked for".into()
            }
            (Rule::UsablePart, false) if asked(IF_RANGE) => {
                "the request has If-Range: the part may lack fields that the client has".into()
            }
            (Rule::UsablePart, false) => {
                "the response is partial, and not one part that was asked for".into()
            }
            (Rule::OfUse, _) => self.use_of(holds, head, now),
            (Rule::StoredNoCache, true) => "the stored response does not say no-cache".into(),
            (Rule::StoredNoCache, false) => {
                "the stored response says no-cache: not without asking the origin".into()
            }
            (Rule::AskedNoCache, true) => "the request does not say no-cache".into(),
            (Rule::AskedNoCache, false) => {
                "the request says no-cache: not without asking the origin".into()
            }
            (Rule::Fresh, _) => {
                let word = if holds { "fresh" } else { "stale" };
                let lifetime = head.stored.lifetime.duration.as_secs();
                format!("the stored response is {word}: age {age} s of {lifetime} s")
            }
            (Rule::MaxAge | Rule::MaxAgeOfStale, _) => {
                let limit = seconds(wanted.max_age)?;
                match holds {
                    true if age > limit || limit == 0 => format!(
                        "the request says max-age={limit}, but the stored response is immutable"
                    ),
                    true => format!("the request accepts an age of up to {limit} s (max-age)"),
                    false => format!(
                        "the request accepts an age of up to {limit} s (max-age), and not {age} s"
                    ),
                }
            }
            (Rule::MinFresh | Rule::NoMinFresh, _) => {
                let least = seconds(wanted.min_fresh)?;
                format!(
                    "the request wants it to stay fresh for {least} s (min-fresh), and it has {ttl} s"
                )
            }
            (Rule::MayBeStale, true) => "the stored response may be served stale".into(),
            (Rule::MayBeStale, false) => {
                "the stored response must not be served stale (must-revalidate, proxy-revalidate, \
                 s-maxage)"
                    .into()
            }
            (Rule::MaxStale, _) => match seconds(wanted.max_stale) {
                None => "the request does not accept a stale response (max-stale)".into(),
                Some(limit) => format!(
                    "the request accepts up to {limit} s of staleness (max-stale), and it has {}",
                    ttl.unsigned_abs()
                ),
            },
            (Rule::WhileRevalidate, _) => match seconds(self.policy.revalidate_window(head)) {
                None => "no stale-while-revalidate is given".into(),
                Some(window) => format!(
                    "stale-while-revalidate is {window} s, and it is stale for {} s",
                    ttl.unsigned_abs()
                ),
            },
            _ => return None,
        };
        Some(what)
    }

    fn method(&self, holds: bool) -> String {
        let method = &self.req.method;
        match holds {
            true if *method == Method::GET => "the response to a GET may be stored".into(),
            true => format!("the response to this {method} says that it is what a GET would bring"),
            false => format!("the response to {method} is not stored"),
        }
    }

    fn kept(&self, holds: bool, head: &Head) -> String {
        let status = head.status();
        let stated = self.policy.stated(head);
        let is_error = status.is_client_error() || status.is_server_error();
        match (holds, &stated.field) {
            (true, Some(field)) if stated.source != Source::Heuristic => format!(
                "the response says how long it is fresh: {} s ({}, {field})",
                stated.duration.as_secs(),
                stated.source.word()
            ),
            (true, _) => format!(
                "status {} may be kept though the response does not say for how long",
                status.as_u16()
            ),
            (false, _) if is_error && storing::is_heuristically_cacheable(status) => {
                format!(
                    "the error {} is kept while it is fresh, and nothing says for how long",
                    status.as_u16()
                )
            }
            (false, _) => format!(
                "status {} is kept only when the response says how long it is fresh",
                status.as_u16()
            ),
        }
    }

    fn use_of(&self, holds: bool, head: &Head, now: SystemTime) -> String {
        let ttl = head.ttl(now);
        match holds {
            true if head.directives().no_cache => {
                "it is not used without asking the origin, but has a validator to ask with".into()
            }
            true if ttl > 0 => format!("it is fresh for {ttl} s"),
            true => "it is stale from the start, but may be of use to validation".into(),
            false => "it is not fresh, and has no validator to ask the origin with".into(),
        }
    }
}

#[cfg(test)]
mod tests;
