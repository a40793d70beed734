//! Asking the origin.

use std::{sync::Arc, time::SystemTime};

use http::{Method, Request, Response, StatusCode, header::RANGE, request};
use http_body_util::Either;
use tower::{ServiceExt, util::Oneshot};

use super::{
    answer,
    body::ResponseBody,
    core::{Core, Landing, credentials},
    exchange::{Answer, Exchange, Inner, Way},
    find::Found,
    flight::Lead,
    gate::Ticket,
    parts::at_hand,
    patience::Patience,
    returned::Returned,
    spare,
};
use crate::{
    outcome::{Forward, Outcome},
    policy::{Content, Key, Reason},
    store::{Entry, Seen, Store, Turn},
};

/// A request on its way to the origin. It is handed on in a box: see [`Exchange`].
pub(super) struct Trip {
    pub(super) key: Key,
    /// The key of the URI that was asked for, where `key` is that of all that is the same by the
    /// rule of its path.
    pub(super) asked: Option<Key>,
    pub(super) found: Found,
    pub(super) why: Forward,
    pub(super) detail: Option<Reason>,
    /// The status that the origin answered, where the client is told another.
    pub(super) answered: Option<StatusCode>,
    pub(super) ticket: Ticket,
    /// The seat, where others may wait for this.
    pub(super) lead: Option<Lead<Landing>>,
    /// What the request may still wait for the store.
    pub(super) patience: Patience,
}

impl Trip {
    /// The key of the URI that was asked for.
    pub(super) fn exact(&self) -> &Key {
        self.asked.as_ref().unwrap_or(&self.key)
    }

    /// The key of what is asked for: the variant's, where there are variants.
    pub(super) fn seat(&self) -> &Key {
        self.found.variant.as_ref().unwrap_or(&self.key)
    }

    /// What is known of a key under which the response is stored.
    pub(super) fn seen_of(&self, key: &Key) -> Seen {
        match &self.found.variant {
            _ if *key == self.key => self.found.seen,
            Some(variant) if variant == key => self.found.variant_seen,
            _ => self.found.seen.elsewhere(),
        }
    }

    /// Tells those who wait, if any may.
    pub(super) fn announce(&self, landing: Landing) {
        if let Some(lead) = &self.lead {
            lead.announce(landing);
        }
    }

    /// Tells those who wait that there was no answer. They may go on to another flight of the same
    /// key, so this one is closed before.
    fn has_failed(&self, usual: bool) {
        if let Some(lead) = &self.lead {
            lead.close();
            lead.announce(Landing::Failed { usual });
        }
    }

    /// What is fetched is of no use to those who wait for it elsewhere; nor is what comes next, if
    /// nobody was named who alone may have it.
    pub(super) fn is_in_vain(&self, alone: bool) {
        if let Turn::Mine(lease) = &self.found.turn
            && !alone
        {
            lease.is_in_vain();
        }
    }

    /// Forgets what is stored of what is asked for.
    pub(super) async fn forget<S: Store>(&mut self, core: &Arc<Core<S>>) {
        let (core, seat) = (Arc::clone(core), self.seat().clone());
        let removal = async move { core.store.remove(&seat).await };
        // A store that cannot forget now has an expiry, and cannot be waited for.
        let _ = self.patience.see_through(Box::pin(removal)).await;
    }

    /// What to tell of it, as far as it is known before the origin answers.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome {
            detail: self.detail.map(Reason::word),
            forward_status: self.answered,
            ..Outcome::forwarded(self.why)
        }
    }
}

/// A request once more.
type Twin<S, I, Q> = Box<Exchange<S, I, Q>>;

/// A trip whose request is with the origin.
struct Away<S, I, Q> {
    core: Arc<Core<S>>,
    trip: Box<Trip>,
    /// The request as the client made it.
    asked: request::Parts,
    sent: SystemTime,
    /// A part, of which the rest was asked for.
    part: Option<Entry>,
    /// The request once more, should the origin's answer make nothing of what is stored.
    twin: Option<Twin<S, I, Q>>,
    /// The client's own conditions and ranges are answered here, from the whole response.
    ours: bool,
    /// It asks whether what is stored still holds.
    conditional: bool,
}

/// What is to be answered: it is known, or takes more than few answers do.
type Arrival<I, Q> = Either<Answer<I, Q>, Way<I, Q>>;

