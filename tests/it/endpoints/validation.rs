//! Validators: the client's conditions answered from the cache, larder's own ones to the origin,
//! and what an unsafe method makes it forget.

use crate::support::{origin::Origin, proxy::Larder, script::respond};

#[tokio::test]
async fn who_has_it_already_is_told_so_from_the_cache() {
    let origin = Origin::at_once(|_, _| respond(200, &[("etag", "\"1\"")], "whole")).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/x").await;
    let known = larder.ask("GET", "/x", &[("if-none-match", "\"1\"")]).await;
    assert_eq!(
        (known.status, known.is_hit(), known.text()),
        (304, true, "")
    );
    let other = larder.ask("GET", "/x", &[("if-none-match", "\"2\"")]).await;
    assert_eq!((other.status, other.text()), (200, "whole"));
    let part = larder.ask("GET", "/x", &[("range", "bytes=1-2")]).await;
    assert_eq!((part.status, part.text()), (206, "ho"));
    // The conditions of the envelope's reader are about the envelope.
    let fields = [("if-none-match", "\"1\""), ("range", "bytes=1-2")];
    let wrapped = larder.ask("GET", "/proxy?url=x", &fields).await;
    assert_eq!((wrapped.status, wrapped.is_hit()), (200, true));
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn what_is_stale_is_asked_about_and_kept_when_it_still_holds() {
    let origin = Origin::at_once(|_, request| {
        let fields = [("etag", "\"1\""), ("cache-control", "no-cache")];
        match request.headers().get("if-none-match") {
            Some(tag) if tag == "\"1\"" => respond(304, &fields, ""),
            _ => respond(200, &fields, "whole"),
        }
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for story in ["fwd=uri-miss", "fwd=stale; fwd-status=304"] {
        let answer = larder.get("/x").await;
        assert_eq!((answer.status, answer.text()), (200, "whole"));
        assert!(!answer.is_hit(), "the origin was asked");
        let told = answer.header("cache-status");
        assert!(told.contains(story), "{told}");
    }
    let wrapped = larder.proxy("x").await;
    assert_eq!(wrapped.json()["source"], "upstream");
    assert_eq!(
        larder.get("/metrics").await.json()["metrics"]["revalidations"],
        2
    );
    assert_eq!(origin.asked(), 3);
}

#[tokio::test]
async fn an_unsafe_method_makes_larder_forget_what_it_changed() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPPATCH"] {
        for target in ["/x", "/y"] {
            larder.until_hit(target).await;
        }
        assert!(!larder.ask(method, "/x", &[]).await.is_hit());
        assert!(!larder.proxy("x").await.is_hit(), "{method}");
        assert!(larder.get("/y").await.is_hit());
    }
}
