//! Rules, and what they find, in words.

use std::time::{Duration, SystemTime};

use http::{
    Method,
    header::{AUTHORIZATION, COOKIE, IF_RANGE},
    request,
};

use super::Step;
use crate::policy::{
    Head, Policy, RequestDirectives, Source,
    content::is_query,
    rules::{Rule, Witness},
    storing,
};

/// Tells what it is shown.
pub(super) struct Teller<'a> {
    policy: &'a Policy,
    req: &'a request::Parts,
    /// With the time at which it is looked at.
    head: Option<(&'a Head, SystemTime)>,
    pub(super) steps: Vec<Step>,
}

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
        (Rule::Read, false) if is_query(method) => {
            "a QUERY is answered by its content, and what that is was not told".into()
        }
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
    pub(super) fn new(
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
