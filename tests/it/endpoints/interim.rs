//! Interim responses (1xx) go on to clients that may have them, and into no cache.

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use crate::support::{
    origin::{Raw, Then, read_head},
    proxy::{Larder, Talk, proxy_target, soon},
};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\n\
    link: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\nx-mine: 1\r\nvia: 1.1 larder\r\n\r\n";

/// Two of them, the fields of one connection, and the response after them.
fn hinted(response: &str) -> String {
    format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\
         Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\n\r\n{response}"
    )
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: larder.test\r\n\r\n")
}

/// An origin that is played by the test.
struct Stage {
    listener: TcpListener,
    larder: Larder,
}

impl Stage {
    async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let larder = Larder::before(&origin, &[]).await;
        Stage { listener, larder }
    }

    /// The next request, on a connection of its own.
    async fn asked(&self) -> (TcpStream, String) {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        let head = soon(read_head(&mut stream)).await.unwrap();
        (stream, head)
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// What comes up to the end of `body`.
async fn hear_to(talk: &mut Talk, body: &str) -> String {
    let heard = talk.hear(body).await;
    assert!(heard.ends_with(body), "{heard}");
    heard
}

#[tokio::test]
async fn come_before_the_response() {
    let stage = Stage::set().await;
    let mut client = stage.larder.talk(get("/a").as_bytes()).await;
    let (mut origin, _) = stage.asked().await;
    say(&mut origin, &hinted("")).await;
    let early = client.hear("x-mine: 1\r\nvia: 1.1 larder\r\n\r\n").await;
    let processing = "HTTP/1.1 102 Processing\r\nvia: 1.1 larder\r\n\r\n";
    assert_eq!(early, format!("{processing}{HINTS}"));
    // Only now does the origin answer.
    say(&mut origin, &ok("first")).await;
    let answer = hear_to(&mut client, "first").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        !answer.contains("103") && !answer.contains("link"),
        "{answer}"
    );
    assert!(answer.contains("x-cache: MISS"), "{answer}");

    // What is stored is the response alone.
    let hit = stage.larder.until_hit("/a").await;
    assert_eq!((hit.status, hit.text()), (200, "first"));
    assert_eq!((hit.header("link"), hit.header("x-mine")), ("", ""));
    client.say(get("/a").as_bytes()).await;
    let hit = hear_to(&mut client, "first").await;
    assert!(hit.starts_with("HTTP/1.1 200 OK\r\n"), "{hit}");
    assert!(hit.contains("x-cache: HIT"), "{hit}");
}

#[tokio::test]
async fn stay_with_their_request() {
    let stage = Stage::set().await;
    // Both at once, on one connection.
    let both = get("/a") + &get("/b");
    let mut client = stage.larder.talk(both.as_bytes()).await;
    let (mut origin, head) = stage.asked().await;
    assert!(head.starts_with("GET /a "), "{head}");
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst";
    say(&mut origin, close).await;
    let (mut origin, head) = stage.asked().await;
    assert!(head.starts_with("GET /b "), "{head}");
    say(&mut origin, &hinted("")).await;
    let heard = client.hear("x-mine: 1\r\nvia: 1.1 larder\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
    let (first, after) = heard.split_once("\r\n\r\nfirst").unwrap();
    assert!(!first.contains("HTTP/1.1 1"), "{heard}");
    assert!(
        after.starts_with("HTTP/1.1 102 ") && after.ends_with(HINTS),
        "{heard}"
    );
    say(&mut origin, &ok("second")).await;
    let second = hear_to(&mut client, "second").await;
    assert!(second.starts_with("HTTP/1.1 200 OK\r\n"), "{second}");
}

#[tokio::test]
async fn with_the_response_in_one_piece() {
    let origin = Raw::sending(hinted(&ok("whole")), Then::Stay).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let mut client = larder.talk(b"").await;
    client.say(get("/a").as_bytes()).await;
    let heard = hear_to(&mut client, "whole").await;
    let (early, answer) = heard.split_once("HTTP/1.1 200 OK\r\n").unwrap();
    assert!(
        early.starts_with("HTTP/1.1 102 ") && early.ends_with(HINTS),
        "{heard}"
    );
    assert!(!answer.contains("HTTP/1.1 1"), "{heard}");
    client.say(get("/a").as_bytes()).await;
    let heard = hear_to(&mut client, "whole").await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn are_not_for_http_1_0() {
    let stage = Stage::set().await;
    let client = stage.larder.talk(b"GET /a HTTP/1.0\r\n\r\n").await;
    let (mut origin, _) = stage.asked().await;
    say(&mut origin, &hinted(&ok("old"))).await;
    let heard = client.hear_out().await;
    assert!(heard.starts_with("HTTP/1.0 200 OK\r\n"), "{heard}");
    assert!(heard.ends_with("old") && !heard.contains("103"), "{heard}");
}

#[tokio::test]
async fn are_not_for_who_waits_with_another_nor_for_the_envelope() {
    let stage = Stage::set().await;
    let mut lead = stage.larder.talk(get("/a").as_bytes()).await;
    let (mut origin, _) = stage.asked().await;
    let mut follower = stage.larder.talk(get("/a").as_bytes()).await;
    say(&mut origin, &hinted("")).await;
    lead.hear(HINTS).await;
    say(&mut origin, &ok("shared")).await;
    hear_to(&mut lead, "shared").await;
    let heard = hear_to(&mut follower, "shared").await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");

    let mut envelope = stage.larder.talk(get(&proxy_target("/b")).as_bytes()).await;
    drop(origin);
    let (mut origin, _) = stage.asked().await;
    say(&mut origin, &hinted(&ok("enveloped"))).await;
    let heard = envelope.hear("}").await;
    assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
}
