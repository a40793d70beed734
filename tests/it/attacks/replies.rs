//! Responses of an origin that is broken or hostile: 502, and its connection is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::support::{
    origin::read_head,
    proxy::{Larder, soon},
};

/// Answers each head with the same bytes, and tells when larder has closed a connection.
struct Hostile {
    url: String,
    closed: mpsc::UnboundedReceiver<()>,
    opened: Arc<AtomicUsize>,
}

impl Hostile {
    async fn sending(bytes: impl Into<Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (told, closed) = mpsc::unbounded_channel();
        let (bytes, opened) = (bytes.into(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&opened);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (bytes, told) = (bytes.clone(), told.clone());
                tokio::spawn(async move {
                    while read_head(&mut stream).await.is_some() {
                        if stream.write_all(&bytes).await.is_err() {
                            break;
                        }
                    }
                    let _ = stream.read_u8().await;
                    let _ = told.send(());
                });
            }
        });
        Hostile {
            url,
            closed,
            opened,
        }
    }
}

#[tokio::test]
async fn malformed_heads() {
    for head in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 3",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: two",
        "Content-Length:",
        "Content-Length: 2\r\nX: a\r\n b",
        "Content-Length: 2\r\nX: a\u{0}b",
        "Content-Length: 2\r\nX: a\rY: b",
        "Content-Length: 2\r\nX Y: b",
        "Content-Length : 2",
        "Content-Length: 2\r\nno colon",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        let mut origin = Hostile::sending(bytes).await;
        let larder = Larder::before(&origin.url, &["--timeout=5"]).await;
        for asked in 1..=2 {
            let error = larder.get("/x").await.error();
            assert_eq!(error, (502, "upstream_protocol".to_owned()), "{head:?}");
            soon(origin.closed.recv()).await.unwrap();
            assert_eq!(origin.opened.load(Ordering::Relaxed), asked, "{head:?}");
        }
    }
}

#[tokio::test]
async fn heads_that_do_not_end() {
    let field = format!("X: {}\r\n", "x".repeat(3000));
    for (fields, status) in [(20, 200), (60, 502)] {
        let end = "Content-Length: 0\r\n\r\n";
        let bytes = format!("HTTP/1.1 200 OK\r\n{}{end}", field.repeat(fields));
        let mut origin = Hostile::sending(bytes).await;
        let larder = Larder::before(&origin.url, &["--timeout=5"]).await;
        let answer = larder.get("/x").await;
        assert_eq!(answer.status, status, "{fields}");
        if status == 502 {
            assert_eq!(answer.error().1, "upstream_protocol");
            soon(origin.closed.recv()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn malformed_status_lines() {
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 OK",
        "HTTP/2.0 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200 O\u{0}K",
        "200 OK",
        "<html>",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x",
    ] {
        let bytes = format!("{line}\r\nContent-Length: 2\r\n\r\nok");
        let mut origin = Hostile::sending(bytes).await;
        let larder = Larder::before(&origin.url, &["--timeout=5"]).await;
        let error = larder.get("/x").await.error();
        assert_eq!(error, (502, "upstream_protocol".to_owned()), "{line:?}");
        soon(origin.closed.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_not_kept() {
    for chunks in [
        "zz\r\nok\r\n0\r\n\r\n",
        "2\r\nokk\r\n0\r\n\r\n",
        "-2\r\nok\r\n0\r\n\r\n",
    ] {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut origin = Hostile::sending(format!("{head}{chunks}")).await;
        let larder = Larder::before(&origin.url, &[]).await;
        for _ in 0..2 {
            let wrapped = larder.proxy("x").await;
            assert_eq!(wrapped.status, 502, "{chunks:?}");
            soon(origin.closed.recv()).await.unwrap();
        }
    }
}

/// What follows a response that was not asked for is the answer to nothing.
#[tokio::test]
async fn a_second_response_is_not_given_to_the_next_request() {
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let origin = Hostile::sending(format!("{first}{evil}")).await;
        let larder = Larder::before(&origin.url, &[]).await;
        for n in 0..20 {
            let answer = larder.get(&format!("/{n}")).await;
            assert_ne!(answer.text(), "evil", "{first:?}");
        }
    }
}

/// It would be part of the next response on the client's connection.
#[tokio::test]
async fn a_response_that_has_no_body_goes_on_without_one() {
    for line in ["204 No Content", "304 Not Modified"] {
        let bytes = format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\n\r\nevil!");
        let origin = Hostile::sending(bytes).await;
        let larder = Larder::before(&origin.url, &[]).await;
        let two = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n\
                   GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let answers = larder.talk(two.as_bytes()).await.hear_out().await;
        assert!(!answers.contains("evil"), "{answers}");
        assert!(
            line.starts_with("304") || !answers.contains("length: 5\r\n"),
            "{answers}"
        );
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    }
}

/// An origin cannot have a message mean something else by calling a field its connection's.
#[tokio::test]
async fn connection_takes_nothing_vital_away() {
    for (field, named) in [
        ("Cache-Control: private", "cache-control"),
        ("Cache-Control: max-age=60, no-store", "Cache-Control"),
        ("Vary: *", "vary"),
        ("Set-Cookie: a=b", "set-cookie"),
    ] {
        let bytes = format!(
            "HTTP/1.1 200 OK\r\nConnection: {named}\r\n{field}\r\nContent-Length: 2\r\n\r\nok"
        );
        let origin = Hostile::sending(bytes).await;
        let larder = Larder::before(&origin.url, &["--ttl=60"]).await;
        for _ in 0..2 {
            let answer = larder.get("/x").await;
            assert_eq!(answer.text(), "ok");
            assert!(!answer.is_hit(), "{field}");
            assert!(answer.headers.contains_key(named), "{field}");
        }
    }
}
