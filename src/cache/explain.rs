//! What is stored for a URL, and what would become of a request for it now, and why.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, StatusCode, request};

use super::{
    core::Core,
    explanation::{Decision, Explanation, Selecting, Stored},
    find::Found,
    judge::{Use, judge},
    patience::Patience,
};
use crate::{
    outcome::Forward,
    policy::{Admit, Digest, Head, Key, Precondition, Reason, Selected, Step, Vary},
    store::{Entry, EntryId, Front, Payload, Store, StoreError, Sweep},
};

/// What is stored under a URL.
#[derive(Default)]
struct Shelf {
    marker: Option<Arc<Vary>>,
    stored: Vec<Stored>,
    count: u64,
}

impl<S: Store> Core<S> {
    pub(super) async fn explain(&self, req: &request::Parts) -> Result<Explanation, StoreError> {
        let mut key = Key::of(req);
        let now = self.clock.now();
        let mut wanted = self.store.peek(&key).await?;
        let mut same = None;
        if wanted.is_none()
            && let Some(search) = self.search(&key, &mut Patience::endless()).await
        {
            key = search.key(&key);
            wanted = self.store.peek(&key).await?;
            let what = "the path has a rule by which this URL is the same as others";
            same = Some(Step::new("No-Vary-Search §4", what, true));
        }
        let shelf = self.shelf(&key, wanted, req).await?;
        let (admit, steps) = self.policy.explain_admit(req);
        let mut explanation = Explanation {
            key,
            varies_by: shelf
                .marker
                .iter()
                .flat_map(|vary| vary.fields.names().to_vec())
                .collect(),
            stored: shelf.stored,
            count: shelf.count,
            now,
            decision: Decision::Invalidate,
            status: None,
            forward: Some(Forward::Method),
            reason: None,
            steps,
        };
        match admit {
            Admit::Invalidate => {}
            Admit::Pass(reason) => {
                explanation.decision = Decision::Pass;
                explanation.reason = Some(reason);
                if reason != Reason::Method {
                    explanation.forward = Some(Forward::Bypass);
                }
            }
            Admit::Lookup => {
                explanation.steps.extend(same);
                self.explain_lookup(req, shelf.marker, &mut explanation);
            }
        }
        Ok(explanation)
    }

