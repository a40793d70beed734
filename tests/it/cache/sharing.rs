//! Nobody gets what was meant for another.

use larder::policy::Policy;

use crate::support::script::{Larder, Script, get, request, respond};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn variants_live_side_by_side() {
    let larder = Larder::new(Script::at_once(|n, req| {
        let language = req
            .headers
            .get("accept-language")
            .map_or("none", |v| v.to_str().unwrap());
        respond(
            200,
            &[FRESH, ("vary", "Accept-Language")],
            format!("{language} {n}"),
        )
    }));
    for (fields, body) in [
        (&[("accept-language", "de")][..], "de 1"),
        (&[("accept-language", "en")], "en 2"),
        (&[], "none 3"),
        (&[("accept-language", "de")], "de 1"),
        (&[("accept-language", "en")], "en 2"),
        (&[], "none 3"),
    ] {
        assert_eq!(larder.ask(get("/a", fields)).await.body, body);
    }
    let miss = larder.ask(get("/a", &[("accept-language", "fr")])).await;
    assert!(
        miss.header("cache-status")
            .starts_with("larder; fwd=vary-miss; stored")
    );
}

#[tokio::test(start_paused = true)]
async fn a_uri_that_begins_to_vary_by_more_is_told_apart_by_all() {
    let larder = Larder::new(Script::at_once(|n, _| {
        let vary = if n == 1 { "x-a" } else { "x-a, x-b" };
        respond(200, &[FRESH, ("vary", vary)], n.to_string())
    }));
    let ask = |a, b| larder.ask(get("/", &[("x-a", a), ("x-b", b)]));
    assert_eq!(ask("1", "1").await.body, "1");
    assert_eq!(ask("2", "1").await.body, "2");
    assert_eq!(ask("2", "2").await.body, "3");
    assert_eq!(ask("2", "1").await.body, "2");
    assert_eq!(ask("2", "2").await.body, "3");
}

#[tokio::test(start_paused = true)]
async fn vary_star_matches_nobody() {
    let larder = Larder::new(Script::numbered(&[FRESH, ("vary", "accept, *")]));
    larder.get("/a").await;
    let second = larder.get("/a").await;
    assert!(!second.is_hit());
    assert_eq!(second.body, "2");
}

