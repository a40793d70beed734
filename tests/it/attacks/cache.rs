//! Requests that would have the cache serve to others what was meant for, or made by, one.

use http_body_util::BodyExt;

use crate::support::{origin::Origin, proxy::Larder, script::respond};

const KEPT: (&str, &str) = ("cache-control", "max-age=60");

/// Answers with the fields that it was sent and that may move it.
async fn moved_by_fields() -> Origin {
    Origin::at_once(|_, request| {
        let mut told: Vec<String> = request
            .headers()
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(['x', 'f']))
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        told.sort();
        respond(200, &[KEPT], told.join(" "))
    })
    .await
}

#[tokio::test]
async fn what_proxies_tell_of_a_client_is_believed_only_if_larder_is_told_so() {
    let origin = moved_by_fields().await;
    let fields = [
        ("x-forwarded-host", "a"),
        ("forwarded", "host=a"),
        ("x-original-url", "/a"),
    ];
    let larder = Larder::before(&origin.url(), &[]).await;
    assert_eq!(larder.ask("GET", "/x", &fields).await.text(), "");
    let inner = Larder::before(&origin.url(), &["--trust-forwarded"]).await;
    let told = inner.ask("GET", "/x", &fields).await;
    assert_eq!(told.text(), "forwarded=host=a x-forwarded-host=a");
}

#[tokio::test]
async fn an_underscore_is_no_way_around() {
    let origin = moved_by_fields().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for field in [
        "X_Forwarded_Host",
        "x-forwarded_host",
        "X_Original-URL",
        "X-Host",
        "X_HTTP_Method_Override",
    ] {
        let answer = larder
            .ask("GET", &format!("/{field}"), &[(field, "evil")])
            .await;
        assert_eq!(answer.text(), "", "{field}");
    }
}

/// Some origins make one set of fields of a head and its trailers.
#[tokio::test]
async fn trailers_are_no_way_around() {
    let origin = Origin::serving(|_, request| async {
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let mut names: Vec<_> = trailers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let told = names.join(" ");
        respond(200, &[], format!("{told}: {:?}", body.to_bytes()))
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let names = [
        "X-Sum",
        "X-Forwarded-Host",
        "X_Original_URL",
        "X-HTTP-Method-Override",
        "Authorization",
        "Cookie",
        "Connection",
        "X-Time",
    ];
    let list = names.join(", ");
    let trailers = names.map(|name| format!("{name}: 1\r\n")).concat();
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
         Trailer: {list}\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n"
    );
    let answer = larder.talk(request.as_bytes()).await.hear_out().await;
    assert!(answer.contains("\nx-sum x-time: b\"hi\""), "{answer}");
}

#[tokio::test]
async fn a_key_header_is_passed_on_and_tells_responses_apart() {
    let origin = moved_by_fields().await;
    let flags = ["--key-header=X-Host", "--key-header=X-Tenant"];
    let larder = Larder::before(&origin.url(), &flags).await;
    let ask = |value: &'static str| {
        let larder = &larder;
        async move { larder.ask("GET", "/x", &[("x-host", value)]).await }
    };
    for (value, hit) in [
        ("a", false),
        ("b", false),
        ("a", true),
        ("b", true),
        ("c", false),
    ] {
        let answer = ask(value).await;
        assert_eq!(
            (answer.text(), answer.is_hit()),
            (&*format!("x-host={value}"), hit)
        );
    }
    assert_eq!(larder.get("/x").await.text(), "");
    assert!(ask("a").await.header("vary").contains("x-host"));
    assert_eq!(origin.asked(), 4);
}

/// Someone makes the origin fail by what no key holds: nobody else is told of it.
#[tokio::test]
async fn errors_that_a_client_provokes_are_not_kept() {
    for status in [400, 405, 408, 413, 414, 431, 500, 501, 502, 503] {
        let modified = ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT");
        for fields in [&[modified][..], &[("cache-control", "public"), modified]] {
            let fields = fields.to_vec();
            let silent = Origin::at_once(move |_, _| respond(status, &fields, "no")).await;
            let larder = Larder::before(&silent.url(), &["--ttl=origin"]).await;
            for _ in 0..2 {
                assert!(!larder.get("/x").await.is_hit(), "{status}");
            }
        }
        let broken = Origin::at_once(move |_, request| {
            let odd = |name| request.headers().contains_key(name);
            let long = request
                .headers()
                .get("user-agent")
                .is_some_and(|name| name.len() > 9);
            let strange = request
                .headers()
                .get("accept")
                .is_some_and(|it| it == "bogus/*");
            let is_odd = ["x-odd", "range", "api-version", "content-type", "prefer"].map(odd);
            match long || strange || is_odd.contains(&true) {
                true => respond(status, &[KEPT], "no"),
                false => respond(200, &[KEPT], "yes"),
            }
        })
        .await;
        let larder = Larder::before(&broken.url(), &[]).await;
        let long = "x".repeat(2000);
        let fields = [
            ("x-odd", "1"),
            ("user-agent", &*long),
            ("range", "bytes=x"),
            ("api-version", "99"),
            ("content-type", "bogus"),
            ("prefer", "x"),
            ("accept", "bogus/*"),
        ];
        for (n, field) in fields.into_iter().enumerate() {
            let path = format!("/{n}");
            assert_eq!(larder.ask("GET", &path, &[field]).await.status, status);
            assert_eq!(larder.get(&path).await.text(), "yes", "{status} {field:?}");
        }
        // Where nothing unusual was asked, it is what the origin says of the URL.
        let usual = Origin::at_once(move |_, _| respond(status, &[KEPT], "no")).await;
        let larder = Larder::before(&usual.url(), &[]).await;
        let fields = [("user-agent", "x"), ("accept", "*/*"), ("dnt", "1")];
        larder.ask("GET", "/x", &fields).await;
        assert!(larder.get("/x").await.is_hit(), "{status}");
    }
}

