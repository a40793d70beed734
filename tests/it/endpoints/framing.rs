//! Requests that mean different things to different readers, as bytes on a socket.

use crate::support::{
    origin::{Origin, Raw, Then},
    proxy::Larder,
};

#[tokio::test]
async fn ambiguous_requests_are_a_400() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for head in [
        "GET /x HTTP/1.1\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
        "GET http://a/x HTTP/1.1\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n",
        "GET /ü HTTP/1.1\r\nHost: a\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n",
        "GET /x HTTP/1.1\r\nHost : a\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n",
        "nonsense\r\n",
    ] {
        let mut talk = larder.talk(format!("{head}\r\n").as_bytes()).await;
        let answer = talk.hear("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn what_larder_refuses_it_refuses_in_the_shape_of_its_errors() {
    let larder = Larder::start(&[]).await;
    for (head, status, code) in [
        ("GET /x HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (
            "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
            405,
            "method_not_allowed",
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
            405,
            "method_not_allowed",
        ),
    ] {
        let answer = larder.talk(head.as_bytes()).await.hear("}}").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains(&format!(
            "{{\"success\": false, \"error\": {{\"code\": \"{code}\""
        )));
        assert!(
            status != 405 || answer.contains("\r\nallow: GET, "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn tunnels_and_traces_reach_nobody() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let connect = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", origin.address);
    for head in [&*connect, "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let answer = larder.talk(head.as_bytes()).await.hear("}}").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    assert_eq!(origin.asked(), 0);
}

#[tokio::test]
async fn an_unread_body_is_not_taken_for_the_next_request() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/kept").await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for target in [
        "/kept",
        "/proxy?url=kept",
        "/healthz",
        "/proxy",
        "/nothing?",
        "/docs",
    ] {
        for (field, body) in [
            (format!("Content-Length: {}", smuggled.len()), smuggled),
            ("Transfer-Encoding: chunked".to_owned(), &*chunk),
        ] {
            // What follows the body is the second request, if the connection lasts so long.
            let bytes = format!(
                "GET {target} HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n{body}\
                 GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
            );
            let answers = larder.talk(bytes.as_bytes()).await.hear_out().await;
            let count = answers.matches("HTTP/1.1 ").count();
            assert!((1..=2).contains(&count), "{target}: {answers}");
            assert!(!answers.contains("\"/smuggled\""), "{target}: {answers}");
        }
    }
    assert!(origin.seen().iter().all(|head| head.uri != "/smuggled"));
}

#[tokio::test]
async fn both_lengths_at_once_are_never_sent_on() {
    let origin = Raw::sending("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::Close).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let both = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                2\r\nab\r\n0\r\n\r\n";
    larder.talk(both.as_bytes()).await.hear("HTTP/1.1 ").await;
    for head in origin.seen() {
        let head = head.to_lowercase();
        assert!(!head.contains("content-length"), "{head}");
    }
}

#[tokio::test]
async fn one_origin_is_one_key_by_whatever_name_larder_is_called() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for head in [
        "GET http://evil.test/x HTTP/1.1\r\nHost: EVIL.test:80\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
    ] {
        let answer = larder.talk(head.as_bytes()).await.hear("\"/x\"").await;
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
    }
    assert_eq!(origin.asked(), 1);
    assert_eq!(
        origin.last().headers["host"],
        origin.address.to_string().as_str()
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let larder = Larder::start(&[]).await;
    let head = format!(
        "GET /x HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "x".repeat(300_000)
    );
    let mut talk = larder.talk(b"").await;
    talk.say(&head.as_bytes()[..140_000]).await;
    let answer = talk.hear_out().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let head = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let mut talk = larder.talk(head.as_bytes()).await;
    assert!(talk.hear("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    talk.say(b"body").await;
    assert!(talk.hear("\"/x\"").await.starts_with("HTTP/1.1 200 "));
}
