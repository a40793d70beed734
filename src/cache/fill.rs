//! Receiving a body for the store: one task owns it, and every client is a reader.
//!
//! A client that is slow or leaves neither slows the fill nor ends it. What turns out too large
//! is no longer kept, and only passed on to who reads already.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, HOST, SET_COOKIE},
};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::{
    task::unconstrained,
    time::{timeout, timeout_at},
};
use tower::BoxError;

use super::{
    core::{Core, Live},
    fetch::Trip,
    recording::Recorder,
};
use crate::{
    policy::remove_hop_by_hop,
    store::{Entry, EntryId, Payload, Store, Turn, random},
};

/// How long a reader may hold up others when nothing is kept for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long others who share the store wait for a body that has begun. They cannot read along, and
/// what it brings, it may bring slowly.
const OTHERS_WAIT: Duration = Duration::from_secs(3);

/// All that a fill needs to know.
pub(super) struct Fill<S> {
    pub(super) core: Arc<Core<S>>,
    /// With the seat that keeps others from fetching the same, until the response is stored.
    pub(super) trip: Box<Trip>,
    pub(super) live: Live,
    pub(super) keep: Duration,
    pub(super) length: Option<u64>,
    /// What was found is out of date by this, be this stored or not.
    pub(super) displaces: bool,
}

/// A body that was received whole.
struct Received {
    /// All of it, if it was kept.
    data: Option<Bytes>,
    /// Its last piece, which no reader was shown yet.
    last: Option<Bytes>,
    trailers: Option<Arc<HeaderMap>>,
}

/// Why a body is not whole.
struct Broken {
    why: &'static str,
    source: Option<BoxError>,
}

/// As far as it goes at once; the rest in a task of its own. Answers what came of it, if that is
/// known.
pub(super) fn begin<T: Send + 'static>(
    what: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let mut what = Box::pin(what);
    let mut now = Context::from_waker(Waker::noop());
    match what.as_mut().poll(&mut now) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => {
            tokio::spawn(what);
            None
        }
    }
}