    /// Everything under `key`, of which `front` is what is under the key itself.
    async fn shelf(
        &self,
        key: &Key,
        front: Option<Front>,
        req: &request::Parts,
    ) -> Result<Shelf, StoreError> {
        let mut shelf = Shelf::default();
        let vary = match front {
            None => return Ok(shelf),
            Some(Front::Vary(vary)) => vary,
            Some(front) => {
                shelf.stored.extend(self.stored(&front, Vec::new(), true));
                shelf.count = 1;
                return Ok(shelf);
            }
        };
        let start = key.start_of_variants(&vary);
        let own = vary.key(key, req);
        let found = Mutex::new(Shelf::default());
        let look = |variant: &Key, front: &Front| {
            let selection = variant.as_str().strip_prefix(&start).unwrap_or_default();
            let selecting = Selecting::read(&vary, selection);
            let selected = *variant == own;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stored) = self.stored(front, selecting, selected) {
                found.count += 1;
                // The one that is asked for is told of in any case.
                if selected || found.stored.len() < Explanation::NAMED {
                    found.stored.push(stored);
                }
            }
            Sweep::Keep
        };
        self.store.sweep(&start, None, &look).await?;
        let mut shelf = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        shelf.stored.sort_by_key(|stored| !stored.selected);
        shelf.stored.truncate(Explanation::NAMED);
        shelf.marker = Some(vary);
        Ok(shelf)
    }

    fn stored(&self, front: &Front, selecting: Vec<Selecting>, selected: bool) -> Option<Stored> {
        let Front::Response {
            head, size, hits, ..
        } = front
        else {
            return None;
        };
        Some(Stored {
            selecting,
            selected,
            stated: self.policy.stated(head),
            stale_while_revalidate: self.policy.stale_while_revalidate_window(head),
            stale_if_error: self.policy.stale_if_error_window(head),
            head: Arc::clone(head),
            size: *size,
            hits: *hits,
        })
    }

    /// The rest of the story of a request for which the cache looks into its store.
    fn explain_lookup(
        &self,
        req: &request::Parts,
        marker: Option<Arc<Vary>>,
        told: &mut Explanation,
    ) {
        let selected = told.stored.iter().find(|stored| stored.selected);
        let size = selected.and_then(|stored| stored.size);
        let entry = selected.map(|stored| Entry {
            id: EntryId(0),
            head: Arc::clone(&stored.head),
            body: Payload::default(), // a decision is about heads
        });
        told.steps
            .extend(of_found(told, marker.is_some(), entry.is_some()));
        let found = Found {
            is_query: Digest::of(req).is_some(),
            ..Found::with(marker, None, entry)
        };
        let mut steps = Vec::new();
        let reuse = |head: &Head| {
            let (reuse, why) = self.policy.explain_reuse(head, req, told.now);
            steps = why;
            reuse
        };
        let used = judge(&found, &self.policy, req, reuse);
        told.steps.append(&mut steps);
        told.forward = None;
        match used {
            Use::Whole { entry, .. } => {
                told.decision = Decision::Hit;
                self.explain_answer(req, &entry.head, size, told);
            }
            Use::Stale { entry, .. } => {
                told.decision = Decision::StaleWhileRevalidate;
                self.explain_answer(req, &entry.head, size, told);
            }
            Use::Part { part, .. } => {
                told.decision = Decision::Hit;
                let what = "the stored part holds all that the request asks for";
                told.steps.push(Step::new("RFC 9111 §3.3", what, true));
                self.explain_answer(req, &part.head, None, told);
            }
            Use::Forward(why, reason) => {
                told.forward = Some(why);
                told.reason = reason;
                if why == Forward::Partial {
                    let what = "only a part is stored, and not all that the request asks for";
                    told.steps.push(Step::new("RFC 9111 §3.3", what, false));
                }
                self.explain_forward(req, found.entry.as_ref(), told);
            }
        }
    }

    /// What goes out of a stored response.
    fn explain_answer(
        &self,
        req: &request::Parts,
        head: &Head,
        size: Option<u64>,
        told: &mut Explanation,
    ) {
        const CONDITIONS: &str = "RFC 9110 §13.2.2";
        const RANGES: &str = "RFC 9110 §14.2";
        let ranges = size.map(|size| self.policy.select(req, head, size));
        let (status, step) = match (self.policy.precondition(req, head), ranges) {
            (Precondition::NotModified, _) => {
                let what = "the client has it already, by its own condition: 304";
                (
                    StatusCode::NOT_MODIFIED,
                    Some(Step::new(CONDITIONS, what, true)),
                )
            }
            (Precondition::Failed, _) => {
                let what = "the stored response is not what the client's condition asks for: 412";
                (
                    StatusCode::PRECONDITION_FAILED,
                    Some(Step::new(CONDITIONS, what, false)),
                )
            }
            (Precondition::Proceed, Some(Selected::Parts(_))) => {
                let what = "the request wants a part of it: 206";
                (
                    StatusCode::PARTIAL_CONTENT,
                    Some(Step::new(RANGES, what, true)),
                )
            }
            (Precondition::Proceed, Some(Selected::Unsatisfiable)) => {
                let what = "it has no such part: 416";
                (
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    Some(Step::new(RANGES, what, false)),
                )
            }
            (Precondition::Proceed, _) => (head.status(), None),
        };
        told.status = Some(status);
        told.steps.extend(step);
    }

    /// How the origin is asked, if it may be.
    fn explain_forward(&self, req: &request::Parts, entry: Option<&Entry>, told: &mut Explanation) {
        if self.policy.only_if_cached(req) {
            told.decision = Decision::OnlyIfCached;
            told.status = Some(StatusCode::GATEWAY_TIMEOUT);
            told.forward = None;
            told.reason = Some(Reason::OnlyIfCached);
            let what = "the request says only-if-cached: the origin may not be asked";
            told.steps.push(Step::new("RFC 9111 §5.2.1.7", what, false));
            return;
        }
        let can_validate = entry.is_some_and(|entry| entry.head.has_validator());
        told.decision = match can_validate {
            true => Decision::Revalidate,
            false => Decision::Miss,
        };
        if entry.is_some() {
            let what = match can_validate {
                true => "the stored response has a validator to ask the origin with",
                false => "the stored response has no validator: it is fetched anew",
            };
            let step = Step::new("RFC 9111 §4.3.1", what, can_validate);
            told.steps.push(step);
        }
    }
}

/// What a look under the key and, where there are variants, for the right one came to.
fn of_found(told: &Explanation, has_variants: bool, selected: bool) -> Vec<Step> {
    let (count, by) = (told.count, &told.varies_by);
    if count == 0 {
        return vec![Step::new(
            "RFC 9111 §4",
            "nothing is stored for this URL",
            false,
        )];
    }
    let stored = Step::new("RFC 9111 §4", "a response is stored for this URL", true);
    if !has_variants {
        return vec![stored];
    }
    let names: Vec<&str> = by.iter().map(HeaderName::as_str).collect();
    let names = match names[..] {
        [] => "what is asked".to_owned(),
        _ => names.join(", "),
    };
    let what = match selected {
        true => format!("the request selects one of the stored variants ({count}), by {names}"),
        false => format!("the request selects none of the stored variants ({count}), by {names}"),
    };
    vec![stored, Step::new("RFC 9111 §4.1", what, selected)]
}
