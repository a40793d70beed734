//! What was purged stays purged.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use larder::policy::Key;

use crate::support::script::{Larder, Script, get, request, respond, settle, streamed, told};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn clearing_forgets_everything() {
    let larder = Larder::new(Script::numbered(&[FRESH]));
    larder.get("/a").await;
    larder.get("/b").await;
    larder.layer.handle().clear().await.unwrap();
    assert!(!larder.get("/a").await.is_hit());
    assert!(!larder.get("/b").await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn purging_a_uri_forgets_all_its_variants_and_nothing_else() {
    let larder = Larder::new(Script::numbered(&[FRESH, ("vary", "x-a")]));
    let fields = [[("x-a", "1")], [("x-a", "2")]];
    for fields in &fields {
        larder.ask(get("/a", fields)).await;
        larder.ask(get("/b", fields)).await;
    }
    let (parts, _) = get("/a", &[]).into_parts();
    assert!(larder.layer.handle().purge(&Key::of(&parts)).await.unwrap());
    for fields in &fields {
        assert!(!larder.ask(get("/a", fields)).await.is_hit());
        assert!(larder.ask(get("/b", fields)).await.is_hit());
    }
}

/// A fetch whose body comes while `during` happens is not served afterwards.
async fn not_served_after<F: Future<Output = ()>>(during: impl FnOnce(Arc<Larder>) -> F) {
    let (mut sender, res) = streamed(200, &[FRESH]);
    let first = Mutex::new(Some(res));
    let script = Script::at_once(move |_, req| match first.lock().unwrap().take() {
        Some(res) if req.method == "GET" => res,
        _ => respond(200, &[FRESH], "new"),
    });
    let larder = Arc::new(Larder::new(script));
    let in_flight = larder.send(get("/a", &[])).await;
    sender.send_data("old".into()).await.unwrap();
    during(Arc::clone(&larder)).await;
    assert_eq!(
        larder.get("/a").await.body,
        "new",
        "a flight from before is not boarded"
    );
    drop(sender);
    assert_eq!(
        told(in_flight).await.body,
        "old",
        "who asked before gets its answer"
    );
    settle().await;
    assert_eq!(larder.get("/a").await.body, "new", "and it is not stored");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_a_clearing() {
    not_served_after(|larder| async move { larder.layer.handle().clear().await.unwrap() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_an_unsafe_method() {
    not_served_after(|larder| async move {
        larder.ask(request("DELETE", "/a", &[])).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_304_does_not_bring_back_what_was_purged() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go);
    let larder = Arc::new(Larder::new(Script::new(move |n, _| {
        let gate = Arc::clone(&gate);
        async move {
            match n {
                1 => respond(200, &[FRESH, ("etag", "\"1\"")], "old"),
                2 => {
                    gate.notified().await;
                    respond(304, &[FRESH, ("etag", "\"1\"")], "")
                }
                _ => respond(200, &[FRESH], "new"),
            }
        }
    })));
    larder.get("/a").await;
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    let validating = tokio::spawn({
        let larder = Arc::clone(&larder);
        async move {
            larder
                .send(get("/a", &[]))
                .await
                .into_body()
                .collect()
                .await
        }
    });
    settle().await;
    larder.layer.handle().clear().await.unwrap();
    go.notify_one();
    assert_eq!(validating.await.unwrap().unwrap().to_bytes(), "old");
    assert_eq!(larder.get("/a").await.body, "new");
}
