//! `Upstream` against scripted origins over real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "clippy takes helpers of tests for other code"
)]

mod guard;
mod origin;
mod tls;

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};
use larder::upstream::{Body, Error, ErrorKind, Upstream};
use tokio::{net::TcpListener, time::Instant};
use tower::{Service, ServiceExt};

use self::origin::{
    Origin,
    Step::{Answer, Close, Hang},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn failure<B>(upstream: &Upstream, request: Request<B>) -> Error
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match upstream.clone().oneshot(request).await {
        Ok(response) => panic!("{response:?}"),
        Err(error) => error,
    }
}

async fn text(response: Response<Body>) -> Result<String, Error> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// A body of unknown length; it ends in an error if a piece is one.
struct Pieces(Vec<Result<&'static str, io::Error>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.0.remove(0);
        Poll::Ready(Some(piece.map(|text| Frame::data(Bytes::from(text)))))
    }
}

#[tokio::test]
async fn passes_on_what_belongs_to_the_message_and_nothing_else() {
    let origin = Origin::playing(vec![vec![Answer(
        "HTTP/1.1 404 Not Here\r\nConnection: x-private, keep-alive\r\nX-Private: 1\r\n\
         Keep-Alive: timeout=5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 4\r\n\r\nnone",
    )]])
    .await;
    let uri = format!("http://me:secret@{}/path?query=1", origin.address);
    let request = Request::get(uri)
        .version(Version::HTTP_2)
        .header(header::HOST, "elsewhere.example")
        .header(header::CONNECTION, "x-mine")
        .header("x-mine", "1")
        .header(header::TE, "trailers, gzip")
        .header(header::UPGRADE, "h2c")
        .header(header::ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = origin.upstream().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 404);
    let names: Vec<&str> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names, ["set-cookie", "content-length"]);
    assert_eq!(
        response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .count(),
        2
    );
    assert_eq!(text(response).await.unwrap(), "none");
    let requests = origin.requests();
    let mut lines: Vec<&str> = requests[0][0].trim_end().split("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "GET /path?query=1 HTTP/1.1",
            "accept: text/plain",
            "connection: te",
            &format!("host: {}", origin.address),
            "te: trailers",
        ]
    );
}

#[tokio::test]
async fn connections_are_kept() {
    let origin = Origin::playing(vec![vec![Answer(OK), Answer(OK)]]).await;
    let mut upstream = origin.upstream();
    for path in ["/1", "/2"] {
        let response = upstream.call(get(&origin.uri(path))).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "ok");
    }
    assert_eq!(origin.requests()[0].len(), 2);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_tried_anew() {
    let origin = Origin::playing(vec![vec![Answer(OK), Close], vec![Answer(OK)]]).await;
    let mut upstream = origin.upstream();
    let first = upstream.call(get(&origin.uri("/1"))).await.unwrap();
    assert_eq!(text(first).await.unwrap(), "ok");
    let second = upstream.call(get(&origin.uri("/2"))).await.unwrap();
    assert_eq!(text(second).await.unwrap(), "ok");
    let requests = origin.requests();
    assert!(requests[0][1].starts_with("GET /2 "));
    assert_eq!(requests[0][1], requests[1][0]);
}

