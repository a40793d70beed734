//! An inner service that answers by a script, and remembers what it was asked.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full, channel, combinators::UnsyncBoxBody};
use larder::{
    cache::{Builder, Cache, CacheLayer, ResponseBody},
    clock::Clock,
    outcome::Outcome,
    policy::Policy,
    store::MemoryStore,
};
use tower::{BoxError, Layer, Service, ServiceExt};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Answer = Boxed<Response<Body>>;
type Answering = dyn Fn(usize, &request::Parts) -> Answer + Send + Sync;

/// Answers by a function of the call's number (from 1) and the request.
#[derive(Clone)]
pub(crate) struct Script {
    calls: Arc<Mutex<Vec<request::Parts>>>,
    answer: Arc<Answering>,
}

impl Script {
    pub(crate) fn new<F>(
        answer: impl Fn(usize, &request::Parts) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Script {
            calls: Arc::default(),
            answer: Arc::new(move |n, req| Box::pin(answer(n, req))),
        }
    }

    /// Answers at once.
    pub(crate) fn at_once(
        answer: impl Fn(usize, &request::Parts) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        Script::new(move |n, req| std::future::ready(answer(n, req)))
    }

    /// Always the same 200 with these fields; its body is the number of the call.
    pub(crate) fn numbered(fields: &'static [(&'static str, &'static str)]) -> Self {
        Script::at_once(move |n, _| respond(200, fields, n.to_string()))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The fields of the last call.
    pub(crate) fn last(&self) -> HeaderMap {
        self.all().pop().unwrap()
    }

    /// The fields of each call.
    pub(crate) fn all(&self) -> Vec<HeaderMap> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|req| req.headers.clone()).collect()
    }
}

impl<Q> Service<Request<Q>> for Script {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<Q>) -> Self::Future {
        let (parts, _) = req.into_parts();
        let mut calls = self.calls.lock().unwrap();
        calls.push(parts.clone());
        let answer = (self.answer)(calls.len(), &parts);
        Box::pin(async { Ok(answer.await) })
    }
}

/// A cache around a script, in virtual time if the test pauses it.
pub(crate) struct Larder {
    pub(crate) script: Script,
    pub(crate) layer: CacheLayer<MemoryStore>,
    service: Cache<Script, MemoryStore>,
}

/// The moment at which virtual time begins.
pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

impl Larder {
    pub(crate) fn new(script: Script) -> Self {
        Self::with(script, Policy::origin())
    }

    pub(crate) fn with(script: Script, policy: Policy) -> Self {
        Self::built(script, |builder| builder.policy(policy))
    }

    pub(crate) fn built(
        script: Script,
        set: impl FnOnce(Builder<MemoryStore>) -> Builder<MemoryStore>,
    ) -> Self {
        let clock = Clock::virtual_from(start());
        let store = MemoryStore::new(64 << 20);
        let layer = set(CacheLayer::builder(store).clock(clock)).build();
        let layer = layer.copy_bodies(copied);
        Larder {
            service: layer.layer(script.clone()),
            script,
            layer,
        }
    }

    pub(crate) async fn send(&self, req: Request<Body>) -> Response<Body> {
        let erased = |res: Response<ResponseBody<Body>>| res.map(BodyExt::boxed_unsync);
        let mut service = ServiceExt::<Request<Body>>::map_response(self.service.clone(), erased);
        let answer: Boxed<Result<_, Infallible>> = Box::pin(service.call(req));
        let Ok(res) = answer.await;
        res
    }

    pub(crate) async fn ask(&self, req: Request<Body>) -> Told {
        told(self.send(req).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.ask(get(path, &[])).await
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) outcome: Outcome,
    pub(crate) body: String,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn is_hit(&self) -> bool {
        assert_eq!(self.header("x-cache"), self.outcome.word());
        self.outcome.hit
    }
}

/// A GET whose body nobody can copy.
pub(crate) fn uncopied(path: &str) -> Request<Body> {
    let (_, body) = channel::Channel::new(1);
    get(path, &[]).map(|_| body.boxed_unsync())
}

/// A body like this one, if it is empty.
pub(crate) fn copied(body: &Body) -> Option<Body> {
    let none = || Empty::new().map_err(|never| match never {}).boxed_unsync();
    body.is_end_stream().then(none)
}

pub(crate) async fn told(res: Response<Body>) -> Told {
    let (parts, body) = res.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    Told {
        status: parts.status.as_u16(),
        outcome: parts.extensions.get::<Outcome>().unwrap().clone(),
        headers: parts.headers,
        body: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        trailers,
    }
}

pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut req = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "api.example");
    for (name, value) in fields {
        req = req.header(*name, *value);
    }
    req.body(Empty::new().map_err(BoxError::from).boxed_unsync())
        .unwrap()
}

pub(crate) fn get(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    request("GET", path, fields)
}

pub(crate) fn respond(
    status: u16,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(BoxError::from)
        .boxed_unsync();
    with_body(status, fields, body)
}

/// A response whose body comes from the sender.
pub(crate) fn streamed(
    status: u16,
    fields: &[(&str, &str)],
) -> (channel::Sender<Bytes, BoxError>, Response<Body>) {
    let (sender, body) = channel::Channel::new(16);
    (sender, with_body(status, fields, body.boxed_unsync()))
}

fn with_body(status: u16, fields: &[(&str, &str)], body: Body) -> Response<Body> {
    let mut res = Response::builder().status(status);
    for (name, value) in fields {
        res = res.header(*name, *value);
    }
    res.body(body).unwrap()
}

/// Lets every other task run until it waits for something that does not come by itself.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
