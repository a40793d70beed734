//! What was purged stays purged.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use larder::{
    cache::{Manner, Purge},
    policy::Key,
};

use crate::support::script::{Larder, Script, get, request, respond, settle, streamed, told};

fn key(path: &str) -> Key {
    Key::parse(&format!("GET http://api.example{path}"))
}

/// A service whose responses carry the path's first segment as tag, and vary where it says so.
fn tagged(fields: &'static [(&'static str, &'static str)]) -> Larder {
    Larder::new(Script::at_once(move |n, req| {
        let tag = req.uri.path().split('/').nth(1).unwrap().to_owned();
        let mut all = vec![FRESH, ("surrogate-key", &*tag)];
        all.extend(fields);
        respond(200, &all, n.to_string())
    }))
}

async fn is_stored(larder: &Larder, path: &str) -> bool {
    let only = get(path, &[("cache-control", "only-if-cached")]);
    larder.ask(only).await.is_hit()
}

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
    let (mut sender, res) = streamed(200, &[FRESH, ("cache-tag", "flying")]);
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
async fn a_fetch_in_flight_is_not_stored_across_a_purge_of_its_prefix() {
    not_served_after(|larder| async move {
        larder.layer.handle().purge_prefix(&key("/")).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_a_purge_of_its_tag() {
    not_served_after(|larder| async move {
        larder.layer.handle().purge_tag("flying").await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_a_soft_purge() {
    not_served_after(|larder| async move {
        let purge = Purge::Uri(key("/a"));
        let handle = larder.layer.handle();
        handle.purge_by(&purge, Manner::Expire).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_that_is_not_concerned_is_stored() {
    let (mut sender, res) = streamed(200, &[FRESH, ("cache-tag", "b")]);
    let first = Mutex::new(Some(res));
    let larder = Larder::new(Script::at_once(move |_, _| {
        first.lock().unwrap().take().expect("it is asked once")
    }));
    let in_flight = larder.send(get("/a", &[])).await;
    let handle = larder.layer.handle();
    handle.purge_tag("a").await.unwrap();
    handle.purge_prefix(&key("/b")).await.unwrap();
    handle.purge_by(&Purge::All, Manner::Count).await.unwrap();
    sender.send_data("old".into()).await.unwrap();
    drop(sender);
    told(in_flight).await;
    settle().await;
    assert!(is_stored(&larder, "/a").await);
}

/// A tag is known when the head has come, and not before.
#[tokio::test(start_paused = true)]
async fn who_comes_after_a_purge_by_tag_does_not_wait_for_an_older_fetch() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go);
    let larder = Arc::new(Larder::new(Script::new(move |n, _| {
        let gate = Arc::clone(&gate);
        async move {
            if n == 1 {
                gate.notified().await;
                return respond(200, &[FRESH, ("cache-tag", "red")], "old");
            }
            respond(200, &[FRESH, ("cache-tag", "red")], "new")
        }
    })));
    let first = tokio::spawn({
        let larder = Arc::clone(&larder);
        async move { larder.get("/a").await.body }
    });
    settle().await;
    larder.layer.handle().purge_tag("red").await.unwrap();
    let patience = std::time::Duration::from_secs(10);
    let second = tokio::time::timeout(patience, larder.get("/a")).await;
    assert_eq!(second.expect("it waits").body, "new");
    go.notify_one();
    assert_eq!(first.await.unwrap(), "old");
    settle().await;
    assert_eq!(larder.get("/a").await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_prefix_forgets_what_is_below_and_counts_it() {
    let larder = tagged(&[("vary", "x-a")]);
    for path in ["/a", "/a/b", "/a?c", "/ab", "/"] {
        larder.get(path).await;
        larder.ask(get(path, &[("x-a", "1")])).await;
    }
    let handle = larder.layer.handle();
    assert_eq!(handle.purge_prefix(&key("/a")).await.unwrap(), 6);
    for (path, stored) in [
        ("/a", false),
        ("/a/b", false),
        ("/a?c", false),
        ("/ab", true),
        ("/", true),
    ] {
        assert_eq!(is_stored(&larder, path).await, stored, "{path}");
    }
    assert_eq!(handle.purge_prefix(&key("/a")).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_purge_by_tag_forgets_what_carries_it_in_any_of_the_fields() {
    let larder = Larder::new(Script::at_once(|n, req| {
        let field = match req.uri.path() {
            "/keys" => ("surrogate-key", "blue red"),
            "/tags" => ("cache-tag", "blue, red"),
            "/groups" => ("cache-groups", "\"blue\", \"red\""),
            "/other" => ("cache-tag", "redder, blue"),
            _ => ("x-none", ""),
        };
        respond(200, &[FRESH, field, ("vary", "x-a")], n.to_string())
    }));
    let paths = ["/keys", "/tags", "/groups", "/other", "/none"];
    for path in paths {
        larder.get(path).await;
        larder.ask(get(path, &[("x-a", "1")])).await;
    }
    let handle = larder.layer.handle();
    assert_eq!(handle.purge_tag("red").await.unwrap(), 6);
    for path in paths {
        let stays = matches!(path, "/other" | "/none");
        assert_eq!(is_stored(&larder, path).await, stays, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_changes_nothing() {
    let larder = tagged(&[("vary", "x-a")]);
    for n in 0..30 {
        larder.get(&format!("/a/{n}")).await;
        larder.ask(get(&format!("/a/{n}"), &[("x-a", "1")])).await;
    }
    let handle = larder.layer.handle();
    for (purge, count, named) in [
        (Purge::All, 60, 20),
        (Purge::Below(key("/a")), 60, 20),
        (Purge::Tag("a".to_owned()), 60, 20),
        (Purge::Uri(key("/a/1")), 2, 1),
        (Purge::Uri(key("/a")), 0, 0),
    ] {
        let found = handle.purge_by(&purge, Manner::Count).await.unwrap();
        assert_eq!((found.count, found.keys.len()), (count, named), "{purge:?}");
    }
    assert!(is_stored(&larder, "/a/1").await);
}

#[tokio::test(start_paused = true)]
async fn purging_a_uri_counts_its_variants_and_frees_them() {
    let larder = tagged(&[("vary", "x-a")]);
    for path in ["/a", "/b"] {
        larder.get(path).await;
        larder.ask(get(path, &[("x-a", "1")])).await;
    }
    let handle = larder.layer.handle();
    let purge = Purge::Uri(key("/a"));
    for count in [2, 0] {
        let purged = handle.purge_by(&purge, Manner::Forget).await.unwrap();
        assert_eq!(purged.count, count);
    }
    assert_eq!(handle.store().stats().entries, 3, "the other, and its mark");
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_makes_stale_so_that_it_is_served_while_fetched_anew() {
    const WINDOW: (&str, &str) = ("cache-control", "max-age=60, stale-while-revalidate=60");
    for (vary, purge) in [
        ("", Purge::Uri(key("/a"))),
        ("x-a", Purge::Uri(key("/a"))),
        ("x-a", Purge::Tag("t".to_owned())),
        ("", Purge::Below(key("/"))),
        ("", Purge::All),
    ] {
        let larder = Larder::new(Script::at_once(move |n, _| {
            let fields = [WINDOW, ("cache-tag", "t"), ("vary", vary)];
            respond(200, &fields, n.to_string())
        }));
        larder.get("/a").await;
        let handle = larder.layer.handle();
        let purged = handle.purge_by(&purge, Manner::Expire).await.unwrap();
        assert_eq!(purged.count, 1, "{purge:?}");
        let stale = larder.get("/a").await;
        assert!(stale.is_hit() && stale.body == "1", "{purge:?}");
        assert_eq!(stale.outcome.ttl, Some(0));
        settle().await;
        assert_eq!(larder.get("/a").await.body, "2", "{purge:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_soft_purge_of_what_may_not_be_stale_forgets_it() {
    let larder = tagged(&[]);
    larder.get("/a").await;
    let handle = larder.layer.handle();
    let purge = Purge::Uri(key("/a"));
    let purged = handle.purge_by(&purge, Manner::Expire).await.unwrap();
    assert_eq!(purged.count, 1);
    assert!(!is_stored(&larder, "/a").await);
    assert_eq!(handle.store().stats().entries, 0);
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

#[tokio::test(start_paused = true)]
async fn an_unsafe_method_forgets_the_groups_that_its_answer_names_at_its_origin() {
    let larder = Larder::new(Script::at_once(|n, req| {
        if req.method == "GET" {
            let group = match req.uri.path() {
                "/a" => "\"one\", \"two\"",
                "/b" => "\"two\"",
                _ => "\"three\"",
            };
            return respond(200, &[FRESH, ("cache-groups", group)], n.to_string());
        }
        respond(
            200,
            &[("cache-group-invalidation", "\"none\", \"two\"")],
            "",
        )
    }));
    let elsewhere = || get("http://other.example/a", &[]);
    let fill = async || {
        for path in ["/a", "/b", "/c"] {
            larder.get(path).await;
        }
        larder.ask(elsewhere()).await;
    };
    fill().await;
    larder.ask(request("OPTIONS", "/x", &[])).await;
    for path in ["/a", "/b", "/c"] {
        assert!(
            is_stored(&larder, path).await,
            "a safe method forgets nothing"
        );
    }
    larder.ask(request("POST", "/x", &[])).await;
    for (path, stored) in [("/a", false), ("/b", false), ("/c", true)] {
        assert_eq!(is_stored(&larder, path).await, stored, "{path}");
    }
    assert!(larder.ask(elsewhere()).await.is_hit(), "another origin");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_in_flight_is_not_stored_across_the_invalidation_of_its_group() {
    let (mut sender, res) = streamed(200, &[FRESH, ("cache-groups", "\"g\"")]);
    let first = Mutex::new(Some(res));
    let larder = Larder::new(Script::at_once(move |_, req| {
        if req.method == "POST" {
            return respond(403, &[("cache-group-invalidation", "\"g\"")], "");
        }
        let first = first.lock().unwrap().take();
        first.unwrap_or_else(|| respond(200, &[FRESH], "new"))
    }));
    let in_flight = larder.send(get("/a", &[])).await;
    sender.send_data("old".into()).await.unwrap();
    larder.ask(request("POST", "/other", &[])).await;
    drop(sender);
    assert_eq!(told(in_flight).await.body, "old");
    settle().await;
    assert_eq!(larder.get("/a").await.body, "new");
}
