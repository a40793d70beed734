//! Requests that wait for a fetch that comes to nothing: for how long, and how often the origin is
//! asked.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use larder::{cache::CacheLayer, clock::Clock, policy::Policy, store::MemoryStore};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn, util::BoxCloneService};

use crate::support::script::{Body, Told, get, respond, settle, start, told};

type Asked = Pin<Box<dyn Future<Output = Result<Told, BoxError>> + Send>>;

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const A_FETCH: Duration = Duration::from_secs(30);

/// A cache around a service that may fail, and how often it was asked.
#[derive(Clone)]
struct Failing {
    service: BoxCloneService<Request<Body>, Response<Body>, BoxError>,
    asked: Arc<AtomicUsize>,
}

impl Failing {
    /// What comes of each call: of its number, from 1, and its request.
    fn new<F>(answer: impl Fn(usize, Request<Body>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let inner = service_fn(move |req| answer(count.fetch_add(1, Ordering::Relaxed) + 1, req));
        let layer = CacheLayer::builder(MemoryStore::new(1 << 20))
            .clock(Clock::virtual_from(start()))
            .policy(Policy::origin())
            .build();
        let erased = |res: Response<_>| res.map(BodyExt::boxed_unsync);
        let service = BoxCloneService::new(layer.layer(inner).map_response(erased));
        Failing { service, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn ask(&self, fields: &[(&str, &str)]) -> Asked {
        let answer = self.service.clone().call(get("/a", fields)); // a cache is always ready
        Box::pin(async move { Ok(told(answer.await?).await) })
    }

    /// So many requests at once, and their answers.
    fn herd(&self, size: usize) -> JoinSet<Result<Told, BoxError>> {
        let mut herd = JoinSet::new();
        for _ in 0..size {
            herd.spawn(self.ask(&[]));
        }
        herd
    }

    /// A herd that waits for one fetch, and when that has come to nothing, by `end`, for another
    /// that `fields` are asked with, too. What comes of it after that one.
    async fn herd_behind_two(
        &self,
        gate: &Notify,
        fields: &[(&str, &str)],
        end: End,
    ) -> Vec<Result<Told, BoxError>> {
        let mut first = self.ask(fields);
        let mut second = self.ask(fields);
        assert!(poll(&mut first).await.is_none());
        let herd = self.herd(20);
        settle().await;
        assert_eq!(self.asked(), 1);
        end.come(first, gate).await;
        // Nobody else has run since.
        assert!(poll(&mut second).await.is_none());
        settle().await;
        assert_eq!(self.asked(), 2);
        end.come(second, gate).await;
        settle().await;
        gate.notify_waiters();
        herd.join_all().await
    }
}

/// How a fetch comes to nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Fails,
    IsLeft,
}

impl End {
    async fn come(self, mut fetch: Asked, gate: &Notify) {
        if self == End::Fails {
            gate.notify_waiters();
            let ended = poll(&mut fetch).await;
            assert!(ended.expect("it is over").is_err());
        }
    }
}

async fn poll(asked: &mut Asked) -> Option<Result<Told, BoxError>> {
    poll_fn(|cx| match asked.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn is_shared_failure(answer: &Result<Told, BoxError>) -> bool {
    matches!(answer, Ok(told) if told.status == 502
        && told.header("cache-status") == "larder; fwd=uri-miss; collapsed; detail=failed")
}

#[tokio::test(start_paused = true)]
async fn a_herd_asks_a_failing_origin_twice_and_no_more() {
    let failing = Failing::new(|_, _| async {
        sleep(A_FETCH).await;
        Err("the origin is silent".into())
    });
    for round in 1..=2 {
        let since = Instant::now();
        let answers = failing.herd(1000).join_all().await;
        assert!(since.elapsed() <= 2 * A_FETCH + Duration::from_millis(2));
        assert_eq!(failing.asked(), 2 * round);
        let errors = answers.iter().filter(|answer| answer.is_err()).count();
        let shared = answers.iter().filter(|it| is_shared_failure(it)).count();
        assert_eq!((errors, shared), (2, 998));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_once_is_made_once_more_for_all() {
    let failing = Failing::new(|n, _| async move {
        sleep(A_FETCH).await;
        match n {
            1 => Err("the connection was cut".into()),
            _ => Ok(respond(200, &[FRESH], n.to_string())),
        }
    });
    let answers = failing.herd(1000).join_all().await;
    let errors = answers.iter().filter(|answer| answer.is_err()).count();
    let answered = answers.iter().flatten().filter(|told| told.body == "2");
    assert_eq!((errors, answered.count(), failing.asked()), (1, 999, 2));
}

/// An origin that fails where it is asked something odd, once it may.
fn provoked(gate: &Arc<Notify>) -> Failing {
    let gate = Arc::clone(gate);
    Failing::new(move |n, req| {
        let gate = Arc::clone(&gate);
        async move {
            let odd = ["x-odd", "cookie"].map(|name| req.headers().contains_key(name));
            if odd.contains(&true) || n <= 2 {
                gate.notified().await;
                return Err("it broke off".into());
            }
            Ok(respond(200, &[FRESH], "fine"))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_twice_is_told_that_it_failed() {
    let gate = Arc::new(Notify::new());
    let failing = provoked(&gate);
    let answers = failing.herd_behind_two(&gate, &[], End::Fails).await;
    assert!(answers.iter().all(is_shared_failure), "{answers:?}");
    assert_eq!(failing.asked(), 2);
}

/// A client that can make the origin fail does not make it fail for all others.
#[tokio::test(start_paused = true)]
async fn a_failure_that_may_have_been_provoked_is_not_shared() {
    for field in [("x-odd", "1"), ("cookie", "session=broken")] {
        let gate = Arc::new(Notify::new());
        let failing = provoked(&gate);
        let answers = failing.herd_behind_two(&gate, &[field], End::Fails).await;
        let fine = answers.iter().flatten().filter(|told| told.body == "fine");
        assert_eq!(fine.count(), 20, "{field:?}");
    }
}

/// Clients that begin fetches and leave them do not keep others waiting without end.
#[tokio::test(start_paused = true)]
async fn who_was_left_twice_goes_alone() {
    let gate = Arc::new(Notify::new());
    let failing = provoked(&gate);
    let answers = failing.herd_behind_two(&gate, &[], End::IsLeft).await;
    let fine = answers.iter().flatten().filter(|told| told.body == "fine");
    assert_eq!((fine.count(), failing.asked()), (20, 22));
}
