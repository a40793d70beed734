//! One request's way through the cache, top to bottom.

use std::{
    any::Any,
    borrow::Cow,
    mem,
    ops::ControlFlow::{self, Break, Continue},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use http::{Method, Request, Response, header::RANGE, request};
use http_body::Body;
use tower::{BoxError, Service, ServiceExt};

use super::{
    answer,
    body::ResponseBody,
    core::{Core, Landing, credentials},
    fetch::{Trip, asked},
    find::{Asking, Found, Wanted},
    flight::{self, Seat},
    gate::Ticket,
    judge::{Use, judge},
    patience::Patience,
    purge,
    returned::Returned,
    search::Sought,
    share::{self, Shared},
    spare,
};
use crate::{
    outcome::{Forward, Outcome},
    policy::{Admit, Head, Keep, Key, Reason, Vary},
    store::{Ask, Record, Seen, Store, Turn},
};

/// How often a request goes on to wait, or to lead, when a fetch that it waited for came to nothing.
const NEW_FLIGHTS: u32 = 1;

/// How often a request waits for another's fetch that takes long, elsewhere: each time, they show
/// anew that they are at it.
const WAITS: u32 = 12;

/// A request, and what is needed to answer it. It goes its way in a box: what is moved into a
/// future takes its place in each of them.
pub(super) struct Exchange<S, I, Q> {
    pub(super) core: Arc<Core<S>>,
    pub(super) inner: I,
    pub(super) parts: request::Parts,
    pub(super) body: Q,
    pub(super) copier: Option<Copier>,
    /// It was answered already, and is made for the rest of that answer's body.
    pub(super) is_spare: bool,
}

/// What a cache asks where it has no answer.
pub(super) trait Inner<Q>:
    Service<Request<Q>, Response = Response<Self::Body>, Future: Send, Error: Send>
    + Clone
    + Send
    + 'static
{
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<I, Q, R> Inner<Q> for I
where
    I: Service<Request<Q>, Response = Response<R>, Future: Send, Error: Send>
        + Clone
        + Send
        + 'static,
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = R;
}

/// How a request's body is copied, where it can be: a `fn(&Q) -> Option<Q>`.
pub(super) type Copier = Arc<dyn Any + Send + Sync>;

/// What becomes of a request.
pub(super) type Answer<I, Q> =
    Result<Response<ResponseBody<<I as Inner<Q>>::Body>>, <I as Service<Request<Q>>>::Error>;

/// What comes to an answer.
pub(super) type Way<I, Q> = Pin<Box<dyn Future<Output = Answer<I, Q>> + Send>>;

/// The answer, or a trip to the origin for it.
type Look<S, I, Q> = ControlFlow<Answer<I, Q>, (Box<Exchange<S, I, Q>>, Box<Trip>)>;

impl<S: Store, I: Inner<Q>, Q: Send + 'static> Exchange<S, I, Q> {
    /// Its way, in a box of its own: each takes the room that it needs, and no other's.
    pub(super) fn run(self: Box<Self>) -> Way<I, Q> {
        match self.core.debug_headers {
            true => Box::pin(self.run_shown()),
            false => self.answer(),
        }
    }

    async fn run_shown(self: Box<Self>) -> Answer<I, Q> {
        let (core, asked) = (Arc::clone(&self.core), asked(&self.parts));
        let mut res = self.answer().await?;
        answer::show(&mut res, &core.shown(&asked).await);
        Ok(res)
    }

    fn answer(self: Box<Self>) -> Way<I, Q> {
        match self.core.policy.admit(&self.parts) {
            Admit::Lookup => Box::pin(self.look_up()),
            Admit::Pass(reason) => Box::pin(self.pass(reason)),
            Admit::Invalidate => Box::pin(self.invalidate()),
        }
    }

    /// The cache has no part in it.
    async fn pass(self: Box<Self>, reason: Reason) -> Answer<I, Q> {
        let why = match reason {
            Reason::Method => Forward::Method,
            _ => Forward::Bypass,
        };
        let req = Request::from_parts(self.parts, self.body);
        let (parts, body) = self.inner.oneshot(req).await?.into_parts();
        let mut outcome = Outcome::forwarded(why);
        outcome.detail = Some(reason.word());
        let mut res = answer::passed(parts, body);
        answer::tell(&mut res, outcome);
        Ok(res)
    }

    /// An unsafe method: what it changed is forgotten before its answer goes out (§4.4). The
    /// answer to a POST may be what a GET would bring (RFC 9110 §9.3.3): then it is stored.
    async fn invalidate(self: Box<Self>) -> Answer<I, Q> {
        let core = self.core;
        let asked = asked(&self.parts);
        let key = Key::of(&asked);
        let mut ticket = Some((core.gate.ticket(), Seen::NOTHING));
        let mut patience = core.patience();
        let req = Request::from_parts(self.parts, self.body);
        let sent = core.clock.now();
        let (res, body) = self.inner.oneshot(req).await?.into_parts();
        let received = core.clock.now();
        for changed in core.policy.invalidated(&asked, &res) {
            match ticket {
                Some((before, _)) if changed == key => {
                    ticket = core.supersede(&key, before, &mut patience).await;
                }
                // A store that cannot forget now has an expiry, and cannot be waited for.
                _ => drop(core.purge(&changed, &mut patience).await),
            }
        }
        let groups = core.policy.invalidated_groups(&asked, &res);
        if !groups.is_empty() {
            purge::groups(&core, key.clone(), groups, &mut patience).await;
        }
        let head = core.policy.head(&asked, &res, sent, received);
        let keep = core.policy.keep(&asked, &head, received);
        let (Keep::For(_), Some((ticket, seen))) = (keep, ticket) else {
            let mut res = answer::passed(res, body);
            answer::tell(&mut res, Outcome::forwarded(Forward::Method));
            return Ok(res);
        };
        let trip = Box::new(Trip {
            key,
            asked: None,
            found: Found {
                seen,
                ..Found::NOTHING
            },
            why: Forward::Method,
            detail: None,
            answered: None,
            ticket,
            lead: None,
            patience,
        });
        let returned = Returned {
            core,
            trip,
            asked,
            res,
            sent,
            received,
        };
        Ok(returned.new_response(body, false))
    }

    /// §4: answers from the store, or from a fetch that is under way, or goes to the origin.
    pub(super) async fn look_up(self: Box<Self>) -> Answer<I, Q> {
        // The room that it takes is free again while the origin is asked.
        match Box::pin(self.look()).await {
            Break(answer) => answer,
            Continue((exchange, trip)) => exchange.fetch(trip).await,
        }
    }

    async fn look(self: Box<Self>) -> Look<S, I, Q> {
        let core = Arc::clone(&self.core);
        let exact = Key::of(&self.parts);
        let mut hint: Option<Arc<Vary>> = None;
        let mut patience = core.patience();
        let asks = core.store.is_shared() && self.asks_others();
        // What others are asked about though it is stored, as it is stale.
        let mut about: Option<Key> = None;
        let mut held: Option<flight::Lead<_>> = None;
        let mut waits = WAITS;
        let mut new_flights = NEW_FLIGHTS;
        loop {
            let asking = match &about {
                _ if !asks => Asking::Nobody,
                None => Asking::Others,
                Some(key) => Asking::About(key),
            };
            let ticket = core.gate.ticket();
            let now = core.clock.now();
            let wanted = Wanted {
                key: &exact,
                hint: hint.as_ref(),
                req: &self.parts,
                asking,
            };
            let Sought {
                mut found,
                same,
                seen,
            } = core.seek(wanted, &mut patience).await;
            let key = same.map_or(Cow::Borrowed(&exact), Cow::Owned);
            if self.is_spare {
                found = found.at_hand(); // It is where the body was lost.
            }
            let reuse = |head: &Head| core.policy.reuse(head, &self.parts, now);
            let (why, detail) = match judge(&found, &core.policy, &self.parts, reuse) {
                Use::Whole { entry, age, ttl } => {
                    entry.body.verdict().count_hit();
                    let hit = Outcome::hit(ttl);
                    let res = answer::entry(&core, &self.parts, entry, age, hit);
                    return Break(self.hit(res, 0));
                }
                Use::Stale { entry, age, ttl } => {
                    entry.body.verdict().count_hit();
                    let hit = Outcome::hit(ttl);
                    let res = answer::entry(&core, &self.parts, entry, age, hit);
                    let (key, asked) = named(key, &exact);
                    let twin = self.twin(entry);
                    self.revalidate_behind(key, asked, found, ticket);
                    return Break(spare::hit_by(twin, res));
                }
                Use::Part {
                    part,
                    ranges,
                    age,
                    ttl,
                } => {
                    part.body.verdict().count_hit();
                    let hit = Outcome::hit(ttl);
                    let before = part.head.part().map_or(0, |part| part.range.first);
                    let res = answer::part(&core, &self.parts, part, &ranges, age, hit);
                    return Break(self.hit(res, before));
                }
                Use::Forward(why, detail) => (why, detail),
            };
            if core.policy.only_if_cached(&self.parts) {
                return Break(Ok(answer::only_if_cached()));
            }
            let (key, asked) = named(key, &exact);
            let mut trip = Box::new(Trip {
                key,
                asked,
                found,
                why,
                detail,
                answered: None,
                ticket,
                lead: None,
                patience: patience.clone(),
            });
            if !self.may_wait(&trip) {
                return Continue((self, trip));
            }
            let since = trip.found.seen.nonce;
            let has_seat = held.take().filter(|lead| lead.key() == trip.seat());
            let seat = if let Some(lead) = has_seat {
                Seat::Lead(lead)
            } else if self.wants_part(&trip) {
                // What it would fetch is a part, and no use to those who want another.
                match core.flights.follow(trip.seat(), since) {
                    Some(follow) => Seat::Follow(follow),
                    None => return Continue((self, trip)),
                }
            } else {
                core.flights.board(trip.seat(), since)
            };
            match seat {
                Seat::Lead(lead) => {
                    if core.changes.seen(&trip.key) != seen || core.gate.ticket() != ticket {
                        continue; // what was not found may be there by now
                    }
                    match mem::take(&mut trip.found.turn) {
                        // Those who wait here go on waiting for this one.
                        Turn::Others(wait) if waits > 0 => {
                            drop(trip);
                            waits = match wait.over().await {
                                true => 0, // If it is not here now, it is of no use.
                                false => waits - 1,
                            };
                            held = Some(lead);
                            continue;
                        }
                        Turn::Free if asks && about.is_none() && trip.found.entry.is_some() => {
                            about = Some(trip.seat().clone());
                            held = Some(lead);
                            continue;
                        }
                        turn => trip.found.turn = turn,
                    }
                    trip.lead = Some(lead);
                    return Continue((self, trip));
                }
                Seat::Follow(follow) if follow.waiting() > core.max_waiting => {
                    core.turned_away.fetch_add(1, Ordering::Relaxed);
                    return Break(Ok(answer::too_many(why)));
                }
                Seat::Follow(follow) => {
                    let waits = follow.waiting() > 0;
                    let landing = follow.landing().await;
                    if matches!(landing, None | Some(Landing::Failed { .. })) && new_flights > 0 {
                        new_flights -= 1;
                        continue; // one of us leads now
                    }
                    let of_use = |landing: &Landing| !self.is_spare || landing.is_at_hand();
                    let landing = landing.filter(of_use).unwrap_or(Landing::Alone);
                    let mark = hint.as_ref().or(trip.found.marker.as_ref());
                    match share::share(&core, &self.parts, landing, (why, waits), mark) {
                        Shared::Answer(res) => return Break(self.hit(*res, 0)),
                        Shared::LookBy(vary) => hint = Some(vary),
                        Shared::Nothing => return Continue((self, trip)),
                    }
                }
            }
        }
    }

    /// Whether others who share the store are to wait for what this request fetches, or it for
    /// what they do.
    fn asks_others(&self) -> bool {
        let whole = !self.parts.headers.contains_key(RANGE)
            || self.core.policy.is_range_of_all(&self.parts);
        self.parts.method != Method::HEAD && whole
    }

    /// Whether this request would be sent on as one for a part. Without a stored response only the
    /// origin knows whether the whole would be as cheap, so the range is not taken out; unless it
    /// is one of all bytes.
    fn wants_part(&self, trip: &Trip) -> bool {
        trip.found.entry.is_none()
            && self.parts.headers.contains_key(RANGE)
            && !self.core.policy.is_range_of_all(&self.parts)
    }

    /// Whether this request may wait for another's fetch.
    fn may_wait(&self, trip: &Trip) -> bool {
        let insists = trip.why == Forward::Request;
        self.parts.method != Method::HEAD && !insists && {
            let (alone, now) = (credentials(&self.parts), self.core.clock.now());
            !self.core.shy.knows(&trip.key, alone, now)
        }
    }

    /// Fetches anew what was just served stale, once, behind the client's back (RFC 5861 §3).
    fn revalidate_behind(
        mut self: Box<Self>,
        key: Key,
        asked: Option<Key>,
        found: Found,
        ticket: Ticket,
    ) {
        let mut trip = Box::new(Trip {
            key,
            asked,
            found,
            why: Forward::Stale,
            detail: None,
            answered: None,
            ticket,
            lead: None,
            patience: Patience::endless(),
        });
        let Seat::Lead(lead) = self.core.flights.board(trip.seat(), trip.found.seen.nonce) else {
            return;
        };
        trip.lead = Some(lead);
        if self.parts.method == Method::HEAD {
            self.parts.method = Method::GET;
        }
        tokio::spawn(async move {
            if is_elsewhere(&self.core, &mut trip, &self.parts).await {
                return;
            }
            // The body is received by a task of its own: nobody need read it here.
            let _ = self.fetch(trip).await;
        });
    }
}

/// Whether another who shares the store fetches what is stale here, or has fetched it.
async fn is_elsewhere<S: Store>(core: &Core<S>, trip: &mut Trip, req: &request::Parts) -> bool {
    if !core.store.is_shared() {
        return false;
    }
    let asked = core
        .store
        .get_or_turn(trip.seat(), Ask::Always, &req.headers);
    let (looked, turn) = asked.await.unwrap_or_default();
    let is_fresh = match &looked.record {
        Some(Record::Response(entry)) => entry.head.is_fresh(core.clock.now()),
        _ => false,
    };
    let is_elsewhere = is_fresh || matches!(turn, Turn::Others(_));
    trip.found.turn = turn;
    is_elsewhere
}

/// The key of a trip, and that of the URI that was asked for where it is another.
fn named(key: Cow<'_, Key>, exact: &Key) -> (Key, Option<Key>) {
    match key {
        Cow::Borrowed(key) => (key.clone(), None),
        Cow::Owned(key) => (key, Some(exact.clone())),
    }
}