/// Asked twice, the second time by somebody else: the origin must be asked again.
async fn never_shared(fields: &'static [(&'static str, &'static str)], req: &[(&str, &str)]) {
    for policy in [Policy::origin(), Policy::default()] {
        let larder = Larder::with(Script::numbered(fields), policy);
        larder.ask(get("/a", req)).await;
        let other = larder.get("/a").await;
        assert_eq!(
            (other.body.as_str(), other.is_hit()),
            ("2", false),
            "{fields:?} {req:?}"
        );
        assert!(
            other.outcome.detail.is_some() || !req.is_empty(),
            "{:?}",
            other.outcome
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_personal_is_not_shared() {
    never_shared(&[("cache-control", "Private, max-age=60")], &[]).await;
    never_shared(&[("cache-control", "max-age=60, No-Store")], &[]).await;
    never_shared(
        &[
            ("cache-control", "max-age=60"),
            ("cache-control", "private"),
        ],
        &[],
    )
    .await;
    never_shared(&[FRESH, ("set-cookie", "id=1")], &[]).await;
    never_shared(&[FRESH], &[("authorization", "Bearer x")]).await;
    never_shared(&[FRESH], &[("cookie", "id=1")]).await;
    never_shared(&[], &[("cookie", "id=1")]).await;
}

#[tokio::test(start_paused = true)]
async fn what_says_that_it_may_be_shared_is_without_its_cookie() {
    let larder = Larder::new(Script::numbered(&[
        ("cache-control", "public, max-age=60"),
        ("set-cookie", "id=1"),
    ]));
    let first = larder
        .ask(get("/a", &[("authorization", "Bearer x")]))
        .await;
    assert_eq!(first.header("set-cookie"), "id=1");
    let second = larder.get("/a").await;
    assert!(second.is_hit());
    assert_eq!(second.header("set-cookie"), "");
}

/// A cookie is for who asked, and for none of those who waited for the same fetch.
#[tokio::test(start_paused = true)]
async fn nobody_who_waits_gets_the_cookie_of_another() {
    let script = Script::new(|n, _| async move {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let cookie = format!("id={n}");
        let fields = [
            ("cache-control", "public, max-age=60"),
            ("set-cookie", &*cookie),
        ];
        respond(200, &fields, "page")
    });
    let larder = std::sync::Arc::new(Larder::new(script));
    for round in 1..=3 {
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..20 {
            let larder = std::sync::Arc::clone(&larder);
            let fields = match n % 2 {
                0 => vec![],
                _ => vec![("cookie", "a=b")],
            };
            asked.spawn(async move { larder.ask(get("/a", &fields)).await });
        }
        let told = asked.join_all().await;
        assert!(told.iter().all(|told| told.body == "page"));
        let cookies: Vec<&str> = told.iter().map(|told| told.header("set-cookie")).collect();
        let mut given: Vec<&str> = cookies.into_iter().filter(|id| !id.is_empty()).collect();
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), count, "{given:?}");
        // The first round is one fetch, of which all have the page and one has the cookie.
        assert_eq!((larder.script.calls(), count), (1, usize::from(round == 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn unsafe_methods_pass_and_make_forget() {
    let larder = Larder::new(Script::numbered(&[FRESH]));
    assert_eq!(larder.get("/a").await.body, "1");
    let post = larder.ask(request("POST", "/a", &[])).await;
    assert_eq!(
        (post.body.as_str(), post.header("cache-status")),
        ("2", "larder; fwd=method")
    );
    assert_eq!(larder.get("/a").await.body, "3");
}

#[tokio::test(start_paused = true)]
async fn errors_are_not_kept_for_silence() {
    for status in [400, 403, 404, 405, 413, 429, 500, 502, 503] {
        let larder = Larder::with(
            Script::at_once(move |n, _| respond(status, &[], n.to_string())),
            Policy::default(),
        );
        larder.get("/a").await;
        assert_eq!(larder.get("/a").await.body, "2", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_fields_are_not_replayed_and_repeated_ones_are_kept() {
    let larder = Larder::new(Script::at_once(|_, _| {
        let mut res = respond(
            200,
            &[
                FRESH,
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("link", "<a>"),
                ("link", "<b>"),
            ],
            "",
        );
        let latin = http::HeaderValue::from_bytes(b"caf\xe9").unwrap();
        res.headers_mut().insert("x-latin", latin);
        res
    }));
    larder.get("/a").await;
    let hit = larder.get("/a").await;
    assert!(hit.is_hit());
    assert!(!hit.headers.contains_key("connection") && !hit.headers.contains_key("x-hop"));
    assert_eq!(hit.headers.get_all("link").iter().count(), 2);
    assert_eq!(hit.headers["x-latin"].as_bytes(), b"caf\xe9");
}

#[tokio::test(start_paused = true)]
async fn no_other_variant_stands_in_for_an_origin_that_fails() {
    let larder = Larder::new(Script::at_once(|n, _| match n {
        1 => {
            let stale = ("cache-control", "max-age=10, stale-if-error=600");
            respond(200, &[stale, ("vary", "x-session")], "a's")
        }
        _ => respond(503, &[], "down"),
    }));
    let ask = |session| larder.ask(get("/me", &[("x-session", session)]));
    ask("a").await;
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    assert_eq!(ask("b").await.body, "down");
    assert_eq!(larder.get("/me").await.body, "down");
    assert_eq!(ask("a").await.body, "a's");
}

#[tokio::test(start_paused = true)]
async fn compressed_bytes_go_on_saying_that_they_are() {
    let larder = Larder::new(Script::at_once(|n, _| {
        let tag = ("etag", "\"1\"");
        match n {
            1 => {
                let coding = ("content-encoding", "gzip");
                let named = ("connection", "content-encoding");
                respond(200, &[FRESH, tag, coding, named], "compressed")
            }
            _ => respond(304, &[FRESH, tag, ("content-encoding", "identity")], ""),
        }
    }));
    larder.get("/a").await;
    assert_eq!(larder.get("/a").await.header("content-encoding"), "gzip");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    for _ in 0..2 {
        let told = larder.get("/a").await;
        assert_eq!(
            (told.body.as_str(), told.header("content-encoding")),
            ("compressed", "gzip")
        );
    }
    assert_eq!(larder.script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_anonymous_client_is_refused_is_not_told_to_others() {
    let larder = Larder::new(Script::at_once(|_, req| {
        if req.headers.contains_key("authorization") {
            respond(200, &[FRESH], "welcome")
        } else {
            respond(401, &[FRESH], "who are you?")
        }
    }));
    assert_eq!(larder.get("/me").await.status, 401);
    let known = larder.ask(get("/me", &[("authorization", "Basic eA==")]));
    assert_eq!(known.await.body, "welcome");
    assert_eq!(larder.get("/me").await.status, 401);
}
