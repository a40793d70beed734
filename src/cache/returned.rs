//! What becomes of the origin's answer.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    Method, Response,
    header::{CONTENT_LENGTH, SET_COOKIE},
    request, response,
};
use http_body::Body;
use tower::BoxError;

use super::{
    answer,
    body::ResponseBody,
    core::{Core, Landing, Live, credentials},
    fetch::Trip,
    fill::{Fill, begin},
    recording::record,
};
use crate::{
    outcome::Outcome,
    policy::{Head, Keep, Reason},
    store::{Entry, Store, Verdict},
};

/// A response's head, what was asked, and when.
pub(super) struct Returned<S> {
    pub(super) core: Arc<Core<S>>,
    pub(super) trip: Box<Trip>,
    pub(super) asked: request::Parts,
    pub(super) res: response::Parts,
    pub(super) sent: SystemTime,
    pub(super) received: SystemTime,
}

impl<S: Store> Returned<S> {
    /// The origin says that `old` holds: freshens it, and answers with it (§4.3.4). Where it speaks
    /// of another response than it was asked for, `old` is forgotten, and is no answer if it must
    /// not be, or if the origin can be asked `again`.
    pub(super) async fn validated<B>(
        mut self,
        old: Entry,
        again: bool,
    ) -> Result<Response<ResponseBody<B>>, Box<Trip>> {
        let (sent, received) = (self.sent, self.received);
        let policy = &self.core.policy;
        let head = policy.freshen(&old.head, &self.asked, &self.res, sent, received);
        if head.is_none() && (again || old.head.directives().forbids_stale()) {
            self.trip.forget(&self.core).await;
            return Err(self.trip);
        }
        // One that would select it by other fields freshens nothing either: the next request
        // fetches it anew.
        let head = head.filter(|head| selects_as(head, &old));
        Ok(self.renewed(old, head).await)
    }

