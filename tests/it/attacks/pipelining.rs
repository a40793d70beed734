//! The body of one request is never made into the next request, whatever the answer was.

use crate::support::{
    origin::{Origin, nobody},
    proxy::Larder,
    script::respond,
};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// `head` (without its last line) with [`SMUGGLED`] for its body, by length and in one chunk, and
/// another request behind it.
fn with_smuggled(head: &str) -> [String; 2] {
    let size = SMUGGLED.len();
    let last = "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    [
        format!("{head}Content-Length: {size}\r\n\r\n{SMUGGLED}{last}"),
        format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{SMUGGLED}\r\n0\r\n\r\n{last}"
        ),
    ]
}

/// One answer for the first, and at most one for the last.
async fn no_more_than_two(larder: &Larder, request: &str) {
    let answers = larder.talk(request.as_bytes()).await.hear_out().await;
    let count = answers.matches("HTTP/1.1 ").count();
    assert!((1..=2).contains(&count), "{request}: {answers}");
    if count == 2 {
        assert!(answers.contains("serving"), "{request}: {answers}");
    }
}

#[tokio::test]
async fn answers_that_are_larders_own() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/kept").await;
    for line in [
        "GET /kept",
        "HEAD /kept",
        "GET /proxy?url=kept",
        "GET /proxy",
        "GET /healthz",
        "GET /docs/none",
        "POST /metrics",
        "DELETE /cache?url=",
        "PURGE /nothing",
        "TRACE /x",
        "CONNECT h:1",
        "GET x",
        "POST /%2e%2e/x",
    ] {
        for request in with_smuggled(&format!("{line} HTTP/1.1\r\nHost: h\r\n")) {
            no_more_than_two(&larder, &request).await;
        }
    }
    assert!(origin.seen().iter().all(|head| head.uri != "/smuggled"));
}

#[tokio::test]
async fn errors_and_answers_that_come_before_the_body_was_read() {
    let hasty = Origin::serving(|_, request| async move {
        // It is dropped with its body unread.
        drop(request);
        respond(413, &[], "no")
    })
    .await;
    let gone = nobody();
    for url in [hasty.url(), gone.url()] {
        let larder = Larder::before(&url, &[]).await;
        for line in ["POST /x", "GET /x", "PUT /x"] {
            for request in with_smuggled(&format!("{line} HTTP/1.1\r\nHost: h\r\n")) {
                no_more_than_two(&larder, &request).await;
            }
        }
    }
    assert!(hasty.seen().iter().all(|head| head.uri != "/smuggled"));
}

#[tokio::test]
async fn a_body_that_is_refused_is_not_waited_for() {
    let larder = Larder::start(&[]).await;
    let head = "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n";
    let request = format!("{head}{}", SMUGGLED.repeat(500));
    let answer = larder.talk(request.as_bytes()).await.hear_out().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}
