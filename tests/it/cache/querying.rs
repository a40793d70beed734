//! QUERY, cached by what it asks.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, channel::Channel};
use larder::{
    cache::{Cache, Manner, Purge, ResponseBody},
    policy::Key,
    query::{Query, QueryBody, QueryLayer},
    store::MemoryStore,
};
use tokio::time::advance;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::support::script::{
    Body, Larder, Script, Told, get, request, respond, settle, streamed, told,
};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A larder that is asked through a [`QueryLayer`].
struct Asked {
    larder: Larder,
    service: Query<Cache<Script, MemoryStore>>,
}

impl Asked {
    fn new(script: Script) -> Self {
        Asked::built(Larder::new(script), QueryLayer::new())
    }

    fn built(larder: Larder, layer: QueryLayer) -> Self {
        Asked {
            service: layer.layer(larder.layer.layer(larder.script.clone())),
            larder,
        }
    }

    fn numbered() -> Self {
        Asked::new(Script::numbered(&[FRESH]))
    }

    async fn send(&self, req: Request<Body>) -> Response<Body> {
        let Ok(res) = self.service.clone().oneshot(req).await;
        res.map(|body: ResponseBody<Body>| body.boxed_unsync())
    }

    async fn ask(&self, req: Request<Body>) -> Told {
        told(self.send(req).await).await
    }

    /// Asks `/a` for JSON.
    async fn json(&self, content: &'static str) -> Told {
        self.ask(query("/a", &[JSON], content)).await
    }

    fn calls(&self) -> usize {
        self.larder.script.calls()
    }
}

fn query(path: &str, fields: &[(&str, &str)], content: impl Into<Bytes>) -> Request<Body> {
    let body = Full::new(content.into()).map_err(BoxError::from);
    request("QUERY", path, fields).map(|_| body.boxed_unsync())
}

