//! `DELETE /cache`, on either backend: what was fetched before it is not served after it.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::support::{
    origin::Origin,
    proxy::{Answer, Larder, open, request, soon},
    redis::{Redis, Reply},
    script::{respond, streamed},
};

async fn clear(larder: &Larder) {
    let answer = larder.ask("DELETE", "/cache", &[]).await;
    assert_eq!(answer.status, 200);
    let whole = r#"{"success": true, "message": "Cache cleared successfully"}"#;
    assert_eq!(answer.text(), whole);
    assert_eq!(answer.header("content-type"), "application/json");
}

/// larder before `origin`, on each backend.
async fn both(origin: &Origin, redis: &Redis) -> [Larder; 2] {
    let url = format!("--redis-url={}", redis.url());
    [
        Larder::before(&origin.url(), &[]).await,
        Larder::before(
            &origin.url(),
            &["--backend=redis", &url, "--redis-timeout=5000"],
        )
        .await,
    ]
}

#[tokio::test]
async fn everything_stored_is_forgotten() {
    let redis = Redis::start();
    redis.command(&["SET", "somebody:else", "1"]);
    let origin = Origin::at_once(|_, _| respond(200, &[("vary", "accept-language")], "x")).await;
    for larder in both(&origin, &redis).await {
        clear(&larder).await; // There is nothing yet.
        for target in ["/a", "/b?c=d"] {
            assert!(!larder.get(target).await.is_hit());
            larder.until_hit(target).await;
        }
        let asked = origin.asked();
        clear(&larder).await;
        for target in ["/a", "/b?c=d"] {
            assert!(!larder.get(target).await.is_hit());
        }
        assert_eq!(origin.asked(), asked + 2);
        // It goes on caching.
        larder.until_hit("/a").await;
    }
    let others = redis.command(&["GET", "somebody:else"]);
    assert_eq!(others, [Reply::Text(b"1".to_vec())]);
}

#[tokio::test]
async fn a_fetch_that_waits_for_its_head_is_not_kept() {
    let redis = Redis::start();
    let (release, held) = watch::channel(false);
    let (told, mut asked) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |number, _| {
        let mut held = held.clone();
        told.send(()).unwrap();
        async move {
            held.wait_for(|held| *held).await.unwrap();
            respond(200, &[], number.to_string())
        }
    })
    .await;
    for larder in both(&origin, &redis).await {
        release.send_replace(false);
        let asking = tokio::spawn(open(larder.address, request("GET", "/x", &[], "")));
        soon(asked.recv()).await.unwrap();
        clear(&larder).await;
        // Who comes now does not join the fetch from before the clearing.
        let later = tokio::spawn(open(larder.address, request("GET", "/x", &[], "")));
        soon(asked.recv()).await.unwrap();
        release.send_replace(true);
        assert_eq!(soon(asking).await.unwrap().status(), 200);
        assert_eq!(soon(later).await.unwrap().status(), 200);
        let kept = larder.until_hit("/x").await;
        assert_eq!(kept.text(), origin.asked().to_string());
    }
    assert_eq!(origin.asked(), 4);
}

#[tokio::test]
async fn a_fetch_that_waits_for_its_body_is_not_kept() {
    let redis = Redis::start();
    let (send, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::serving(move |_, _| {
        let (sender, response) = streamed(200, &[]);
        send.send(sender).unwrap();
        async { response }
    })
    .await;
    for larder in both(&origin, &redis).await {
        let old = open(larder.address, request("GET", "/x", &[], "")).await;
        let mut sender = soon(senders.recv()).await.unwrap();
        sender.send_data(Bytes::from("old ")).await.unwrap();
        clear(&larder).await;
        sender.send_data(Bytes::from("body")).await.unwrap();
        drop(sender);
        let old = Answer::of(old).await.unwrap();
        assert_eq!(old.text(), "old body", "its own client is not cut off");

        let new = open(larder.address, request("GET", "/x", &[], "")).await;
        assert_eq!(new.headers()["x-cache"], "MISS");
        let mut sender = soon(senders.recv()).await.unwrap();
        sender.send_data(Bytes::from("new")).await.unwrap();
        drop(sender);
        soon(Answer::of(new)).await.unwrap();
        assert_eq!(larder.until_hit("/x").await.text(), "new");
    }
}

#[tokio::test]
async fn a_redis_that_cannot_be_asked_is_not_said_to_be_cleared() {
    let mut redis = Redis::start();
    let origin = Origin::echoing().await;
    let [_, larder] = both(&origin, &redis).await;
    larder.get("/x").await;
    larder.until_hit("/x").await;
    redis.kill();
    let answer = larder.ask("DELETE", "/cache", &[]).await;
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned()));
    assert_eq!(larder.get("/x").await.status, 200);
}
