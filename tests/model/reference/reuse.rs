//! RFC 9111 §4: whether a stored response may answer a request, by its age and by what both say.

use super::{Reference, says, stored::Stored};

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Hit,
    /// Answer, and validate behind the client's back (RFC 5861 §3).
    HitAndRefresh,
    /// Ask the origin, for this reason (RFC 9211 §2.2).
    Ask(&'static str),
}

impl Reference {
    pub(super) fn reuse(&self, wanted: &says::Request, stored: &Stored, now: i64) -> Verdict {
        let (age, ttl) = (stored.age(now), stored.ttl(now));
        let fresh = ttl > 0;
        if stored.says.no_cache {
            return Verdict::Ask("stale"); // §5.2.2.4
        }
        let insists = Verdict::Ask(if fresh { "request" } else { "stale" });
        if wanted.no_cache {
            return insists; // §5.2.1.4
        }
        let young = wanted.max_age.is_none_or(|limit| age <= limit);
        if fresh {
            // A client that says `max-age=0` reloads; RFC 8246 §2 spares what is immutable.
            let young = stored.says.immutable || young && wanted.max_age != Some(0);
            let lasts = wanted.min_fresh.is_none_or(|least| ttl >= least);
            return if young && lasts {
                Verdict::Hit
            } else {
                insists
            };
        }
        if !young || wanted.min_fresh.is_some() || stored.says.forbids_stale() {
            return insists; // §4.2.4
        }
        let window = stored.says.stale_while_revalidate;
        let window = window.or(self.settings.stale_while_revalidate);
        match wanted.max_stale {
            Some(accepted) if -ttl <= accepted => Verdict::Hit,
            None if window.is_some_and(|window| -ttl <= window) => Verdict::HitAndRefresh,
            _ => insists,
        }
    }

    /// RFC 5861 §4.
    pub(super) fn stands_in(&self, wanted: &says::Request, stored: &Stored, now: i64) -> bool {
        let window = stored.says.stale_if_error.or(self.settings.stale_if_error);
        let window = window.max(wanted.stale_if_error);
        let stale = -stored.ttl(now);
        !wanted.no_cache
            && !stored.says.forbids_stale()
            && window.is_some_and(|window| stale <= window)
    }
}