fn key(text: &str) -> Key {
    Key::parse(&format!("GET http://api.example{text}"))
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_is_answered_from_the_store() {
    let asked = Asked::numbered();
    let miss = asked.json(r#"{"q": 1}"#).await;
    assert_eq!(
        miss.header("cache-status"),
        "larder; fwd=uri-miss; stored; ttl=60"
    );
    for same in [r#"{"q": 1}"#, r#"{"q":1}"#, "{\n\t\"q\" : 1\n}"] {
        let hit = asked.json(same).await;
        assert!(hit.is_hit(), "{same}");
        assert_eq!((hit.body.as_str(), hit.header("age")), ("1", "0"));
    }
    assert_eq!(asked.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_differs_never_shares() {
    let asked = Asked::numbered();
    let long = ("content-type", "application/json;charset=utf-8");
    let text = ("content-type", "text/plain");
    let coded = ("content-encoding", "identity");
    let requests = || {
        [
            query("/a", &[JSON], "[1]"),
            query("/a", &[JSON], "[2]"),
            query("/a", &[JSON], ""),
            query("/b", &[JSON], "[1]"),
            query("/a?x", &[JSON], "[1]"),
            query("/a", &[long], "[1]"),
            query("/a", &[text], "[1]"),
            query("/a", &[text], "[1] "),
            query("/a", &[JSON, coded], "[1]"),
            get("/a", &[]),
        ]
    };
    for (nth, req) in requests().into_iter().enumerate() {
        let miss = asked.ask(req).await;
        assert_eq!(miss.body, (nth + 1).to_string());
        settle().await;
    }
    for (nth, req) in requests().into_iter().enumerate() {
        let hit = asked.ask(req).await;
        assert!(hit.is_hit(), "{nth}");
        assert_eq!(hit.body, (nth + 1).to_string());
    }
    let other = asked.json("[3]").await;
    assert_eq!(
        other.header("cache-status"),
        "larder; fwd=miss; stored; ttl=60"
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_and_a_get_have_nothing_to_do_with_it() {
    let asked = Asked::numbered();
    asked.json("1").await;
    assert!(!asked.ask(request("HEAD", "/a", &[])).await.is_hit());
    assert!(!asked.ask(get("/a", &[])).await.is_hit());
    assert_eq!(asked.json("1").await.body, "1");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_not_cached() {
    let asked = Asked::built(
        Larder::new(Script::numbered(&[FRESH])),
        QueryLayer::new().limit(8),
    );
    for (fields, content, detail) in [
        (&[JSON][..], "123456789", "query-too-large"),
        (&[], "1", "query-unclear"),
        (
            &[JSON, ("connection", "content-type")],
            "1",
            "query-unclear",
        ),
    ] {
        for _ in 0..2 {
            let passed = asked.ask(query("/a", fields, content)).await;
            let story = format!("larder; fwd=bypass; detail={detail}");
            assert_eq!(passed.header("cache-status"), story);
        }
    }
    let fits = asked.json("12345678").await;
    assert!(fits.outcome.stored);
    // Without the layer it is as it was.
    let passed = asked.larder.ask(query("/a", &[JSON], "1")).await;
    assert_eq!(
        passed.header("cache-status"),
        "larder; fwd=method; detail=method"
    );
}

#[tokio::test(start_paused = true)]
async fn its_key_is_shown_with_the_digest() {
    let larder = Larder::built(Script::numbered(&[FRESH]), |builder| {
        builder.debug_headers(true)
    });
    let asked = Asked::built(larder, QueryLayer::new());
    let keys = [
        asked.json("1").await.outcome.key.unwrap(),
        asked.json("2").await.outcome.key.unwrap(),
        asked.json(" 1").await.outcome.key.unwrap(),
    ];
    assert!(keys[0].starts_with("QUERY http://api.example/a "));
    assert_eq!(keys[0].len(), "QUERY http://api.example/a ".len() + 64);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
}

#[tokio::test(start_paused = true)]
async fn vary_holds_as_well() {
    let asked = Asked::new(Script::numbered(&[FRESH, ("vary", "accept")]));
    let ask = |accept, content| query("/a", &[JSON, ("accept", accept)], content);
    for (accept, content, body) in [("x/a", "1", "1"), ("x/b", "1", "2"), ("x/a", "2", "3")] {
        assert_eq!(asked.ask(ask(accept, content)).await.body, body);
        settle().await;
    }
    for (accept, content, body) in [("x/a", "1", "1"), ("x/b", "1", "2"), ("x/a", "2", "3")] {
        let hit = asked.ask(ask(accept, content)).await;
        assert!(hit.is_hit());
        assert_eq!(hit.body, body);
    }
}

#[tokio::test(start_paused = true)]
async fn any_purge_and_any_change_of_the_uri_concerns_it() {
    let uri = || Purge::Uri(key("/a"));
    let forget = [
        uri(),
        Purge::Below(key("/")),
        Purge::Below(key("/a")),
        Purge::Tag("red".into()),
        Purge::All,
    ];
    for purge in forget {
        let asked = Asked::new(Script::numbered(&[FRESH, ("cache-tag", "red")]));
        let handle = asked.larder.layer.handle();
        asked.json("1").await;
        settle().await;
        asked.json("2").await;
        asked.ask(get("/a", &[])).await;
        settle().await;
        let count = handle.purge_by(&purge, Manner::Count).await.unwrap();
        assert_eq!(count.count, 3, "{purge:?}");
        let gone = handle.purge_by(&purge, Manner::Forget).await.unwrap();
        assert_eq!(gone.count, 3, "{purge:?}");
        assert!(!asked.json("1").await.is_hit(), "{purge:?}");
        assert!(!asked.json("2").await.is_hit(), "{purge:?}");
    }
    let asked = Asked::numbered();
    asked.json("1").await;
    settle().await;
    let handle = asked.larder.layer.handle();
    assert!(handle.purge(&key("/a")).await.unwrap());
    assert!(!asked.json("1").await.is_hit());
    settle().await;
    asked.ask(request("POST", "/a", &[])).await;
    assert!(!asked.json("1").await.is_hit());
    settle().await;
    asked.ask(request("POST", "/b", &[])).await;
    assert!(asked.json("1").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_makes_it_stale() {
    let asked = Asked::new(Script::numbered(&[
        FRESH,
        ("cache-control", "stale-while-revalidate=60"),
    ]));
    asked.json("1").await;
    settle().await;
    let handle = asked.larder.layer.handle();
    let purged = handle
        .purge_by(&Purge::Uri(key("/a")), Manner::Expire)
        .await;
    assert_eq!(purged.unwrap().count, 1);
    let stale = asked.json("1").await;
    assert_eq!((stale.body.as_str(), stale.is_hit()), ("1", true));
    settle().await;
    assert_eq!(asked.json("1").await.body, "2", "it was fetched meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_a_purge() {
    let (mut sender, res) = streamed(200, &[FRESH]);
    let first = Mutex::new(Some(res));
    let asked = Asked::new(Script::at_once(move |_, _| {
        let first = first.lock().unwrap().take();
        first.unwrap_or_else(|| respond(200, &[FRESH], "new"))
    }));
    let flying = asked.send(query("/a", &[JSON], "1")).await;
    asked.larder.layer.handle().purge(&key("/a")).await.unwrap();
    assert_eq!(asked.json("1").await.body, "new");
    sender.send_data("old".into()).await.unwrap();
    drop(sender);
    assert_eq!(told(flying).await.body, "old");
    settle().await;
    assert_eq!(asked.json("1").await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn who_asks_the_same_at_the_same_time_shares_one_fetch() {
    let script = Script::new(|n, _| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        respond(200, &[FRESH], n.to_string())
    });
    let asked = Asked::new(script);
    let since = tokio::time::Instant::now();
    let (one, two, same, other, again) = tokio::join!(
        asked.json("1"),
        asked.json("2"),
        asked.json(" 1"),
        asked.json("2 "),
        asked.json("1"),
    );
    assert_eq!(asked.calls(), 2);
    assert_eq!([&same.body, &again.body], [&one.body, &one.body]);
    assert_eq!(other.body, two.body);
    assert_ne!(one.body, two.body);
    // And who asks something else does not wait for them.
    assert_eq!(since.elapsed(), Duration::from_secs(1));
    settle().await;
    assert!(asked.json("1").await.is_hit() && asked.json("2").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn it_is_validated_and_served_stale_as_a_get_is() {
    let tagged = &[FRESH, ("etag", "\"1\"")];
    let asked = Asked::new(Script::at_once(|_, req| {
        match req.headers.contains_key("if-none-match") {
            true => respond(304, tagged, ""),
            false => respond(200, tagged, "found"),
        }
    }));
    asked.json("1").await;
    advance(Duration::from_secs(61)).await;
    let renewed = asked.json("1").await;
    assert_eq!(
        renewed.header("cache-status"),
        "larder; fwd=stale; fwd-status=304; stored; ttl=60; detail=stale"
    );
    assert_eq!(renewed.body, "found");
    assert!(asked.json("1").await.is_hit());
    let fields = [JSON, ("if-none-match", "\"1\"")];
    assert_eq!(asked.ask(query("/a", &fields, "1")).await.status, 304);
    let fields = [JSON, ("range", "bytes=1-2")];
    let part = asked.ask(query("/a", &fields, "1")).await;
    assert_eq!((part.status, part.body.as_str()), (206, "ou"));
    assert_eq!(asked.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_behind_the_clients_back_asks_the_same() {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let record = Arc::clone(&seen);
    let larder = Larder::new(Script::numbered(&[]));
    let origin = service_fn(move |req: Request<QueryBody<Body>>| {
        let record = Arc::clone(&record);
        async move {
            let (parts, body) = req.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let line = format!("{} {}", parts.method, String::from_utf8_lossy(&body));
            record.lock().unwrap().push(line);
            let stale = ("cache-control", "max-age=0, stale-while-revalidate=60");
            Ok::<_, Infallible>(respond(200, &[stale], "x"))
        }
    });
    let service = QueryLayer::new().layer(larder.layer.layer(origin));
    for _ in 0..2 {
        let res = service.clone().oneshot(query("/a", &[JSON], "[ 1 ]")).await;
        res.unwrap().into_body().collect().await.unwrap();
        settle().await;
    }
    assert_eq!(*seen.lock().unwrap(), ["QUERY [ 1 ]", "QUERY [ 1 ]"]);
}

/// What an inner service gets of a request with this body, and what is known of it.
async fn handed_on(
    layer: QueryLayer,
    method: &str,
    body: Body,
) -> (Result<(Bytes, Option<HeaderMap>), String>, String) {
    let inner = service_fn(|req: Request<QueryBody<Body>>| async move {
        let (parts, body) = req.into_parts();
        let known = parts.extensions.get::<larder::policy::Content>().copied();
        let body = match body.collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned();
                Ok((body.to_bytes(), trailers))
            }
            Err(error) => Err(error.to_string()),
        };
        Ok::<_, Infallible>((body, format!("{known:?}")))
    });
    let req = request(method, "/a", &[JSON]).map(|_| body);
    let Ok(got) = layer.layer(inner).oneshot(req).await;
    got
}

/// A body of these frames.
struct Frames(VecDeque<Result<Frame<Bytes>, BoxError>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn frames(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> Body {
    Frames(frames.into()).boxed_unsync()
}

#[tokio::test(start_paused = true)]
async fn bodies_go_on_as_they_came() {
    let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    let trailers = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        trailers
    };
    let layer = QueryLayer::new().limit(4);
    for (pieces, known) in [
        (vec![], "Known"),
        (vec!["ab"], "Known"),
        (vec!["a", "", "bcd"], "Known"),
        (vec!["ab", "cde"], "QueryTooLarge"),
        (vec!["abcdef", "g"], "QueryTooLarge"),
    ] {
        let whole = pieces.concat();
        let sent = || pieces.iter().map(|piece| data(piece)).collect::<Vec<_>>();
        let (got, content) = handed_on(layer, "QUERY", frames(sent())).await;
        assert_eq!(got.unwrap(), (Bytes::from(whole.clone()), None));
        assert!(content.contains(known), "{pieces:?} {content}");

        let mut sent_on = sent();
        sent_on.push(Ok(Frame::trailers(trailers())));
        let (got, content) = handed_on(layer, "QUERY", frames(sent_on)).await;
        assert_eq!(got.unwrap(), (Bytes::from(whole), Some(trailers())));
        assert!(content.contains("Unknown"), "{content}");

        let mut broken = sent();
        broken.push(Err("torn".into()));
        let (got, content) = handed_on(layer, "QUERY", frames(broken)).await;
        assert_eq!(got.unwrap_err(), "torn");
        assert!(content.contains("Unknown"), "{content}");

        let (got, content) = handed_on(layer, "POST", frames(sent())).await;
        assert_eq!(got.unwrap().0, pieces.concat());
        assert_eq!(content, "None");
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_that_does_not_come_is_not_waited_for_for_ever() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    sender.send_data("a".into()).await.unwrap();
    let late = async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        sender.send_data("b".into()).await.unwrap();
    };
    let asking = handed_on(QueryLayer::new(), "QUERY", body.boxed_unsync());
    let ((got, content), ()) = tokio::join!(asking, late);
    assert_eq!(got.unwrap().0, "ab");
    assert!(content.contains("QueryUnclear"), "{content}");
}