impl<S: Store> Fill<S> {
    /// Receives `body`, and stores it. What came with its head is there when this returns: it
    /// goes out with the response's head, and not after it.
    pub(super) fn begin<B>(self, body: B, recorder: Recorder)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        begin(self.run(body, recorder));
    }

    /// Receives `body`, and stores it if it ends well.
    ///
    /// The last piece and the end are told in one go, and with a store that is local only when the
    /// response is stored, with others when they were given it: who has read the last byte, and asks
    /// again, finds it there.
    async fn run<B>(mut self, body: B, recorder: Recorder)
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let body = pin!(body);
        match self.receive(body, &recorder).await {
            Ok(Some(Received {
                data,
                last,
                trailers,
            })) => {
                let local = self.core.store.is_local();
                let mut storing = pin!(self.store(data, trailers.clone()));
                let stored = if local {
                    storing.as_mut().await;
                    true
                } else {
                    // As far as it goes at once: a tier that is near has it then.
                    let begin = poll_fn(|cx| Poll::Ready(storing.as_mut().poll(cx).is_ready()));
                    unconstrained(begin).await
                };
                recorder.finish(last, trailers);
                if !stored {
                    storing.await;
                }
            }
            Ok(None) => {}
            Err(broken) => recorder.fail(broken.why, broken.source),
        }
    }

    /// Stores a response that has no body: at once, where that takes no waiting.
    pub(super) fn run_empty(mut self) {
        begin(async move { self.store(Some(Bytes::new()), None).await });
    }

    /// All of `body`; nothing when nobody reads it any more.
    async fn receive<B>(
        &mut self,
        mut body: Pin<&mut B>,
        recorder: &Recorder,
    ) -> Result<Option<Received>, Broken>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut share = self.core.budget.share();
        let mut trailers = None;
        let mut last: Option<Bytes> = None;
        let others_wait = self.core.clock.instant() + OTHERS_WAIT;
        loop {
            if !recorder.keeps() && !Box::pin(self.room(recorder)).await {
                return Ok(None);
            }
            let frame = match self.trip.found.turn {
                Turn::Mine(_) => timeout_at(others_wait, body.as_mut().frame()).await,
                _ => Ok(body.as_mut().frame().await),
            };
            let Ok(frame) = frame else {
                self.trip.found.turn = Turn::Free;
                continue;
            };
            match frame {
                None => break,
                Some(Err(error)) => {
                    return Err(Broken {
                        why: "the upstream's body did",
                        source: Some(error.into()),
                    });
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let size = data.len() as u64;
                        let fits = recorder.written() + size <= self.core.max_object;
                        if recorder.keeps() && !(fits && share.take(size)) {
                            self.stop_keeping(recorder, !fits);
                            share.give_back();
                        }
                        if body.is_end_stream() {
                            last = Some(data);
                            break;
                        }
                        recorder.write(data);
                    }
                    Err(frame) => trailers = frame.into_trailers().ok().map(shared),
                },
            }
        }
        let written = recorder.written() + last.as_ref().map_or(0, |last| last.len() as u64);
        if self.length.is_some_and(|length| length != written) {
            return Err(Broken {
                why: "its length is not what its head says",
                source: None,
            });
        }
        Ok(Some(Received {
            data: recorder.collect(&mut last),
            last,
            trailers,
        }))
    }

    /// Waits for the readers where bytes are only passed on; `false` when there are none left.
    async fn room(&self, recorder: &Recorder) -> bool {
        loop {
            match timeout(PATIENCE, recorder.room()).await {
                Ok(room) => return room,
                Err(_) => recorder.cut_slowest(),
            }
        }
    }

    /// The body will not be stored: nobody may join any more, and who comes fetches alone.
    fn stop_keeping(&mut self, recorder: &Recorder, too_large: bool) {
        recorder.stop_keeping();
        if too_large {
            let now = self.core.clock.now();
            self.core.shy.remember(&self.trip.key, false, now);
            self.trip.is_in_vain(false);
            self.core.over_size.fetch_add(1, Ordering::Relaxed);
        } else {
            self.core.over_budget.fetch_add(1, Ordering::Relaxed);
        }
        self.trip.lead = None;
        self.trip.found.turn = Turn::Free;
    }

    /// Stores a body, if it was kept.
    async fn store(&mut self, data: Option<Bytes>, trailers: Option<Arc<HeaderMap>>) {
        let Fill {
            core, trip, live, ..
        } = self;
        let Some(data) = data else {
            if self.displaces {
                trip.forget(core).await;
            }
            return;
        };
        // What others read goes to them with the record.
        if let Some(inspect) = core.inspect
            && !core.store.is_local()
        {
            live.verdict.get_or_look(|| inspect(&live.head, &data));
        }
        let payload = Payload::new(data, trailers.map(Arc::unwrap_or_clone))
            .with_verdict(live.verdict.clone());
        let entry = Entry {
            id: EntryId(random()),
            head: Arc::clone(&live.head),
            body: payload,
        };
        core.commit(trip, live.variant.as_ref(), entry, self.keep)
            .await;
    }
}

/// The trailers that are for all who ask: not what makes a message of the bytes, nor what is for one.
fn shared(mut trailers: HeaderMap) -> Arc<HeaderMap> {
    remove_hop_by_hop(&mut trailers);
    for name in [CONTENT_LENGTH, HOST, SET_COOKIE] {
        trailers.remove(name);
    }
    Arc::new(trailers)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn trailers_are_for_all() {
        let mut trailers = HeaderMap::new();
        for name in ["set-cookie", "content-length", "host", "te", "x-checksum"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        let left = shared(trailers);
        assert_eq!(
            (left.len(), &left["x-checksum"]),
            (1, &HeaderValue::from_static("1"))
        );
    }
}