impl<S: Store, I: Inner<Q>, Q: Send + 'static> Exchange<S, I, Q> {
    /// Asks whether what is stored still holds (§4.3), or for the whole response.
    pub(super) async fn fetch(self: Box<Self>, mut trip: Box<Trip>) -> Answer<I, Q> {
        let part = match self.part_of(&trip) {
            Some(part) => Box::pin(at_hand(part, &mut trip.patience)).await,
            None => None,
        };
        let (asking, away) = (*self).depart(trip, part);
        match away.arrived(asking.await) {
            Either::Left(answer) => answer,
            Either::Right(later) => later.await,
        }
    }

    /// Asks for the whole response, as nothing is stored for this any more.
    fn anew(self: Box<Self>, mut trip: Box<Trip>) -> Way<I, Q> {
        (trip.found.entry, trip.found.part) = (None, None);
        Box::pin(self.fetch(trip))
    }

    /// The stored part that the rest may be asked for to.
    fn part_of(&self, trip: &Trip) -> Option<Entry> {
        let part = trip.found.part.as_ref()?;
        let complete = part.head.part().and_then(|part| part.complete);
        let small = complete.is_some_and(|complete| complete <= self.core.max_object);
        let asked = &self.parts;
        let whole = asked.method != Method::HEAD && !asked.headers.contains_key(RANGE);
        (small && whole).then(|| part.clone())
    }

    /// Sends the request.
    fn depart(
        self,
        trip: Box<Trip>,
        part: Option<Entry>,
    ) -> (Oneshot<I, Request<Q>>, Away<S, I, Q>) {
        let old = trip.found.entry.as_ref();
        let twin = old.or(part.as_ref()).and_then(|_| self.copy());
        let part = part.filter(|_| twin.is_some());
        let Exchange {
            core,
            inner,
            mut parts,
            body,
            ..
        } = self;
        let asked = asked(&parts);
        let ours = old.is_some() || trip.lead.is_some() || part.is_some();
        let stored = old.map(|old| &*old.head);
        let conditional = ours && core.policy.make_conditional(&mut parts.headers, stored);
        // Of a stored part, only the rest (§3.4).
        let part = part.filter(|part| core.policy.ask_for_rest(&mut parts.headers, &part.head));
        let away = Away {
            sent: core.clock.now(),
            core,
            trip,
            asked,
            part,
            twin,
            ours,
            conditional,
        };
        (inner.oneshot(Request::from_parts(parts, body)), away)
    }
}

impl<S: Store, I: Inner<Q>, Q: Send + 'static> Away<S, I, Q> {
    /// The origin has answered, or has not.
    fn arrived(self, result: Result<Response<I::Body>, I::Error>) -> Arrival<I, Q> {
        let Away {
            core,
            trip,
            asked,
            sent,
            part,
            twin,
            ours,
            conditional,
        } = self;
        let received = core.clock.now();
        let old = trip.found.entry.clone();
        let status = result.as_ref().map(Response::status).ok();
        if status.is_none_or(|status| status.is_server_error())
            && let Some(old) = &old
            && let Some((age, ttl)) = core.policy.stale_if_error(&old.head, &asked, received)
        {
            trip.announce(Landing::Stale(old.clone()));
            let outcome = Outcome {
                forward_status: status,
                ttl: Some(ttl),
                ..trip.outcome()
            };
            let res = answer::entry(&core, &asked, old, age, outcome);
            return Either::Left(spare::hit_by(twin, res));
        }
        let (res, body) = match result {
            Ok(res) => res.into_parts(),
            Err(error) => {
                trip.has_failed(core.policy.is_usual(&asked) && !credentials(&asked));
                return Either::Left(Err(error));
            }
        };
        let returned = Returned {
            core,
            trip,
            asked,
            res,
            sent,
            received,
        };
        if let Some(part) = part
            && matches!(
                status,
                Some(StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE)
            )
        {
            let completed = async move {
                let res = returned.completed(part, body).await;
                answered(res, twin).await
            };
            return Either::Right(Box::pin(completed));
        }
        let told = returned.asked.method == Method::HEAD && status == Some(StatusCode::OK);
        match old.or_else(|| returned.trip.found.part.clone()) {
            Some(old) if conditional && status == Some(StatusCode::NOT_MODIFIED) => {
                let validated = async move {
                    let res = returned.validated(old, twin.is_some()).await;
                    answered(res, twin).await
                };
                Either::Right(Box::pin(validated))
            }
            Some(old) if told => {
                let told = async move { Ok(returned.told_by_head(old, body).await) };
                Either::Right(Box::pin(told))
            }
            _ => Either::Left(Ok(returned.new_response(body, ours))),
        }
    }
}

/// Answers with what is stored; or as the origin does where it is asked again, as it made nothing of
/// that.
async fn answered<S: Store, I: Inner<Q>, Q: Send + 'static>(
    res: Result<Response<ResponseBody<I::Body>>, Box<Trip>>,
    twin: Option<Twin<S, I, Q>>,
) -> Answer<I, Q> {
    match (res, twin) {
        (Ok(res), twin) => spare::hit_by(twin, res),
        (Err(trip), Some(twin)) => twin.anew(trip).await,
        (Err(trip), None) => {
            trip.announce(Landing::Alone);
            Ok(answer::senseless(trip.outcome()))
        }
    }
}

/// The head of a request as the client sent it, for the rules: of extensions they look at what is
/// known of its content alone.
pub(super) fn asked(parts: &request::Parts) -> request::Parts {
    let mut copy = Request::new(()).into_parts().0;
    copy.method = parts.method.clone();
    copy.uri = parts.uri.clone();
    copy.version = parts.version;
    copy.headers = parts.headers.clone();
    if let Some(content) = parts.extensions.get::<Content>() {
        copy.extensions.insert(*content);
    }
    copy
}
