//! What is taken for a request, what is understood of it, and what is sent.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, request};
use http_body_util::Full;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    cache::CacheLayer,
    metrics::Metrics,
    proxy::{
        Origin, backend::Backend, config::Config, draining::Draining, interim::Outbox, past::Io,
    },
};

const ASK: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// One that has `/a`, with this body, and nothing else.
async fn front(body: &'static str) -> Front {
    let config = Config {
        origin: Some(Origin::parse("http://o.test").unwrap()),
        ..Config::default()
    };
    let metrics = Metrics::new();
    let cache = CacheLayer::new(Backend::open(&config, &metrics).await.unwrap());
    let origin = service_fn(move |_: Request<()>| async move {
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
    });
    let request = Request::get("http://o.test/a").body(()).unwrap();
    let response = cache.layer(origin).oneshot(request).await.unwrap();
    http_body_util::BodyExt::collect(response).await.unwrap();
    Front::new(&config, (cache.handle(), metrics), Draining::default())
}

/// A connection that can hold so many bytes, on which hyper was asked [`ASK`] and answered it, and
/// its other end.
async fn connection(front: Front, holds: usize) -> (Io<DuplexStream>, DuplexStream) {
    let (near, mut far) = duplex(holds);
    let line = Line::default();
    let express = Express::new((Some(front), Answering::default(), line.clone()), 8192);
    let mut io = Io::new(near, express, Outbox::default());
    far.write_all(ASK).await.unwrap();
    assert_eq!(read(&mut io).await, ASK);
    line.came(true);
    line.knows(head(&[]));
    answered(&mut io).await;
    (io, far)
}

/// The head of [`ASK`], and these fields.
fn head(fields: &[(&'static str, &'static str)]) -> request::Parts {
    let mut request = Request::get("/a").header("host", "h");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// hyper has all of the answer, and sends it.
async fn answered(io: &mut Io<DuplexStream>) {
    drop(Due::new((), Some(io.express.line.clone())));
    io.flush().await.unwrap();
}

/// What hyper reads.
async fn read(io: &mut Io<DuplexStream>) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let read = tokio::time::timeout(Duration::from_secs(5), io.read(&mut bytes));
    let count = read.await.expect("it is hyper's to read").unwrap();
    bytes.truncate(count);
    bytes
}

/// Whether hyper reads nothing of what came.
async fn reads_nothing(io: &mut Io<DuplexStream>) -> bool {
    let mut bytes = [0; 8192];
    tokio::select! {
        biased;
        _ = io.read(&mut bytes) => false,
        () = std::future::ready(()) => true,
    }
}

#[tokio::test]
async fn what_is_known_is_answered_without_hyper() {
    let (mut io, mut far) = connection(front("body").await, 8192).await;
    for _ in 0..3 {
        far.write_all(ASK).await.unwrap();
        assert!(reads_nothing(&mut io).await);
        io.flush().await.unwrap();
        let mut answer = vec![0; 8192];
        let count = far.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\ncontent-length: 4\r\n\r\nbody"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\ncache-status: larder; hit; ttl="),
            "{answer}"
        );
    }
    assert_eq!(io.express.answering.came_so_far(), 3);
}

#[tokio::test]
async fn all_else_is_hypers_to_read() {
    let front = front("body").await;
    for other in [
        "GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: h\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: h\r\n\r\n",
        "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\tHTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
        "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let (mut io, mut far) = connection(front.clone(), 8192).await;
        far.write_all(other.as_bytes()).await.unwrap();
        assert_eq!(String::from_utf8(read(&mut io).await).unwrap(), other);
    }
}

#[tokio::test]
async fn what_came_is_answered_before_what_comes() {
    let front = front("body").await;
    let other = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    // hyper has the request; it is being answered; hyper has the answer.
    for is_answered in [None, Some(false), Some(true)] {
        let (mut io, mut far) = connection(front.clone(), 8192).await;
        far.write_all(other).await.unwrap();
        read(&mut io).await;
        if let Some(is_answered) = is_answered {
            io.express.line.came(true);
            if is_answered {
                drop(Due::new((), Some(io.express.line.clone())));
            }
        }
        // Now, and ever after.
        for _ in 0..3 {
            far.write_all(ASK).await.unwrap();
            assert_eq!(read(&mut io).await, ASK, "{is_answered:?}");
            io.express.line.came(true);
            answered(&mut io).await;
        }
    }
}

#[tokio::test]
async fn who_does_not_send_one_head_after_the_other_is_left_to_hyper() {
    let front = front("body").await;
    let post = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 28\r\n\r\n";
    let one_and_a_half = [ASK, b"GET /b HTTP/1.1\r\nX: "].concat();
    for (came, is_whole) in [
        (&post[..], false),
        (&one_and_a_half, true),
        (b"GET /b HTTP/1.1\r\nX: ", true),
    ] {
        let (mut io, mut far) = connection(front.clone(), 8192).await;
        far.write_all(came).await.unwrap();
        read(&mut io).await;
        io.express.line.came(is_whole);
        answered(&mut io).await;
        far.write_all(ASK).await.unwrap();
        assert_eq!(
            read(&mut io).await,
            ASK,
            "{:?}",
            Bytes::copy_from_slice(came)
        );
    }
}