    /// The origin answers a HEAD anew: that freshens `old`, or tells that it is out of date
    /// (§4.3.5).
    pub(super) async fn told_by_head<B>(mut self, old: Entry, body: B) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (sent, received) = (self.sent, self.received);
        let whole = old.head.part().is_none();
        let length = match old.head.part() {
            Some(part) => part.complete,
            None => Some(old.body.len()),
        };
        let policy = &self.core.policy;
        let head = policy.freshen_by_head(&old.head, length, &self.res, sent, received);
        match head.filter(|head| selects_as(head, &old)) {
            Some(head) if whole => return self.renewed(old, Some(head)).await,
            Some(_) => {} // a part is completed, not freshened
            None => self.trip.forget(&self.core).await,
        }
        self.new_response(body, whole)
    }

    /// Keeps `old` under its new head, or forgets it if it has none, and answers with it.
    async fn renewed<B>(self, old: Entry, head: Option<Head>) -> Response<ResponseBody<B>> {
        let Returned {
            core,
            mut trip,
            mut asked,
            res,
            received,
            ..
        } = self;
        // What is kept is what answers a GET, even if it was a HEAD that asked.
        let method = asked.method.clone();
        if method == Method::HEAD {
            asked.method = Method::GET;
        }
        let keep = head
            .as_ref()
            .map(|head| core.policy.keep(&asked, head, received));
        asked.method = method;
        let entry = match head {
            Some(head) => Entry {
                head: Arc::new(head),
                ..old
            },
            None => old,
        };
        let mut outcome = Outcome {
            forward_status: (res.status != entry.head.status()).then_some(res.status),
            ttl: Some(entry.head.ttl(received)),
            ..trip.outcome()
        };
        match keep {
            Some(Keep::For(keep)) => {
                if !entry.head.is_fresh(received) {
                    trip.is_in_vain(credentials(&asked));
                }
                trip.announce(Landing::Stored(entry.clone()));
                // Nobody waits for a store that is far. Who asks meanwhile finds the flight.
                let (core, entry) = (Arc::clone(&core), entry.clone());
                let refresh = async move { core.refresh(&trip, &entry, keep).await };
                outcome.stored = begin(refresh).unwrap_or(true);
            }
            // It is not for who asked that others have it.
            Some(Keep::No(Reason::Authorization | Reason::Cookie)) => trip.announce(Landing::Alone),
            Some(Keep::No(_)) | None => {
                trip.forget(&core).await;
                trip.announce(Landing::Alone);
            }
        }
        let age = entry.head.age(received);
        let mut answer = answer::entry(&core, &asked, &entry, age, outcome);
        // What is never stored is for this client all the same.
        for cookie in res.headers.get_all(SET_COOKIE) {
            answer.headers_mut().append(SET_COOKIE, cookie.clone());
        }
        answer
    }

    /// A response other than "not modified" goes to the client, and meanwhile into the store if
    /// it may. Where the client's own conditions were taken out (`ours`), they are answered here.
    pub(super) fn new_response<B>(self, body: B, ours: bool) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let head = self.head();
        let length = declared(&self.res, &body);
        self.deliver(head, length, ResponseBody::inner(body), ours)
    }

    /// The origin sends what lacked of a stored part: the client gets the whole (§3.4). Where it
    /// sends anything else, the part is forgotten, and there is no answer yet.
    pub(super) async fn completed<B>(
        mut self,
        part: Entry,
        body: B,
    ) -> Result<Response<ResponseBody<B>>, Box<Trip>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.trip.answered = Some(self.res.status);
        let rest = self.head();
        let held = part.body.len();
        let follows = rest.part().is_some_and(|rest| rest.range.first == held);
        let whole = self.core.policy.combine(&part.head, &rest);
        let whole = whole.filter(|head| follows && head.part().is_none());
        let (Some(head), Some(data)) = (whole, part.body.data()) else {
            self.trip.forget(&self.core).await;
            return Err(self.trip);
        };
        let mut res = Response::new(()).into_parts().0;
        res.status = head.status();
        res.headers = head.headers().clone();
        for cookie in self.res.headers.get_all(SET_COOKIE) {
            res.headers.append(SET_COOKIE, cookie.clone());
        }
        self.res = res;
        let length = declared(&self.res, &body);
        let body = ResponseBody::rest(data.clone(), body);
        Ok(self.deliver(head, length, body, true))
    }

    fn head(&self) -> Head {
        let policy = &self.core.policy;
        policy.head(&self.asked, &self.res, self.sent, self.received)
    }

    fn deliver<B>(
        mut self,
        head: Head,
        length: Option<u64>,
        body: ResponseBody<B>,
        ours: bool,
    ) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // Who keeps it on its way has to tell apart what is told apart here.
        self.core.policy.name_key_headers(&mut self.res.headers);
        let Returned { core, asked, .. } = &self;
        let unmet = ours
            .then(|| answer::unmet(&core.policy, asked, &head))
            .flatten();
        match core.policy.keep(asked, &head, self.received) {
            Keep::No(reason) => self.pass(reason, unmet, body),
            Keep::For(_) if length.is_some_and(|length| length > core.max_object) => {
                core.over_size.fetch_add(1, Ordering::Relaxed);
                self.pass(Reason::TooLarge, unmet, body)
            }
            Keep::For(keep) => self.store(head, keep, length, unmet, body, ours),
        }
    }

    /// Whether what was found is out of date by this, be this stored or not.
    fn displaces(&self) -> bool {
        self.trip.found.entry.is_some()
            && !credentials(&self.asked)
            && self.core.policy.displaces(&self.asked, self.res.status)
    }

    /// Passes the response on, unrecorded.
    fn pass<B>(
        self,
        reason: Reason,
        unmet: Option<Response<ResponseBody<B>>>,
        body: ResponseBody<B>,
    ) -> Response<ResponseBody<B>> {
        let Returned { core, trip, .. } = &self;
        trip.announce(Landing::Alone);
        if self.asked.method != Method::HEAD {
            let alone = credentials(&self.asked);
            core.shy.remember(&trip.key, alone, self.received);
            trip.is_in_vain(alone);
        }
        let outcome = Outcome {
            detail: Some(reason.word()),
            ..trip.outcome()
        };
        if self.displaces() {
            let (core, mut trip) = (Arc::clone(core), self.trip);
            begin(async move { trip.forget(&core).await });
        }
        let mut answer = unmet.unwrap_or_else(|| Response::from_parts(self.res, body));
        answer::tell(&mut answer, outcome);
        answer
    }

    /// Records the response for the store, with the client as its first reader.
    fn store<B>(
        self,
        head: Head,
        keep: Duration,
        length: Option<u64>,
        unmet: Option<Response<ResponseBody<B>>>,
        body: ResponseBody<B>,
        ours: bool,
    ) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let displaces = self.displaces();
        let Returned {
            core,
            trip,
            asked,
            res,
            received,
            ..
        } = self;
        let alone = credentials(&asked);
        if head.is_fresh(received) {
            core.shy.forget(&trip.key, alone);
        } else {
            // It is only used when it was validated: each asks for itself.
            core.shy.remember(&trip.key, alone, received);
            trip.is_in_vain(alone);
        }
        let outcome = Outcome {
            stored: true,
            ttl: Some(head.ttl(received)),
            ..trip.outcome()
        };
        let head = Arc::new(head);
        let marker = trip.found.marker.as_ref();
        let followers = trip.lead.as_ref().map(|lead| lead.followers().clone());
        let (recorder, recording) = record(length, followers.unwrap_or_default());
        let reader = recording.reader();
        let live = Live {
            variant: core.variant_of(&head, marker, &asked, received + keep),
            head: Arc::clone(&head),
            key: trip.exact().clone(),
            recording,
            seen: trip.seen_of(trip.seat()),
            verdict: Verdict::default(),
        };
        let verdict = live.verdict.clone();
        trip.announce(Landing::Live(live.clone()));
        let fill = Fill {
            core: Arc::clone(&core),
            trip,
            live,
            keep,
            length,
            displaces,
        };
        if body.is_end_stream() && length.unwrap_or_default() == 0 {
            recorder.finish(None, None);
            fill.run_empty();
        } else {
            fill.begin(body, recorder);
        }
        let mut answer = unmet.unwrap_or_else(|| {
            let res = Response::from_parts(res, ());
            match reader {
                // The client's own range was taken out with its conditions.
                Some(reader) if ours => {
                    answer::live(&core.policy, &asked, &head, res, reader, length)
                }
                Some(reader) => res.map(|()| ResponseBody::live(reader)),
                None => res.map(|()| ResponseBody::empty()),
            }
        });
        if core.inspect.is_some() {
            answer.extensions_mut().insert(verdict);
        }
        answer::tell(&mut answer, outcome);
        answer
    }
}

/// Whether the response would be stored under the same key with this head.
fn selects_as(head: &Head, old: &Entry) -> bool {
    head.varies() == old.head.varies() && head.search() == old.head.search()
}

/// The length that a response's head states for its body.
fn declared<B: Body>(res: &response::Parts, body: &B) -> Option<u64> {
    let stated = res.headers.get(CONTENT_LENGTH);
    let stated = stated.and_then(|length| length.to_str().ok()?.parse().ok());
    stated.or_else(|| body.size_hint().exact())
}
