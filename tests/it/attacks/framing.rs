//! Heads that different readers read differently: 400, and the connection is closed.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, channel::Channel};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::BoxError;

use crate::support::{
    origin::Origin,
    proxy::{Answer, Larder, soon},
    script::{Body, respond},
};

/// What would be answered if the connection went on.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends `head` and another request after it; the first is a `status`, and there is no second.
async fn refused(larder: &Larder, head: &[u8], status: u16) {
    let shown = String::from_utf8_lossy(head);
    let answer = larder.talk(&[head, NEXT].concat()).await.hear_out().await;
    let expected = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&expected), "{shown:?}: {answer:?}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{shown:?}: {answer}");
}

#[tokio::test]
async fn hosts() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a/b\r\n",
        "Host: a@b\r\n",
        "Host: a\\b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a:\r\n",
        "Host: a:x\r\n",
        "Host: a:+1\r\n",
        "Host: a:1:2\r\n",
        "Host: a:65536\r\n",
        "Host: :80\r\n",
        "Host: [::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [fe80::1%25lo]\r\n",
        "Host: ü\r\n",
        "Host: a\u{0}b\r\n",
        "Host : a\r\n",
        "Host\t: a\r\n",
        " Host: a\r\n",
        "Host: a\r\n b\r\n",
    ] {
        let head = format!("GET /x HTTP/1.1\r\n{fields}\r\n");
        refused(&larder, head.as_bytes(), 400).await;
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn lengths() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for fields in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-encoding: x",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\u{0}: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1, 2",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length: 1_0",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: 1\r\n 0",
    ] {
        let head = format!("POST /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        refused(&larder, head.as_bytes(), 400).await;
    }
    let old = b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = larder.talk(old).await.hear_out().await;
    assert!(answer.contains(" 400 Bad Request\r\n"), "{answer}");
    assert_eq!(origin.asked(), 0);
}

/// RFC 9112 §6.1: the length is not believed, not sent on, and nothing more is read.
#[tokio::test]
async fn a_length_beside_chunks_is_dropped_and_the_connection_closed() {
    let origin = Origin::at_once(|_, request| respond(200, &[], request.body().clone())).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let both =
            format!("POST /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n7\r\nGET /y \r\n0\r\n\r\n");
        let bytes = [both.as_bytes(), NEXT].concat();
        let answer = larder.talk(&bytes).await.hear_out().await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.ends_with("\r\n\r\nGET /y "), "{answer}");
    }
    for head in origin.seen() {
        assert_eq!(head.uri, "/x");
        assert_eq!(head.headers["transfer-encoding"], "chunked");
        assert!(!head.headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn lines_and_fields() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for head in [
        "GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nX\u{0}: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n",
        "GET /x HTTP/1.1\rHost: h\r\r",
        "GET /x HTTP/1.1\r\nHost: h\r\nX Y: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET /x HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET /x HTTP/1.2\r\nHost: h\r\n\r\n",
        "GET /x HTTP/3.0\r\nHost: h\r\n\r\n",
        "GET /x http/1.1\r\nHost: h\r\n\r\n",
        "GET /x HTTP/1.1 \r\nHost: h\r\n\r\n",
        "G\u{0}T /x HTTP/1.1\r\nHost: h\r\n\r\n",
        "G(T /x HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        refused(&larder, head.as_bytes(), 400).await;
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn targets() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for target in [
        "",
        "x",
        "h",
        "h:80",
        "*",
        "?x",
        "/ü",
        "/a b",
        "/a\tb",
        "/a\u{1}b",
        "/a\u{7f}b",
        "http:x",
        "http://",
        "http:///x",
        "http://h?x",
        "ftp://h/x",
        "http://u@h/x",
        "http://u:p@h/x",
        "http://other/x",
        "http://h.other/x",
        "http://h:81/x",
        "http://h:443/x",
        "https://h:80/x",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        refused(&larder, head.as_bytes(), 400).await;
    }
    refused(&larder, b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400).await;
    assert_eq!(origin.asked(), 0);
    for target in [
        "http://h/x",
        "HTTP://H/x",
        "http://h:80/x",
        "https://h:443/x",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = larder.talk(head.as_bytes()).await.hear("\"/x\"").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
    }
}

#[tokio::test]
async fn tunnels_and_traces_are_a_405() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let to = origin.address;
    for head in [
        format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"),
        format!("CONNECT / HTTP/1.1\r\nHost: {to}\r\n\r\n"),
        "TRACE /x HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n".to_owned(),
    ] {
        refused(&larder, head.as_bytes(), 405).await;
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn an_upgrade_is_not_forwarded_and_nothing_is_tunnelled() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let upgrade = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n\
                   GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answers = larder.talk(upgrade.as_bytes()).await.hear_out().await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert!(!answers.contains(" 101 "), "{answers}");
    for head in origin.seen() {
        assert!(!head.headers.contains_key("upgrade"));
        assert!(!head.headers.contains_key("connection"));
    }
}

#[tokio::test]
async fn chunks_that_are_none() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for chunks in [
        "zz\r\nab\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2 2\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nab\r\n0\r\n\r\n",
        "2\rab\r\n0\r\n\r\n",
        "2;\u{0}\rab\r\n0\r\n\r\n",
    ] {
        let head = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = [head.as_bytes(), chunks.as_bytes(), NEXT].concat();
        let answer = larder.talk(&bytes).await.hear_out().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {answer}"
        );
    }
    assert!(origin.seen().iter().all(|head| head.uri == "/x"));
}