#[tokio::test]
async fn who_closes_asks_no_more() {
    let (mut io, mut far) = connection(front("body").await, 8192).await;
    let closing = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n";
    for _ in 0..2 {
        far.write_all(closing.as_bytes()).await.unwrap();
        assert_eq!(read(&mut io).await, closing.as_bytes());
        io.express.line.came(true);
        io.express.line.knows(head(&[("connection", "Close")]));
        answered(&mut io).await;
    }
}

#[tokio::test]
async fn what_is_answered_is_sent_before_the_end() {
    let (mut io, mut far) = connection(front("body").await, 64).await;
    far.write_all(ASK).await.unwrap();
    assert!(reads_nothing(&mut io).await);
    let mut heard = String::new();
    let (shut, read) = tokio::join!(io.shutdown(), far.read_to_string(&mut heard));
    shut.unwrap();
    read.unwrap();
    assert!(heard.ends_with("\r\n\r\nbody"), "{heard}");
}

#[tokio::test]
async fn who_has_much_to_read_is_answered_no_further() {
    let body: &'static str = "x".repeat(20_000).leak();
    let (mut io, mut far) = connection(front(body).await, 64).await;
    far.write_all(ASK).await.unwrap();
    assert!(reads_nothing(&mut io).await);
    far.write_all(ASK).await.unwrap();
    assert_eq!(read(&mut io).await, ASK);
}

#[tokio::test]
async fn who_reads_slowly_gets_all_in_order() {
    for size in [1000, 20_000, 100_000] {
        let body: &'static str = "x".repeat(size).leak();
        let (mut io, mut far) = connection(front(body).await, 64).await;
        let (all, mut heard) = (5, Vec::new());
        let serve = async {
            // As hyper does: it flushes after each try to read.
            for _ in 0..all {
                while io.unsent.bytes().is_empty() {
                    assert!(reads_nothing(&mut io).await);
                    tokio::task::yield_now().await;
                }
                io.write_all(b"and then;").await.unwrap();
            }
        };
        let listen = async {
            for _ in 0..all {
                far.write_all(ASK).await.unwrap();
                let (mut bytes, before) = ([0; 61], heard.len());
                while heard.len() == before || !heard.ends_with(b"and then;") {
                    let count = far.read(&mut bytes).await.unwrap();
                    heard.extend_from_slice(&bytes[..count]);
                }
            }
        };
        let both = async { tokio::join!(serve, listen) };
        tokio::time::timeout(Duration::from_secs(20), both)
            .await
            .unwrap();
        let heard = String::from_utf8(heard).unwrap();
        for answer in heard.split_terminator("and then;") {
            let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.ends_with(&format!("\r\ncontent-length: {size}")),
                "{head}"
            );
            assert_eq!(rest, body);
        }
    }
}

#[test]
fn heads_end_with_the_first_empty_line() {
    assert!(is_head(ASK));
    for no_head in [
        &b""[..],
        b"\r\n",
        b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\n\n",
        b"GET /a HTTP/1.1\n\r\n\r\n",
        b"GET /a HTTP/1.1\n\nb\r\n\r\n",
        b"\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        assert!(!is_head(no_head), "{:?}", Bytes::from_static(no_head));
    }
}

#[test]
fn a_target_is_understood_as_hyper_would() {
    let (head, ()) = Request::get("http://h/a").body(()).unwrap().into_parts();
    let mut known = Known::new(ASK.to_vec(), head).unwrap();
    for target in ["/a", "/", "/b/%20?c=d&e", "//x", "/a;b@c:80"] {
        let came = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = known.understand(came.as_bytes()).unwrap();
        assert_eq!(head.uri.to_string(), target);
        assert_eq!(
            (head.version, &head.headers),
            (Version::HTTP_11, &HeaderMap::new())
        );
    }
    for target in [
        "",
        "*",
        "a",
        "/a b",
        "/\u{e4}",
        "/a#b",
        "/\"",
        "/a\\b",
        "/{a}",
        "/a\r\nb: c",
    ] {
        let came = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(known.understand(came.as_bytes()).is_none(), "{target}");
    }
}

proptest! {
    #[test]
    fn what_is_understood_differs_in_its_target_alone(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3, any::<u8>()), 1..4),
    ) {
        let mut known = Known::new(ASK.to_vec(), head(&[])).unwrap();
        let mut came = ASK.to_vec();
        for (at, edit, byte) in edits {
            let at = at.index(came.len());
            match edit {
                0 => came.insert(at, byte),
                1 => came[at] = byte,
                _ => drop(came.remove(at)),
            }
        }
        if let Some(head) = known.understand(&came) {
            let same = format!("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", head.uri);
            prop_assert_eq!(Bytes::from(came), same);
        }
    }
}
