//! The end: what is in flight is finished, health tells of it, and nobody idle holds it up.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    script::{respond, streamed},
};

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let (send, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, _| {
        let (sender, response) = streamed(200, &[]);
        send.send(sender).unwrap();
        async { response }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let ask = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut direct = larder.talk(ask).await;
    let mut sender = soon(senders.recv()).await.unwrap();
    sender.send_data(Bytes::from("first")).await.unwrap();
    direct.hear("first").await;
    let ask = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut other = larder.talk(ask).await;
    assert!(other.hear("}").await.starts_with("HTTP/1.1 200 "));

    let done = larder.stop();
    // Health is told on connections that are there, and on the last answer they close.
    let health = loop {
        other.say(ask).await;
        let answer = other.hear("}").await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer + &other.hear_out().await;
        }
    };
    assert!(health.starts_with("HTTP/1.1 503 "), "{health}");
    assert!(health.contains("\"code\": \"draining\""), "{health}");
    assert!(health.contains("connection: close\r\n"), "{health}");

    assert!(!done.is_finished());
    sender.send_data(Bytes::from(" and last")).await.unwrap();
    drop(sender);
    direct.hear("0\r\n\r\n").await;
    soon(done).await.unwrap();
}

/// Those who ask again and again, too, are told that it was for the last time.
#[tokio::test]
async fn who_asks_again_is_sent_away() {
    let (send, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, request| {
        let (sender, streaming) = streamed(200, &[]);
        let response = match request.uri().path() {
            "/kept" => respond(200, &[("cache-control", "max-age=60")], "kept"),
            _ => {
                send.send(sender).unwrap();
                streaming
            }
        };
        async { response }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let mut slow = larder.talk(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut sender = soon(senders.recv()).await.unwrap();
    sender.send_data(Bytes::from("first")).await.unwrap();
    slow.hear("first").await;
    larder.until_hit("/kept").await;
    let ask = b"GET /kept HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut again = larder.talk(ask).await;
    for _ in 0..3 {
        again.hear("\r\n\r\nkept").await;
        again.say(ask).await;
    }
    again.hear("\r\n\r\nkept").await;

    let done = larder.stop();
    loop {
        again.say(ask).await;
        if again
            .hear("\r\n\r\nkept")
            .await
            .contains("\r\nconnection: close\r\n")
        {
            break;
        }
    }
    assert_eq!(again.hear_out().await, "");
    drop(sender);
    soon(done).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_holds_nothing_up() {
    let larder = Larder::start(&[]).await;
    let silent = larder.talk(b"").await;
    let mut idle = larder
        .talk(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    idle.hear("}").await;
    soon(larder.stop()).await.unwrap();
    assert_eq!(silent.hear_out().await, "");
    assert_eq!(idle.hear_out().await, "");
}