#[tokio::test]
async fn answers_to_cookies_are_shared_only_where_they_say_so() {
    let origin = Origin::at_once(|number, request| {
        let says = match request.uri().path() {
            "/public" => "public, max-age=60",
            "/shared" => "s-maxage=60",
            "/revalidated" => "must-revalidate, max-age=60",
            _ => "max-age=60",
        };
        respond(
            200,
            &[("cache-control", says), ("set-cookie", "id=9")],
            number.to_string(),
        )
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for (path, shared) in [
        ("/public", true),
        ("/shared", true),
        ("/revalidated", false),
        ("/silent", false),
    ] {
        larder.ask("GET", path, &[("cookie", "id=7")]).await;
        let next = larder.get(path).await;
        assert_eq!(next.is_hit(), shared, "{path}");
        assert_eq!(next.headers.contains_key("set-cookie"), !shared, "{path}");
    }
}

/// The key is the target as the origin sees it, octet for octet.
#[tokio::test]
async fn paths_that_look_alike_are_two_and_all_go_to_the_origin_as_they_came() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let targets = [
        "/account",
        "/account/",
        "/account/x.css",
        "/account;x.css",
        "/account%2fx.css",
        "/account%2Fx.css",
        "/account%3bx.css",
        "/account/.",
        "/account/./",
        "/account/../account",
        "/account/%2e%2e/account",
        "/Account",
        "//account",
        "/account?",
        "/account?x.css",
        "/account%3fx.css",
        "/account%23x.css",
        "/account%00.css",
        "/account\\x.css",
        "/%61ccount",
    ];
    for target in targets {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let answer = larder.talk(request.as_bytes()).await.hear_out().await;
        assert!(
            answer.contains("\r\nx-cache: MISS\r\n"),
            "{target}: {answer}"
        );
    }
    let seen: Vec<String> = origin
        .seen()
        .iter()
        .map(|head| head.uri.to_string())
        .collect();
    assert_eq!(seen, targets);
}

/// What an origin says of a page is not changed by how its name ends.
#[tokio::test]
async fn a_name_that_ends_in_css_makes_nothing_cacheable() {
    let origin = Origin::at_once(|_, _| respond(200, &[("cache-control", "private")], "me")).await;
    let larder = Larder::before(&origin.url(), &["--ttl=60"]).await;
    for path in ["/account/x.css", "/account;.js", "/account%2fx.png"] {
        for _ in 0..2 {
            assert!(!larder.get(path).await.is_hit(), "{path}");
        }
    }
}

#[tokio::test]
async fn who_waits_together_does_not_get_the_others_answer() {
    let origin = Origin::at_once(|_, request| {
        let who = request
            .headers()
            .get("authorization")
            .or(request.headers().get("cookie"));
        let who = who.map_or("nobody", |who| who.to_str().unwrap());
        respond(200, &[KEPT], who.to_owned())
    })
    .await;
    let larder = Larder::before(&origin.url(), &[]).await;
    for round in 0..5 {
        let path = format!("/{round}");
        let ask =
            |fields: &'static [(&'static str, &'static str)]| larder.ask("GET", &path, fields);
        let answers = tokio::join!(
            ask(&[("cookie", "id=1")]),
            ask(&[("cookie", "id=2")]),
            ask(&[("authorization", "Bearer 3")]),
            ask(&[("authorization", "Bearer 4")]),
            larder.get(&path),
        );
        let texts = [&answers.0, &answers.1, &answers.2, &answers.3, &answers.4];
        let texts = texts.map(|answer| answer.text());
        assert_eq!(texts, ["id=1", "id=2", "Bearer 3", "Bearer 4", "nobody"]);
    }
}

/// `Connection` takes a field away before anything is looked up by it, and not after.
#[tokio::test]
async fn what_is_for_the_connection_alone_tells_no_responses_apart() {
    let origin = Origin::at_once(|_, request| {
        let told = |name| match request.headers().get(name) {
            Some(value) => value.to_str().unwrap().to_owned(),
            None => "none".to_owned(),
        };
        let fields = [KEPT, ("vary", "accept-language")];
        respond(
            200,
            &fields,
            told("x-tenant") + " " + &told("accept-language"),
        )
    });
    let origin = origin.await;
    let larder = Larder::before(&origin.url(), &["--key-header=X-Tenant"]).await;
    let (tenant, language) = (("x-tenant", "a"), ("accept-language", "de"));
    let named = ("connection", "x-tenant, accept-language, via");
    for _ in 0..2 {
        let answer = larder.ask("GET", "/x", &[tenant, language, named]).await;
        assert_eq!(answer.text(), "none none");
        let answer = larder.ask("GET", "/x", &[tenant, language]).await;
        assert_eq!(answer.text(), "a de");
    }
    assert_eq!(origin.asked(), 2);
    let seen = origin.seen();
    assert!(seen.iter().all(|req| req.headers.contains_key("via")));
}

/// A target that is refused where it is not stored is refused where another is, that reads as it.
#[tokio::test]
async fn raw_bytes_are_no_hit() {
    let origin = Origin::at_once(|_, _| respond(200, &[KEPT], "kept")).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/proxy?url=%C3%A4").await;
    assert!(larder.get("/proxy?url=%C3%A4").await.is_hit());
    let raw = "GET /proxy?url=\u{e4} HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = larder.talk(raw.as_bytes()).await.hear_out().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
