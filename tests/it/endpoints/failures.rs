//! Upstreams that are not there, break off, or are too slow: 502 and 504, and nothing is kept.

use std::sync::Arc;

use crate::support::{
    origin::{Origin, Raw, Then, nobody},
    proxy::{Larder, request, soon},
};

const BROKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=60\r\n\
                      Content-Length: 100\r\n\r\nthe beginning";
const BROKEN_CHUNKS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
                             Transfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n";

/// Both forms of asking for `x` are answered with this error, each time.
async fn both_say(larder: &Larder, status: u16, code: &str) {
    for target in ["/x", "/proxy?url=x", "/x", "/proxy?url=x"] {
        let answer = larder.get(target).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{target}");
        assert!(!answer.is_hit());
        assert!(answer.header("cache-status").starts_with("larder; fwd="));
    }
    let head = larder.ask("HEAD", "/x", &[]).await;
    assert_eq!((head.status, head.text()), (status, ""));
    let post = larder.send(request("POST", "/x", &[], "body")).await;
    assert_eq!(post.error(), (status, code.to_owned()));
}

#[tokio::test]
async fn who_cannot_be_reached_is_a_502() {
    let gone = nobody();
    let larder = Larder::before(&gone.url(), &[]).await;
    both_say(&larder, 502, "upstream_unreachable").await;
}

#[tokio::test]
async fn who_cannot_be_resolved_is_a_502() {
    let larder = Larder::before("http://nobody.invalid", &[]).await;
    both_say(&larder, 502, "upstream_unresolved").await;
}

#[tokio::test]
async fn who_breaks_off_before_answering_is_a_502() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-Ty"] {
        let origin = Raw::sending(bytes, Then::Close).await;
        let larder = Larder::before(&origin.url(), &[]).await;
        both_say(&larder, 502, "upstream_broken").await;
    }
}

#[tokio::test]
async fn who_does_not_speak_http_is_a_502() {
    let origin = Raw::sending("220 mail.test ESMTP\r\n\r\n", Then::Close).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    both_say(&larder, 502, "upstream_protocol").await;
}

#[tokio::test]
async fn who_offers_no_tls_is_a_502() {
    let plain = Origin::echoing().await;
    let larder = Larder::before(&format!("https://{}", plain.address), &[]).await;
    both_say(&larder, 502, "upstream_tls").await;
    assert_eq!(plain.asked(), 0);
}

#[tokio::test]
async fn who_is_too_slow_is_a_504() {
    let origin = Raw::sending("", Then::Stay).await;
    let larder = Larder::before(&origin.url(), &["--timeout=0.1"]).await;
    both_say(&larder, 504, "upstream_timeout").await;
}

/// Those who wait for the same answer do not each wait for the origin by themselves.
#[tokio::test]
async fn a_herd_before_who_is_too_slow_is_told_so_together() {
    const SIZE: usize = 40;
    let origin = Raw::sending("", Then::Stay).await;
    let larder = Arc::new(Larder::before(&origin.url(), &["--timeout=1"]).await);
    let herd = (0..SIZE).map(|_| {
        let larder = Arc::clone(&larder);
        async move { larder.get("/x").await }
    });
    let herd: tokio::task::JoinSet<_> = herd.collect();
    let mut told = Vec::new();
    for answer in herd.join_all().await {
        let story = answer.header("cache-status");
        assert!(story.starts_with("larder; fwd="), "{story}");
        told.push(answer.error());
    }
    let count = |status, code: &str| {
        let error = (status, code.to_owned());
        told.iter().filter(|told| **told == error).count()
    };
    let (asked, failed) = (
        count(504, "upstream_timeout"),
        count(502, "upstream_failed"),
    );
    assert_eq!((asked, asked + failed), (origin.seen().len(), SIZE));
    assert!(asked < SIZE / 2, "{told:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_502_in_the_envelope_and_an_aborted_response_elsewhere() {
    for bytes in [BROKEN, BROKEN_CHUNKS] {
        let origin = Raw::sending(bytes, Then::Close).await;
        let larder = Larder::before(&origin.url(), &[]).await;
        for round in 1..=2 {
            let answer = larder.proxy("x").await;
            assert_eq!(answer.error(), (502, "upstream_broken".to_owned()));
            let raw = larder.talk(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").await;
            // The head and the beginning came, and then the connection ended.
            let raw = raw.hear_out().await;
            assert!(raw.starts_with("HTTP/1.1 200 OK\r\n"), "{raw}");
            assert!(raw.contains("the beginning"), "{raw}");
            assert!(!raw.ends_with("0\r\n\r\n"), "it looks whole: {raw}");
            assert_eq!(origin.seen().len(), round * 2, "something was stored");
        }
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_504() {
    let origin = Raw::sending(BROKEN, Then::Stay).await;
    let larder = Larder::before(&origin.url(), &["--timeout=0.5"]).await;
    let answer = larder.proxy("x").await;
    assert_eq!(answer.error(), (504, "upstream_timeout".to_owned()));
    let raw = larder.talk(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(soon(raw.hear_out()).await.ends_with("the beginning"));
    assert_eq!(origin.seen().len(), 2);
}