async fn ask_h2(larder: &Larder, request: Request<Body>) -> Answer {
    let stream = TcpStream::connect(larder.address).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let response = soon(sender.send_request(request)).await.unwrap();
    soon(Answer::of(response)).await.unwrap()
}

fn h2(uri: String) -> http::request::Builder {
    Request::get(uri).version(Version::HTTP_2)
}

/// A body whose length nobody is told.
fn unsized_body(text: &'static str) -> Body {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    tokio::spawn(async move { sender.send_data(Bytes::from(text)).await });
    body.boxed_unsync()
}

#[tokio::test]
async fn in_h2_authority_and_host_must_agree_too() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (authority, host, status) in [
        ("h", "other", 400),
        ("h:81", "h", 400),
        ("h", "a@h", 400),
        ("u@h", "h", 400),
        ("h", "H:80", 200),
    ] {
        let request = h2(format!("http://{authority}/x")).header("host", host);
        let answer = ask_h2(&larder, request.body(unsized_body("")).unwrap()).await;
        assert_eq!(answer.status, status, "{authority} {host}");
    }
}

/// Of a GET with a body, the origin makes what it likes: not what others asked for.
#[tokio::test]
async fn what_a_get_with_a_body_brings_is_not_kept_nor_is_it_looked_up() {
    let origin = Origin::at_once(|_, request| respond(200, &[], request.body().clone())).await;
    let larder = Larder::before(&origin.url(), &["--ttl=60"]).await;
    let uri = || format!("http://{}/x", larder.address);
    let poison = || h2(uri()).body(unsized_body("poison")).unwrap();
    for _ in 0..2 {
        let answer = ask_h2(&larder, poison()).await;
        assert_eq!((answer.is_hit(), answer.text()), (false, "poison"));
        for field in [
            "Content-Length: 6\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n6\r\n",
        ] {
            let bytes = format!(
                "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{field}poison\r\n0\r\n\r\n"
            );
            let answer = larder.talk(bytes.as_bytes()).await.hear_out().await;
            assert!(answer.contains("\r\nx-cache: MISS\r\n"), "{answer}");
            assert!(answer.contains("poison"), "{answer}");
        }
    }
    assert_eq!(larder.get("/x").await.text(), "");
    assert!(larder.get("/x").await.is_hit());
    assert!(!ask_h2(&larder, poison()).await.is_hit());
}

/// Nor of a HEAD: it is no hit, and what it brings changes nothing that is stored.
#[tokio::test]
async fn what_a_head_with_a_body_brings_is_not_kept_nor_is_it_looked_up() {
    let origin = Origin::at_once(|_, request| {
        let tag = match request.body().is_empty() {
            true => "\"plain\"",
            false => "\"poison\"",
        };
        let body = match *request.method() {
            http::Method::HEAD => "",
            _ => "plain",
        };
        respond(200, &[("etag", tag)], body)
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--ttl=60"]).await;
    larder.get("/x").await;
    assert!(larder.ask("HEAD", "/x", &[]).await.is_hit());
    let bodies = [
        "Content-Length: 6\r\n\r\npoison",
        "Transfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
    ];
    let asked_for_x = || origin.seen().iter().filter(|head| head.uri == "/x").count();
    for (asked, body) in (2..).zip(bodies) {
        let bytes = format!("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{body}");
        let answer = larder.talk(bytes.as_bytes()).await.hear_out().await;
        assert!(answer.contains("\r\nx-cache: MISS\r\n"), "{answer}");
        assert!(answer.contains("\r\netag: \"poison\"\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(asked_for_x(), asked);
        for method in ["GET", "HEAD"] {
            let kept = larder.ask(method, "/x", &[]).await;
            assert_eq!((kept.is_hit(), kept.header("etag")), (true, "\"plain\""));
        }
        // Nor is anything stored where there was nothing.
        let other = bytes.replace("/x", "/other");
        larder.talk(other.as_bytes()).await.hear_out().await;
    }
    assert!(!larder.ask("HEAD", "/other", &[]).await.is_hit());
}
