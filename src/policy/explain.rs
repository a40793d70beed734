//! Why: the rules that were applied on the way to a decision, told one by one.
//!
//! Nothing is decided here. The functions that decide show each rule that they apply to a
//! [`Witness`](super::rules::Witness); for a request that is to be explained it is a [`Teller`], which puts it into words.
//! So what is told is what is done, in the order in which it is done.

mod teller;

use std::time::{Duration, SystemTime};

use http::{
    HeaderName,
    header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED},
    request,
};

use self::teller::Teller;
use super::{Admit, Head, Keep, Policy, Reuse, Source, freshness, reuse, storing};

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

#[cfg(test)]
mod tests;
