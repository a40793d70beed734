//! Bodies and trailers pass as they come, in both directions.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, channel::Channel};
use tokio::sync::mpsc;
use tower::BoxError;

use crate::support::{
    origin::{Origin, Raw, Then},
    proxy::{Answer, Larder, open, request, soon, with_body},
    script::{respond, streamed},
};

#[tokio::test]
async fn a_request_body_arrives_before_all_of_it_is_sent() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, request| {
        let arrived = arrived.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.unwrap().into_data() {
                    arrived.send(data).unwrap();
                }
            }
            respond(200, &[], "all there")
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (method, fields) in [
        ("POST", &[][..]),
        ("PUT", &[("content-length", "10")]),
        ("GET", &[("transfer-encoding", "chunked")]),
    ] {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
        let request = with_body(method, "/upload", fields, body.boxed_unsync());
        let response = tokio::spawn(open(larder.address, request));
        for piece in ["first", "later"] {
            sender.send_data(Bytes::from(piece)).await.unwrap();
            assert_eq!(soon(arrivals.recv()).await.unwrap(), piece);
        }
        drop(sender);
        let answer = Answer::of(soon(response).await.unwrap()).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "all there"));
        let head = origin.last().headers;
        match method {
            "PUT" => assert_eq!(head["content-length"], "10"),
            _ => assert_eq!(head["transfer-encoding"], "chunked"),
        }
        assert_ne!(
            head.contains_key("transfer-encoding"),
            head.contains_key("content-length")
        );
    }
}

#[tokio::test]
async fn a_request_body_that_breaks_off_is_not_taken_for_whole() {
    let (told, mut ends) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, request| {
        let told = told.clone();
        async move {
            told.send(request.into_body().collect().await.is_ok())
                .unwrap();
            respond(200, &[], "")
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let head = format!("POST /x HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        drop(larder.talk(head.as_bytes()).await);
        assert!(!soon(ends.recv()).await.unwrap(), "{framing}");
    }
}

#[tokio::test]
async fn a_response_goes_out_before_all_of_it_has_come() {
    let (send, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, request| {
        let stored = request.uri().path() == "/stored";
        let lifetime = if stored { "max-age=60" } else { "no-store" };
        let (sender, response) = streamed(200, &[("cache-control", lifetime)]);
        send.send(sender).unwrap();
        async { response }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (method, target) in [("GET", "/stored"), ("GET", "/passed"), ("POST", "/posted")] {
        let asked = request(method, target, &[], "");
        let mut response = open(larder.address, asked).await;
        let mut sender = soon(senders.recv()).await.unwrap();
        for piece in ["first", "later"] {
            sender.send_data(Bytes::from(piece)).await.unwrap();
            let frame = soon(response.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece, "{target}");
        }
        drop(sender);
        assert!(soon(response.frame()).await.is_none());
    }
    let again = larder.get("/stored").await;
    assert_eq!((again.is_hit(), again.text()), (true, "firstlater"));
}

#[tokio::test]
async fn who_leaves_early_does_not_keep_a_response_from_being_stored() {
    let (send, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, _| {
        let (sender, response) = streamed(200, &[]);
        send.send(sender).unwrap();
        async { response }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let mut talk = larder.talk(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut sender = soon(senders.recv()).await.unwrap();
    sender.send_data(Bytes::from("first")).await.unwrap();
    talk.hear("first").await;
    drop(talk);
    sender.send_data(Bytes::from("later")).await.unwrap();
    drop(sender);
    assert_eq!(larder.until_hit("/x").await.text(), "firstlater");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let origin = Origin::serving(|_, request| async {
        let body = request.into_body().collect().await.unwrap();
        let given = body.trailers().cloned().unwrap_or_default();
        let (mut sender, response) = streamed(200, &[("trailer", "x-sum")]);
        tokio::spawn(async move {
            sender.send_data(Bytes::from("body")).await.unwrap();
            let mut trailers = HeaderMap::new();
            let sum = given.get("x-sent").cloned();
            trailers.insert("x-sum", sum.unwrap_or_else(|| "none".parse().unwrap()));
            sender.send(Frame::trailers(trailers)).await.unwrap();
        });
        response
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let te = [("te", "trailers"), ("connection", "te")];
    for word in ["MISS", "HIT"] {
        let answer = larder.ask("GET", "/x", &te).await;
        assert_eq!((answer.text(), answer.header("x-cache")), ("body", word));
        assert_eq!(answer.trailers.unwrap()["x-sum"], "none", "{word}");
    }
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    let fields = [&te[..], &[("trailer", "x-sent")]].concat();
    let request = with_body("POST", "/x", &fields, body.boxed_unsync());
    let response = tokio::spawn(open(larder.address, request));
    sender.send_data(Bytes::from("given")).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sent", "7".parse().unwrap());
    sender.send(Frame::trailers(trailers)).await.unwrap();
    drop(sender);
    let answer = Answer::of(soon(response).await.unwrap()).await.unwrap();
    assert_eq!(answer.trailers.unwrap()["x-sum"], "7");
}

#[tokio::test]
async fn head_is_answered_as_the_origin_answers_it() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\nX-Told: yes\r\n\
                          Cache-Control: no-store\r\n\r\n";
    let origin = Raw::sending(ANSWER, Then::Stay).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let answer = larder.ask("HEAD", "/x", &[]).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("content-length"), "42");
    assert_eq!(answer.header("x-told"), "yes");
    assert!(origin.seen()[0].starts_with("HEAD /x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn head_is_answered_from_what_get_stored() {
    let origin = Origin::saying("text/plain", b"hello").await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/x").await;
    let answer = larder.ask("HEAD", "/x", &[]).await;
    assert!(answer.is_hit());
    assert_eq!((answer.header("content-length"), answer.text()), ("5", ""));
    // And the other way round it is not.
    assert!(!larder.ask("HEAD", "/y", &[]).await.is_hit());
    assert_eq!(larder.get("/y").await.text(), "hello");
}
