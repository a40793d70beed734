//! Which events are written, with which fields.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

use super::*;
use crate::outcome::{Forward, Outcome};

/// An event's level, target and fields.
type Seen = (Level, String, BTreeMap<String, String>);

/// Collects what is logged on this thread while `Scope` lives.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<Seen>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let metadata = event.metadata();
        let seen = (*metadata.level(), metadata.target().to_owned(), fields);
        self.0.lock().unwrap().push(seen);
    }
}

impl Ear {
    fn listening(level: LevelFilter) -> (Self, DefaultGuard) {
        let ear = Ear::default();
        let subscriber = tracing_subscriber::registry().with(level).with(ear.clone());
        (ear, tracing::subscriber::set_default(subscriber))
    }

    /// The only event, without its duration, which must be there.
    fn only(&self) -> Seen {
        let mut seen = self.0.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        let (level, target, mut fields) = seen.remove(0);
        let duration = fields.remove("duration_ms").expect("a duration");
        duration.parse::<f64>().expect("milliseconds");
        (level, target, fields)
    }
}

fn fields(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri)
        .header(header::AUTHORIZATION, "Bearer hush")
        .header(header::COOKIE, "hush=hush")
        .body(())
        .unwrap()
}

/// A body that breaks off after four bytes.
struct Torn(bool);

impl Body for Torn {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let begun = std::mem::replace(&mut self.0, true);
        Poll::Ready(Some(if begun {
            Err("torn")
        } else {
            Ok(Frame::data(Bytes::from_static(b"four")))
        }))
    }
}

#[tokio::test]
async fn a_request_is_one_event_at_its_end() {
    let (ear, _scope) = Ear::listening(LevelFilter::INFO);
    let cache = service_fn(|_: Request<()>| async {
        let mut response = Response::new(Full::new(Bytes::from_static(b"four")));
        let mut outcome = Outcome::forwarded(Forward::UriMiss);
        outcome.stored = true;
        response.extensions_mut().insert(outcome);
        Ok::<_, Infallible>(response)
    });
    let service = LogLayer::requests().layer(cache);
    let request = get("http://me:hush@host/proxy?url=http://me:hush@h/&token=shown");
    let response = service.oneshot(request).await.unwrap();
    assert!(ear.0.lock().unwrap().is_empty());
    response.into_body().collect().await.unwrap();

    let (level, target, seen) = ear.only();
    assert_eq!((level, target.as_str()), (Level::INFO, REQUEST));
    assert_eq!(
        seen,
        fields(&[
            ("message", "request"),
            ("method", "GET"),
            ("target", "/proxy?url=http://***@h/&token=shown"),
            ("status", "200"),
            ("outcome", "MISS"),
            ("cache", "larder; fwd=uri-miss; stored"),
            ("bytes", "4"),
        ])
    );
}

#[tokio::test]
async fn a_body_that_breaks_or_is_dropped_says_so() {
    let (ear, _scope) = Ear::listening(LevelFilter::INFO);
    let torn =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Torn(false))) });
    let mut service = LogLayer::requests().layer(torn);
    let response = service.call(get("/torn")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap_err(), "torn");
    let (_, _, seen) = ear.only();
    assert_eq!(seen["end"], "failed");
    assert_eq!(seen["error"], "torn");
    assert_eq!(seen["bytes"], "4");
    assert!(!seen.contains_key("outcome"));

    drop(service.call(get("/dropped")).await.unwrap());
    let (_, _, seen) = ear.only();
    assert_eq!(seen["end"], "dropped");
    assert_eq!(seen["bytes"], "0");
    assert_eq!(seen["status"], "200");
}

#[tokio::test]
async fn a_request_without_a_response_is_logged_too() {
    let (ear, _scope) = Ear::listening(LevelFilter::INFO);
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>("no way") });
    let failed = LogLayer::requests().layer(failing).oneshot(get("/a")).await;
    assert_eq!(failed.unwrap_err(), "no way");
    let (level, _, seen) = ear.only();
    assert_eq!(level, Level::WARN);
    assert_eq!(
        seen,
        fields(&[
            ("message", "request failed"),
            ("method", "GET"),
            ("target", "/a"),
            ("error", "no way"),
        ])
    );

    let silent = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let mut waiting = Box::pin(LogLayer::requests().layer(silent).oneshot(get("/b")));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    drop(waiting);
    let (_, _, seen) = ear.only();
    assert_eq!(seen["target"], "/b");
    assert_eq!(seen["end"], "dropped");
    assert!(!seen.contains_key("status"));
}

#[tokio::test]
async fn the_upstream_s_answers_and_failures_are_events() {
    let (ear, _scope) = Ear::listening(LevelFilter::INFO);
    let answering = service_fn(|_: Request<()>| async {
        let mut response = Response::new(Torn(false));
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(response)
    });
    let service = LogLayer::upstream().layer(answering);
    let request = get("http://me:hush@example.com:81/path?key=hush");
    let response = service.oneshot(request).await.unwrap();
    let (level, target, seen) = ear.only();
    assert_eq!((level, target.as_str()), (Level::INFO, UPSTREAM));
    assert_eq!(
        seen,
        fields(&[
            ("message", "upstream answered"),
            ("host", "example.com:81"),
            ("method", "GET"),
            ("path", "/path"),
            ("status", "404"),
        ])
    );
    assert!(response.into_body().collect().await.is_err());
    let (level, _, seen) = ear.only();
    assert_eq!(level, Level::WARN);
    assert_eq!(seen["message"], "upstream broke off");
    assert_eq!(seen["error"], "torn");

    let failing =
        service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>("refused") });
    let service = LogLayer::upstream().layer(failing);
    assert!(service.oneshot(get("http://h/")).await.is_err());
    let (level, _, seen) = ear.only();
    assert_eq!(level, Level::WARN);
    assert_eq!(seen["message"], "upstream failed");
    assert_eq!(seen["host"], "h");
    assert_eq!(seen["error"], "refused");
}

#[tokio::test]
async fn a_quieter_level_leaves_the_failures() {
    let (ear, _scope) = Ear::listening(LevelFilter::WARN);
    let answering =
        service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Torn(false))) });
    let failing =
        service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>("refused") });
    let service = LogLayer::requests().layer(answering);
    let response = service.oneshot(get("/")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert!(ear.0.lock().unwrap().is_empty());
    let service = LogLayer::upstream().layer(failing);
    assert!(service.oneshot(get("http://h/")).await.is_err());
    ear.only();
}

#[test]
fn nothing_is_kept_for_nobody() {
    let begin = || {
        record::Record::begin(
            record::Kind::Requests,
            &http::Method::GET,
            &"/".parse().unwrap(),
        )
    };
    {
        let (_ear, _scope) = Ear::listening(LevelFilter::OFF);
        assert!(begin().is_none());
    }
    let (ear, _scope) = Ear::listening(LevelFilter::INFO);
    assert!(begin().is_some());
    ear.only();
}
