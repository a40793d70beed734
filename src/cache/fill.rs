//! Receiving a body for the store: one task owns it, and every client is a reader.
//!
//! A client that is slow or leaves neither slows the fill nor ends it. What turns out too large
//! is no longer kept, and only passed on to who reads already.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower::BoxError;

use super::{
    core::{Core, Live, random},
    fetch::Trip,
    recording::Recorder,
};
use crate::store::{Entry, EntryId, Payload, Store};

/// How long a reader may hold up others when nothing is kept for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that a fill needs to know.
pub(super) struct Fill<S> {
    pub(super) core: Arc<Core<S>>,
    /// With the seat that keeps others from fetching the same, until the response is stored.
    pub(super) trip: Trip,
    pub(super) live: Live,
    pub(super) keep: Duration,
    pub(super) length: Option<u64>,
}

/// A body that was received whole.
struct Received {
    data: Bytes,
    trailers: Option<Arc<HeaderMap>>,
}

impl<S: Store> Fill<S> {
    /// Receives `body`, and stores it if it ends well.
    pub(super) async fn run<B>(mut self, body: B, recorder: Recorder)
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if let Some(received) = self.receive(body, recorder).await {
            self.store(received).await;
        }
    }

    /// Stores a response that has no body.
    pub(super) async fn run_empty(self) {
        self.store(Received {
            data: Bytes::new(),
            trailers: None,
        })
        .await;
    }

    async fn receive<B>(&mut self, body: B, recorder: Recorder) -> Option<Received>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut share = self.core.budget.share();
        let mut body = pin!(body);
        let mut trailers = None;
        let mut held_back: Option<Bytes> = None;
        loop {
            if !self.room(&recorder).await {
                return None;
            }
            match body.as_mut().frame().await {
                None => break,
                Some(Err(error)) => {
                    recorder.fail("the upstream's body did", Some(error.into()));
                    return None;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let size = data.len() as u64;
                        let fits = recorder.written() + size <= self.core.max_object;
                        if recorder.keeps() && !(fits && share.take(size)) {
                            self.stop_keeping(&recorder, !fits);
                            share.give_back();
                        }
                        if body.is_end_stream() {
                            held_back = Some(data);
                            break;
                        }
                        recorder.write(data);
                    }
                    Err(frame) => trailers = frame.into_trailers().ok().map(Arc::new),
                },
            }
        }
        let written = recorder.written() + held_back.as_ref().map_or(0, |last| last.len() as u64);
        if self.length.is_some_and(|length| length != written) {
            recorder.fail("its length is not what its head says", None);
            return None;
        }
        // The last piece and the end are told in one go: who has read the last byte finds the
        // response whole.
        let data = recorder.collect(held_back.as_ref());
        recorder.finish(held_back, trailers.clone());
        data.map(|data| Received { data, trailers })
    }

    /// Waits for the readers where bytes are only passed on; `false` when there are none left.
    async fn room(&self, recorder: &Recorder) -> bool {
        if recorder.keeps() {
            return true;
        }
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
        }
        self.trip.lead = None;
    }

    async fn store(self, received: Received) {
        let Fill {
            core, trip, live, ..
        } = &self;
        let payload = Payload::new(received.data, received.trailers.map(Arc::unwrap_or_clone))
            .with_verdict(live.verdict.clone());
        if let Some(inspect) = core.inspect {
            live.verdict
                .get_or_look(|| inspect(&live.head, payload.data()));
        }
        let entry = Entry {
            id: EntryId(random()),
            head: Arc::clone(&live.head),
            body: payload,
        };
        core.commit(trip, live.variant.as_ref(), entry, self.keep)
            .await;
    }
}
