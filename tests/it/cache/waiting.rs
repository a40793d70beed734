//! Concurrent requests: who waits for whom, and for how long.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::support::script::{Body, Larder, Script, Told, get, respond, settle};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// A script that takes `millis` for each answer.
fn slow(millis: u64, fields: &'static [(&'static str, &'static str)]) -> Script {
    Script::new(move |n, _| async move {
        sleep(Duration::from_millis(millis)).await;
        respond(200, fields, n.to_string())
    })
}

async fn all(larder: &Arc<Larder>, requests: Vec<http::Request<Body>>) -> Vec<Told> {
    let mut asked = tokio::task::JoinSet::new();
    for req in requests {
        let larder = Arc::clone(larder);
        asked.spawn(async move { larder.ask(req).await });
    }
    asked.join_all().await
}

#[tokio::test(start_paused = true)]
async fn fifty_concurrent_misses_are_one_fetch() {
    let larder = Arc::new(Larder::new(slow(50, &[FRESH])));
    let told = all(&larder, (0..50).map(|_| get("/a", &[])).collect()).await;
    assert_eq!(larder.script.calls(), 1);
    assert!(told.iter().all(|told| told.body == "1"));
    assert_eq!(
        told.iter()
            .filter(|told| told.outcome.collapsed || told.is_hit())
            .count(),
        49
    );
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_for_a_stale_response_are_one_validation() {
    let script = Script::new(|n, _| async move {
        sleep(Duration::from_millis(50)).await;
        match n {
            1 => respond(200, &[FRESH, ("etag", "\"1\"")], "body"),
            _ => respond(304, &[FRESH, ("etag", "\"1\"")], ""),
        }
    });
    let larder = Arc::new(Larder::new(script));
    larder.get("/a").await;
    tokio::time::advance(Duration::from_secs(100)).await;
    let told = all(&larder, (0..20).map(|_| get("/a", &[])).collect()).await;
    assert_eq!(larder.script.calls(), 2);
    assert!(told.iter().all(|told| told.body == "body"));
}

#[tokio::test(start_paused = true)]
async fn uncacheable_requests_do_not_queue() {
    let larder = Arc::new(Larder::new(slow(50, &[("cache-control", "no-store")])));
    let since = Instant::now();
    all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await;
    assert!(
        since.elapsed() <= Duration::from_millis(101),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(larder.script.calls(), 10);
    let since = Instant::now();
    all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await;
    assert!(
        since.elapsed() <= Duration::from_millis(51),
        "remembered: {:?}",
        since.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_must_be_validated_each_time_does_not_queue_either() {
    let larder = Arc::new(Larder::new(slow(
        50,
        &[("cache-control", "no-cache"), ("etag", "\"1\"")],
    )));
    all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await;
    let since = Instant::now();
    all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await;
    assert!(
        since.elapsed() <= Duration::from_millis(51),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn personal_answers_are_not_shared_in_flight() {
    let larder = Arc::new(Larder::new(slow(50, &[FRESH])));
    let requests = ["a", "b", "c"].map(|user| get("/me", &[("authorization", user)]));
    let told = all(&larder, requests.into()).await;
    let mut bodies: Vec<_> = told.iter().map(|told| told.body.as_str()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn variants_in_flight_are_one_fetch_each() {
    let script = Script::new(|_, req| {
        let language = req.headers["accept-language"].to_str().unwrap().to_owned();
        async move {
            sleep(Duration::from_millis(50)).await;
            respond(200, &[FRESH, ("vary", "accept-language")], language)
        }
    });
    let larder = Arc::new(Larder::new(script));
    let languages = ["de", "en", "fr"];
    let requests = (0..30).map(|n| get("/a", &[("accept-language", languages[n % 3])]));
    let told = all(&larder, requests.collect()).await;
    assert_eq!(larder.script.calls(), 3);
    for language in languages {
        assert_eq!(told.iter().filter(|told| told.body == language).count(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_takes_nobody_with_it() {
    let larder = Arc::new(Larder::new(slow(50, &[FRESH])));
    let leader = tokio::spawn({
        let larder = Arc::clone(&larder);
        async move { larder.get("/a").await }
    });
    settle().await;
    let followers = tokio::spawn({
        let larder = Arc::clone(&larder);
        async move { all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await }
    });
    settle().await;
    leader.abort();
    let told = followers.await.unwrap();
    assert!(told.iter().all(|told| told.body == "2"));
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_fetch_that_lands_between_a_miss_and_a_seat_is_found() {
    // Requests that come in at every step of another's fetch never lead to a second one.
    for steps in 0..40 {
        let go = Arc::new(Notify::new());
        let gate = Arc::clone(&go);
        let larder = Arc::new(Larder::new(Script::new(move |n, _| {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                respond(200, &[FRESH], n.to_string())
            }
        })));
        let first = tokio::spawn({
            let larder = Arc::clone(&larder);
            async move { larder.get("/a").await }
        });
        settle().await;
        go.notify_one();
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        assert_eq!(larder.get("/a").await.body, "1");
        first.await.unwrap();
        assert_eq!(larder.script.calls(), 1, "after {steps} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_in_the_moment_that_there_is_something_to_tell() {
    let larder = Arc::new(Larder::new(slow(50, &[FRESH])));
    let since = Instant::now();
    all(&larder, (0..10).map(|_| get("/a", &[])).collect()).await;
    assert!(
        since.elapsed() <= Duration::from_millis(51),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_is_fetched_behind_their_back() {
    let stale = ("cache-control", "max-age=10, stale-while-revalidate=30");
    let larder = Larder::new(Script::new(move |n, _| async move {
        if n > 1 {
            sleep(Duration::from_secs(5)).await;
        }
        respond(200, &[stale], n.to_string())
    }));
    larder.get("/a").await;
    tokio::time::advance(Duration::from_secs(20)).await;
    for _ in 0..3 {
        let since = Instant::now();
        assert_eq!(larder.get("/a").await.body, "1");
        assert_eq!(since.elapsed(), Duration::ZERO);
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(larder.get("/a").await.body, "2");
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_stays_so_when_who_validates_it_leaves() {
    let larder = Arc::new(Larder::new(Script::new(|n, _| async move {
        if n == 2 {
            std::future::pending::<()>().await;
        }
        respond(200, &[FRESH, ("etag", "\"1\"")], n.to_string())
    })));
    larder.get("/a").await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let leaves = tokio::spawn({
        let larder = Arc::clone(&larder);
        async move { larder.get("/a").await }
    });
    settle().await;
    leaves.abort();
    settle().await;
    assert_eq!(larder.get("/a").await.body, "3");
}
