//! What a follower makes of what its flight came to: only what suits its own request, too.

use std::sync::Arc;

use http::{
    Response,
    header::{AGE, RANGE},
    request,
};

use super::{
    answer,
    body::ResponseBody,
    core::{Core, Landing, Live},
};
use crate::{
    outcome::{Forward, Outcome},
    policy::{Key, Reuse, Vary},
    store::Store,
};

/// See the module.
pub(super) enum Shared<R> {
    /// This answers the request.
    Answer(Box<Response<ResponseBody<R>>>),
    /// It is another variant than the request's: look again, by this mark.
    LookBy(Arc<Vary>),
    /// Nothing that the request may use.
    Nothing,
}

/// Shares `landing` with a request that was forwarded because of `why`, perhaps has waited for it,
/// and has looked by `mark` already.
pub(super) fn share<S: Store, R>(
    core: &Core<S>,
    req: &request::Parts,
    landing: Landing,
    (why, waited): (Forward, bool),
    mark: Option<&Arc<Vary>>,
) -> Shared<R> {
    let now = core.clock.now();
    let answer = match &landing {
        Landing::Failed { usual: true } => Some(answer::failed(why)),
        Landing::Failed { usual: false } | Landing::Alone => None,
        Landing::Stored(entry) => {
            let usable = reusable(core.policy.reuse(&entry.head, req, now));
            usable.map(|(age, ttl)| answer::entry(core, req, entry, age, collapsed(why, ttl)))
        }
        Landing::Stale(entry) => {
            let usable = core.policy.stale_if_error(&entry.head, req, now);
            usable.map(|(age, ttl)| answer::entry(core, req, entry, age, collapsed(why, ttl)))
        }
        // By a rule that its answer took back, or made another.
        Landing::Live(live) if !live.answers(&Key::of(req)) => None,
        // It may have been purged by another who shares the store.
        Landing::Live(live) if !core.store.is_heard_since(live.seen) => None,
        Landing::Live(live) => match other_variant(live, req) {
            Some(vary) if mark.is_some_and(|mark| mark.epoch == vary.epoch) => None,
            Some(vary) => return Shared::LookBy(vary),
            None => {
                let usable = reusable(core.policy.reuse(&live.head, req, now));
                usable.and_then(|(age, ttl)| join(core, req, live, (why, waited), age, ttl))
            }
        },
    };
    answer.map_or(Shared::Nothing, |res| Shared::Answer(Box::new(res)))
}

/// The mark of the variants, when what landed is not the one that the request asks for.
fn other_variant(live: &Live, req: &request::Parts) -> Option<Arc<Vary>> {
    let variant = live.variant.as_ref()?;
    let own = variant.vary.select(req);
    (own != variant.selection).then(|| Arc::clone(&variant.vary))
}

/// Reads along with a body that is being received.
fn join<S: Store, R>(
    core: &Core<S>,
    req: &request::Parts,
    live: &Live,
    (why, waited): (Forward, bool),
    age: u64,
    ttl: i64,
) -> Option<Response<ResponseBody<R>>> {
    let finished = !waited && live.recording.is_finished();
    let reader = live.recording.reader()?;
    let length = live.recording.length();
    if length.is_none() && req.headers.contains_key(RANGE) {
        return None; // where the range lies is known when all has come: the origin may know now
    }
    let mut res = answer::unmet(&core.policy, req, &live.head).unwrap_or_else(|| {
        let head = answer::with_head(&live.head, ());
        answer::live(&core.policy, req, &live.head, head, reader, length)
    });
    res.headers_mut().insert(AGE, age.into());
    if core.inspect.is_some() {
        res.extensions_mut().insert(live.verdict.clone());
    }
    let outcome = if finished {
        live.verdict.count_hit();
        Outcome::hit(ttl)
    } else {
        collapsed(why, ttl)
    };
    answer::tell(&mut res, outcome);
    Some(res)
}

fn collapsed(why: Forward, ttl: i64) -> Outcome {
    Outcome {
        collapsed: true,
        ttl: Some(ttl),
        ..Outcome::forwarded(why)
    }
}

fn reusable(reuse: Reuse) -> Option<(u64, i64)> {
    match reuse {
        Reuse::Fresh { age, ttl } | Reuse::StaleWhileRevalidate { age, ttl } => Some((age, ttl)),
        Reuse::Validate { .. } => None,
    }
}
