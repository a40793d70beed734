//! Each limit is met: there is an answer that says so, and a counter that moves.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use larder::proxy::{Proxy, config::Config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Notify,
};

use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    script::respond,
};

/// Waits until the counter of that name has this value.
pub(super) async fn counted(larder: &Larder, name: &str, value: u64) {
    soon(async {
        loop {
            let figures = larder.get("/metrics").await.json();
            let count = figures["metrics"][name].as_u64();
            if count.unwrap_or_else(|| panic!("no {name} in {figures}")) >= value {
                return;
            }
        }
    })
    .await;
}

fn with_fields(fields: usize, length: usize) -> String {
    let field = format!("X: {}\r\n", "x".repeat(length));
    format!(
        "GET /x HTTP/1.1\r\nHost: h\r\n{}\r\n",
        field.repeat(fields - 1)
    )
}

#[tokio::test]
async fn who_comes_with_many_others_at_once_is_heard() {
    let config = Config {
        port: 0,
        ..Config::default()
    };
    let proxy = Proxy::bind(config).await.unwrap();
    // Nothing is accepted yet, so all of them wait.
    let mut waiting = Vec::new();
    for _ in 0..300 {
        waiting.push(soon(TcpStream::connect(proxy.local_addr())).await.unwrap());
    }
}

#[tokio::test]
async fn large_heads_are_a_431_and_long_targets_a_414() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let long = |n| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "x".repeat(n)
        )
    };
    for (head, status) in [
        (with_fields(98, 10), 200),
        (with_fields(101, 10), 431),
        (with_fields(2, 31 << 10), 200),
        (with_fields(2, 33 << 10), 431),
        (with_fields(2, 200 << 10), 431),
        (long(8191), 200),
        (long(8192), 414),
        (long(20 << 10), 414),
        (long(70_000), 431),
    ] {
        let mut talk = larder.talk(b"").await;
        talk.say(&head.as_bytes()[..head.len().min(130 << 10)])
            .await;
        let answer = talk.hear("\r\n\r\n").await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(
            line.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line} {}",
            head.len()
        );
    }
    counted(&larder, "refused_heads", 4).await;
    counted(&larder, "refused_targets", 2).await;
    larder.talk(b"nonsense\r\n\r\n").await.hear_out().await;
    counted(&larder, "refused_malformed", 1).await;
    let text = larder
        .ask("GET", "/metrics", &[("accept", "text/plain")])
        .await;
    assert!(text.text().contains("# TYPE larder_refused_heads counter"));
}

#[tokio::test]
async fn the_limits_are_those_that_the_flags_say() {
    let flags = ["--max-head=1KiB", "--max-target=20", "--max-headers=5"];
    let larder = Larder::start(&flags).await;
    for (head, status) in [
        (with_fields(5, 10), 404),
        (with_fields(6, 10), 431),
        (with_fields(2, 1100), 431),
        (
            "GET /12345678901234567890 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            414,
        ),
    ] {
        let answer = larder.talk(head.as_bytes()).await.hear("\r\n\r\n").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_head_that_comes_in_drops_is_a_408() {
    let larder = Larder::start(&["--header-timeout=0.2"]).await;
    for whole in ["", "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"] {
        // Also behind a request that came in time.
        let mut talk = larder.talk(whole.as_bytes()).await;
        if !whole.is_empty() {
            talk.hear("serving").await;
        }
        talk.say(b"GET /x HTTP/1.1\r\nHost: h\r\nX: ").await;
        let answer = talk.hear_out().await;
        assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
    }
    // What may yet become HTTP/2, and what not.
    for first in [&b"P"[..], b"PR", b"PO"] {
        let answer = larder.talk(first).await.hear_out().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    counted(&larder, "refused_slow_heads", 5).await;
}

#[tokio::test]
async fn a_connection_may_be_silent_for_a_while_and_no_longer() {
    let larder = Larder::start(&["--idle-timeout=0.2", "--header-timeout=0.01"]).await;
    assert_eq!(larder.talk(b"").await.hear_out().await, "");
    let mut talk = larder
        .talk(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    talk.hear("serving").await;
    assert_eq!(talk.hear_out().await, "");
    counted(&larder, "closed_idle", 2).await;
}

/// A body may take as long as it likes, as long as it moves: that is no head.
#[tokio::test]
async fn a_slow_body_is_no_slow_head() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &["--header-timeout=0.05"]).await;
    let head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo";
    let mut talk = larder.talk(head).await;
    // A head that began later is late by now, and so this one would be.
    let late = larder
        .talk(b"GET /x HTTP/1.1\r\nX: ")
        .await
        .hear_out()
        .await;
    assert!(late.starts_with("HTTP/1.1 408 "), "{late}");
    talk.say(b"dy").await;
    assert!(talk.hear("\"/x\"").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_body_that_stalls_is_not_waited_for() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &["--timeout=0.2"]).await;
    let head = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo";
    let answer = larder.talk(head).await.hear_out().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\"request_timeout\""), "{answer}");
    counted(&larder, "refused_slow_bodies", 1).await;
}