#[tokio::test]
async fn nothing_else_is_tried_twice() {
    // A connection that never answered.
    let origin = Origin::playing(vec![vec![Close], vec![Answer(OK)]]).await;
    let error = failure(&origin.upstream(), get(&origin.uri("/"))).await;
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert_eq!(origin.requests().len(), 1);

    // A method that is not safe.
    let origin = Origin::playing(vec![vec![Answer(OK), Close], vec![Answer(OK)]]).await;
    let mut upstream = origin.upstream();
    let first = upstream.call(get(&origin.uri("/"))).await.unwrap();
    assert_eq!(text(first).await.unwrap(), "ok");
    let post = Request::post(origin.uri("/"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    assert_eq!(failure(&upstream, post).await.kind(), ErrorKind::Broken);

    // A body.
    let origin = Origin::playing(vec![vec![Answer(OK), Close], vec![Answer(OK)]]).await;
    let mut upstream = origin.upstream();
    let first = upstream.call(get(&origin.uri("/"))).await.unwrap();
    assert_eq!(text(first).await.unwrap(), "ok");
    let with_body = Request::get(origin.uri("/"))
        .body(Full::new(Bytes::from("x")))
        .unwrap();
    assert_eq!(
        failure(&upstream, with_body).await.kind(),
        ErrorKind::Broken
    );

    // The second attempt.
    let twice = || vec![Answer(OK), Close];
    let origin = Origin::playing(vec![twice(), vec![Close], vec![Answer(OK)]]).await;
    let mut upstream = origin.upstream();
    let first = upstream.call(get(&origin.uri("/"))).await.unwrap();
    assert_eq!(text(first).await.unwrap(), "ok");
    assert_eq!(
        failure(&upstream, get(&origin.uri("/"))).await.kind(),
        ErrorKind::Broken
    );
    assert_eq!(origin.requests().len(), 2);
}

#[tokio::test]
async fn a_head_that_does_not_come_is_a_timeout() {
    let origin = Origin::playing(vec![vec![Hang("HTTP/1.1 200 OK\r\n")]]).await;
    let upstream = origin.upstream();
    tokio::time::pause();
    let begin = Instant::now();
    let error = failure(&upstream, get(&origin.uri("/slow?secret"))).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        error.to_string(),
        format!("{} took too long to answer", origin.address)
    );
    // tokio's timers are good to the millisecond.
    let waited = begin.elapsed();
    assert!(
        (30_000..=30_005).contains(&waited.as_millis()),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_lookup_that_hangs_is_a_timeout() {
    let upstream = Upstream::builder()
        .timeout(Duration::from_secs(2))
        .resolver(|_| std::future::pending())
        .build();
    tokio::time::pause();
    let error = failure(&upstream, get("http://slow.example/")).await;
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_that_stalls_is_a_timeout_and_a_slow_reader_is_not() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
    let origin = Origin::playing(vec![vec![Hang(half)]]).await;
    let response = origin
        .upstream()
        .oneshot(get(&origin.uri("/")))
        .await
        .unwrap();
    let mut body = response.into_body();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, "half");

    tokio::time::pause();
    let begin = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let waited = begin.elapsed();
    assert!(
        (30_000..=30_005).contains(&waited.as_millis()),
        "{waited:?}"
    );
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_that_is_cut_is_broken() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf";
    let origin = Origin::playing(vec![vec![Answer(cut)]]).await;
    let response = origin
        .upstream()
        .oneshot(get(&origin.uri("/")))
        .await
        .unwrap();
    let error = text(response).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert_eq!(error.host(), origin.address.to_string());

    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let origin = Origin::playing(vec![vec![Answer(cut)]]).await;
    let response = origin
        .upstream()
        .oneshot(get(&origin.uri("/")))
        .await
        .unwrap();
    assert_eq!(text(response).await.unwrap_err().kind(), ErrorKind::Broken);
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for answer in [
        "220 smtp.example ready\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let origin = Origin::playing(vec![vec![Answer(answer)]]).await;
        let error = failure(&origin.upstream(), get(&origin.uri("/"))).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer}: {error:#}");
    }
    let bad_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let origin = Origin::playing(vec![vec![Answer(bad_chunk)]]).await;
    let response = origin
        .upstream()
        .oneshot(get(&origin.uri("/")))
        .await
        .unwrap();
    assert_eq!(
        text(response).await.unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[tokio::test]
async fn a_port_where_nobody_listens_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let upstream = Upstream::builder().allow_private(true).build();
    let error = failure(&upstream, get(&format!("http://{address}/"))).await;
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.to_string(), format!("{address} cannot be reached"));
    assert!(format!("{error:#}").contains("refused"), "{error:#}");
}

#[tokio::test]
async fn trailers_pass() {
    let origin = Origin::playing(vec![vec![Answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    )]])
    .await;
    let response = origin
        .upstream()
        .oneshot(get(&origin.uri("/")))
        .await
        .unwrap();
    assert!(!response.headers().contains_key(header::TRANSFER_ENCODING));
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "ok");
}

#[tokio::test]
async fn request_bodies_arrive_whatever_the_method() {
    for method in [Method::POST, Method::GET] {
        let origin = Origin::playing(vec![vec![Answer(OK), Answer(OK)]]).await;
        let mut upstream = origin.upstream();
        let request = Request::builder()
            .method(method)
            .uri(origin.uri("/"))
            // Ends like a head, so that the origin reads it as one more request.
            .body(Pieces(vec![Ok("one"), Ok("two\r\n\r\n")]))
            .unwrap();
        assert!(upstream.call(request).await.is_ok());
        let arrived = async {
            while origin.requests()[0].len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, arrived)
            .await
            .expect("the body arrives");
        let requests = origin.requests();
        assert!(requests[0][0].contains("transfer-encoding: chunked"));
        assert_eq!(requests[0][1], "3\r\none\r\n7\r\ntwo\r\n\r\n");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_not_the_upstream_s_fault() {
    let origin = Origin::playing(vec![vec![Hang("")]]).await;
    let broken = Pieces(vec![Ok("one"), Err(io::Error::other("the client left"))]);
    let request = Request::post(origin.uri("/")).body(broken).unwrap();
    let error = failure(&origin.upstream(), request).await;
    assert_eq!(error.kind(), ErrorKind::Request, "{error:#}");

    let tunnel = Request::connect("http://127.0.0.1:1/").body(Empty::<Bytes>::new());
    let error = failure(&origin.upstream(), tunnel.unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Request);
}