/// Also one that differs from what was asked before, and answered, in its target alone.
#[tokio::test]
async fn a_head_above_the_flag_is_a_431_though_its_answer_is_at_hand() {
    let origin =
        Origin::at_once(|_, _| respond(200, &[("cache-control", "max-age=60")], "x")).await;
    let larder = Larder::before(&origin.url(), &["--max-head=1KiB"]).await;
    let long = format!("/{}", "y".repeat(400));
    larder.until_hit("/x").await;
    larder.until_hit(&long).await;
    let fields = format!("Host: h\r\nX: {}\r\n", "x".repeat(700));
    let mut talk = larder.talk(b"").await;
    for (target, status) in [("/x", 200), ("/x", 200), (&*long, 431)] {
        let head = format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
        talk.say(head.as_bytes()).await;
        let answer = talk.hear("\r\n\r\n").await;
        assert!(answer.contains(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    counted(&larder, "refused_heads", 1).await;
}

/// Nor where hyper knows nothing of the answer.
#[tokio::test]
async fn who_asks_again_and_does_not_read_is_not_waited_for() {
    let origin = Origin::at_once(|_, request| {
        let size = if request.uri().path() == "/x" {
            7 << 20
        } else {
            5
        };
        respond(200, &[("cache-control", "max-age=60")], vec![b'x'; size])
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--timeout=0.3"]).await;
    larder.until_hit("/x").await;
    larder.until_hit("/y").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(larder.address).await.unwrap();
    let mut answer = [0; 4096];
    for _ in 0..2 {
        stream
            .write_all(b"GET /y HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        let count = soon(stream.read(&mut answer)).await.unwrap();
        assert!(answer[..count].ends_with(b"\r\n\r\nxxxxx"));
    }
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    counted(&larder, "refused_slow_readers", 1).await;
}

#[tokio::test]
async fn who_does_not_read_is_not_waited_for() {
    let origin = Origin::at_once(|_, _| respond(200, &[], vec![b'x'; 30 << 20])).await;
    let flags = ["--timeout=0.3", "--max-object=1MiB"];
    let larder = Larder::before(&origin.url(), &flags).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(larder.address).await.unwrap();
    let request = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).await.unwrap();
    counted(&larder, "refused_slow_readers", 1).await;
    let mut read = Vec::new();
    let _ = soon(stream.read_to_end(&mut read)).await;
    // That is what was on the way, of which the system keeps little.
    let most = if cfg!(target_os = "linux") { 1 } else { 29 };
    assert!(read.len() < most << 20, "{}", read.len());
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait() {
    let larder = Larder::start(&["--max-connections=1"]).await;
    let mut first = larder
        .talk(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    first.hear("serving").await;
    let close = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut second = larder.talk(close).await;
    let early = tokio::time::timeout(
        std::time::Duration::from_millis(100),
        second.hear("serving"),
    );
    assert!(early.await.is_err());
    first.say(close).await;
    first.hear_out().await;
    second.hear("serving").await;
    drop(second);
    counted(&larder, "refused_connections", 1).await;
}

#[tokio::test]
async fn nobody_is_counted_who_does_not_wait() {
    let larder = Larder::start(&["--max-connections=2"]).await;
    let metrics = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut both = [larder.talk(metrics).await, larder.talk(metrics).await];
    for one in &mut both {
        one.hear("\"refused_connections\": 0").await;
    }
    both[0].say(metrics).await;
    both[0].hear("\"refused_connections\": 0").await;
}

#[tokio::test]
async fn no_more_wait_for_one_fetch_than_may() {
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let origin = Origin::serving({
        let (asked, go) = (asked.clone(), go.clone());
        move |_, _| {
            let (asked, go) = (asked.clone(), go.clone());
            async move {
                asked.notify_one();
                go.notified().await;
                respond(200, &[], "late")
            }
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--max-waiting=1"]).await;
    let first = larder.get("/x");
    let others = async {
        asked.notified().await;
        let (one, other) = (larder.get("/x"), larder.get("/x"));
        let turned_away = tokio::select! {
            answer = one => answer,
            answer = other => answer,
        };
        assert_eq!(turned_away.error(), (503, "too_many_waiting".to_owned()));
        assert_eq!(turned_away.header("retry-after"), "1");
        go.notify_one();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.text(), "late");
    assert!(larder.get("/x").await.is_hit());
    assert_eq!(origin.asked(), 1);
    counted(&larder, "refused_waiting", 1).await;
}

#[tokio::test]
async fn bodies_that_are_received_share_one_room() {
    let origin = Origin::at_once(|_, _| respond(200, &[], vec![b'x'; 100_000])).await;
    let larder = Larder::before(&origin.url(), &["--max-fills=10KiB"]).await;
    for _ in 0..2 {
        let answer = larder.get("/x").await;
        assert_eq!((answer.body.len(), answer.is_hit()), (100_000, false));
    }
    counted(&larder, "refused_fills", 2).await;
}

/// With a length that says so, and without.
#[tokio::test]
async fn bodies_that_are_too_large_go_past_the_store() {
    let origin = Origin::at_once(|_, request| {
        let large = vec![b'x'; 20 << 10];
        match request.uri().path() {
            "/chunks" => respond(200, &[("transfer-encoding", "chunked")], large),
            _ => respond(200, &[], large),
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &["--max-object=10KiB"]).await;
    for target in ["/x", "/x", "/chunks", "/chunks"] {
        let answer = larder.get(target).await;
        assert_eq!((answer.body.len(), answer.is_hit()), (20 << 10, false));
    }
    let wrapped = larder.proxy("x").await;
    assert_eq!(wrapped.error(), (502, "upstream_too_large".to_owned()));
    counted(&larder, "refused_objects", 5).await;
}

/// Bodies count until they are sent; those that the store holds anyway do not.
#[tokio::test]
async fn bodies_that_proxy_holds_share_one_room() {
    let origin = Origin::at_once(|_, request| {
        let kept = match request.uri().path() {
            "/kept" => "max-age=60",
            _ => "no-store",
        };
        let fields = [
            ("content-type", "application/json"),
            ("cache-control", kept),
        ];
        respond(200, &fields, format!("\"{}\"", "x".repeat(20 << 20)))
    })
    .await;
    let flags = ["--max-object=32MiB", "--max-envelopes=30MiB"];
    let larder = Larder::before(&origin.url(), &flags).await;
    let unread = async |url| {
        let head = format!("GET /proxy?url={url} HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut talk = larder.talk(head.as_bytes()).await;
        assert!(talk.hear("\"data\"").await.contains(" 200 OK"));
        talk
    };
    assert_eq!(larder.get("/proxy?url=kept").await.status, 200);
    let hits = (unread("kept").await, unread("kept").await);
    let held = unread("other").await;
    let refused = larder.get("/proxy?url=other").await;
    assert_eq!(refused.error(), (503, "too_many_envelopes".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    counted(&larder, "refused_envelopes", 1).await;
    drop(held);
    soon(async { while larder.get("/proxy?url=other").await.status != 200 {} }).await;
    drop(hits);
}

#[tokio::test]
async fn in_h2_heads_are_bounded_too_and_a_connection_grows_old() {
    let larder = Larder::start(&["--h2-age=0.3", "--max-headers=20"]).await;
    let stream = TcpStream::connect(larder.address).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/healthz", larder.address);
    for (fields, length, status) in [(10, 10, 200), (30, 10, 431), (10, 3_500, 431)] {
        let mut request = Request::get(&uri).version(Version::HTTP_2);
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "x".repeat(length));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), status, "{fields} of {length}");
        let _ = response.into_body().collect().await;
    }
    // It is told to go, and goes.
    soon(connection).await.unwrap().unwrap();
    assert!(sender.is_closed());
    counted(&larder, "closed_aged", 1).await;
}

/// What else is asked, and answered, on its connection neither hurries it nor keeps it waiting.
#[tokio::test]
async fn in_h2_an_answer_may_take_its_time_beside_others() {
    let gate = Arc::new(Notify::new());
    let origin = Origin::serving({
        let gate = Arc::clone(&gate);
        move |_, request| {
            let gate = Arc::clone(&gate);
            async move {
                if request.uri().path() == "/slow" {
                    gate.notified().await;
                }
                respond(200, &[], "x")
            }
        }
    })
    .await;
    let flags = ["--header-timeout=0.05", "--idle-timeout=1"];
    let larder = Larder::before(&origin.url(), &flags).await;
    let stream = TcpStream::connect(larder.address).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(connection);
    let get = |path: &str| {
        let request = Request::get(format!("http://{}{path}", larder.address));
        let request = request.version(Version::HTTP_2);
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    let slow = sender.send_request(get("/slow"));
    for _ in 0..3 {
        let fast = soon(sender.send_request(get("/fast"))).await.unwrap();
        assert_eq!(fast.status(), 200);
    }
    // A head that began later is late by now.
    for _ in 0..3 {
        let late = larder.talk(b"GET /x HTTP/1.1\r\nX: ").await;
        assert!(late.hear_out().await.starts_with("HTTP/1.1 408 "));
    }
    gate.notify_one();
    assert_eq!(soon(slow).await.unwrap().status(), 200);
    // And then it is silent, and told to go.
    soon(connection).await.unwrap().unwrap();
}

/// Streams that are opened and reset at once (CVE-2023-44487): the connection is closed.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let larder = Larder::start(&[]).await;
    let mut stream = TcpStream::connect(larder.address).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for n in 0..2000u32 {
        let id = (2 * n + 1).to_be_bytes();
        // HEADERS with :method GET, :scheme http, :path /, :authority h; then RST_STREAM.
        bytes.extend_from_slice(&[0, 0, 6, 1, 5]);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(b"\x82\x86\x84\x41\x01h");
        bytes.extend_from_slice(&[0, 0, 4, 3, 0]);
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(&[0, 0, 0, 8]);
    }
    let _ = stream.write_all(&bytes).await;
    let mut heard = Vec::new();
    // It may be reset before all is read; but it ends.
    let _ = soon(stream.read_to_end(&mut heard)).await;
    let goaway = heard.windows(5).any(|bytes| bytes[3] == 7 && bytes[4] == 0);
    assert!(goaway || heard.is_empty(), "{heard:?}");
    counted(&larder, "refused_floods", 1).await;
}
