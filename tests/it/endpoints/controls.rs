//! Who may use the controls, over real sockets: with a token, without one, at a listener of their
//! own, and from pages of other sites.

use crate::support::{
    origin::Origin,
    proxy::{Larder, ask, open, request},
};

const TOKEN: &str = "--admin-token=correct-horse-battery";
const SHOWN: (&str, &str) = ("authorization", "Bearer correct-horse-battery");
const ANOTHER: (&str, &str) = ("authorization", "Bearer correct-horse-batterz");

/// Everything that is a control.
const CONTROLS: [(&str, &str); 5] = [
    ("DELETE", "/cache"),
    ("DELETE", "/cache?url=/x"),
    ("GET", "/cache?url=/x"),
    ("HEAD", "/cache?url=/x"),
    ("PURGE", "/x"),
];

#[tokio::test]
async fn a_token_is_asked_for() {
    let origin = Origin::echoing().await;
    // Wherever it listens.
    for host in ["--host=127.0.0.1", "--host=0.0.0.0"] {
        let larder = Larder::before(&origin.url(), &[TOKEN, host]).await;
        for (method, target) in CONTROLS {
            larder.until_hit("/x").await;
            for fields in [&[][..], &[ANOTHER]] {
                let refused = larder.ask(method, target, fields).await;
                assert_eq!(refused.header("www-authenticate"), "Bearer");
                match method {
                    "HEAD" => assert_eq!(refused.status, 401),
                    _ => assert_eq!(refused.error(), (401, "unauthorized".to_owned())),
                }
                assert!(larder.get("/x").await.is_hit(), "{method} {target}");
            }
            assert_eq!(larder.ask(method, target, &[SHOWN]).await.status, 200);
            let kept = !matches!(method, "DELETE" | "PURGE");
            assert_eq!(larder.get("/x").await.is_hit(), kept, "{method} {target}");
        }
        // What only tells of larder is open.
        for path in ["/metrics", "/healthz", "/docs", "/openapi.json"] {
            assert_eq!(larder.get(path).await.status, 200);
        }
    }
    for head in origin.seen() {
        assert!(!head.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn the_token_is_not_explained_as_the_requests_own() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[TOKEN]).await;
    larder.until_hit("/x").await;
    let answer = larder.ask("GET", "/cache?url=/x", &[SHOWN]).await;
    assert_eq!(answer.json()["request"]["decision"], "hit");
    assert!(
        !answer.text().contains("Authorization"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn without_a_token_they_are_closed_to_other_machines() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &["--host=0.0.0.0"]).await;
    larder.until_hit("/x").await;
    for (method, target) in CONTROLS {
        for fields in [&[][..], &[SHOWN]] {
            let refused = larder.ask(method, target, fields).await;
            match method {
                "HEAD" => assert_eq!(refused.status, 403),
                _ => assert_eq!(refused.error(), (403, "controls_closed".to_owned())),
            }
        }
    }
    assert!(larder.get("/x").await.is_hit());
}

#[tokio::test]
async fn a_listener_of_their_own() {
    let origin = Origin::echoing().await;
    for token in [false, true] {
        let flags = ["--host=0.0.0.0", "--admin=127.0.0.1:0", TOKEN];
        let larder = Larder::before(&origin.url(), &flags[..2 + usize::from(token)]).await;
        let shown = &[SHOWN][..usize::from(token)];
        let control = async |method: &str, target: &str| {
            ask(larder.controls, request(method, target, shown, "")).await
        };
        larder.until_hit("/x").await;
        // Those paths are the origin's now, and so is what is sent to them.
        let passed = larder.ask("DELETE", "/cache", &[]).await;
        assert_eq!((passed.status, passed.header("via")), (200, "1.1 larder"));
        assert!(larder.get("/metrics").await.header("x-cache") == "MISS");
        assert!(larder.get("/x").await.is_hit());
        assert_eq!(larder.proxy("x").await.status, 200);

        assert_eq!(control("GET", "/metrics").await.header("x-cache"), "");
        assert_eq!(control("GET", "/healthz").await.status, 200);
        assert_eq!(control("GET", "/docs").await.status, 200);
        let api = control("GET", "/openapi.json").await.json();
        assert!(api["paths"]["/proxy"].is_null() && api["paths"]["/cache"].is_object());
        for target in ["/x", "/proxy?url=x"] {
            let missing = control("GET", target).await;
            assert_eq!(missing.error(), (404, "not_found".to_owned()));
        }
        for (method, target) in [("DELETE", "/cache"), ("PURGE", "/x")] {
            larder.until_hit("/x").await;
            assert_eq!(control(method, target).await.status, 200);
            assert!(!larder.get("/x").await.is_hit());
        }
        larder.until_hit("/x").await;
        let purged = larder.ask("PURGE", "/x", shown).await;
        match token {
            true => assert_eq!(purged.status, 200),
            false => assert_eq!(purged.error(), (403, "controls_closed".to_owned())),
        }
        assert_eq!(larder.get("/x").await.is_hit(), !token);
    }
}

#[tokio::test]
async fn a_listener_of_their_own_ends_with_the_other() {
    let larder = Larder::start(&["--admin=127.0.0.1:0"]).await;
    let controls = larder.controls;
    drop(open(controls, request("GET", "/healthz", &[], "")).await);
    larder.stop().await.unwrap();
    assert!(tokio::net::TcpStream::connect(controls).await.is_err());
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_and_the_docs_are_not() {
    let origin = Origin::echoing().await;
    for flags in [&[][..], &[TOKEN]] {
        let larder = Larder::before(&origin.url(), flags).await;
        let own = format!("http://{}", larder.address);
        let send = async |method: &str, target: &str, fields: &[(&str, &str)]| {
            // What a browser sends from the docs page, when it is trusted with "try it".
            let host = larder.address.to_string();
            let mut asked = request(method, target, fields, "");
            asked.headers_mut().insert("host", host.parse().unwrap());
            if !flags.is_empty() {
                let shown = SHOWN.1.parse().unwrap();
                asked.headers_mut().insert(SHOWN.0, shown);
            }
            ask(larder.address, asked).await
        };
        larder.until_hit("/x").await;
        for (method, target) in CONTROLS {
            for fields in [
                [
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://evil.test"),
                ],
                [
                    ("sec-fetch-site", "same-site"),
                    ("origin", "http://127.0.0.1:1"),
                ],
                [("sec-fetch-mode", "cors"), ("origin", "null")],
            ] {
                let refused = send(method, target, &fields).await;
                match method {
                    "HEAD" => assert_eq!(refused.status, 403),
                    _ => assert_eq!(refused.error(), (403, "cross_site".to_owned())),
                }
            }
        }
        assert!(larder.get("/x").await.is_hit());
        for (method, target) in CONTROLS {
            let fields = [("sec-fetch-site", "same-origin"), ("origin", &*own)];
            assert_eq!(send(method, target, &fields).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_opens_nothing() {
    let larder = Larder::start(&[]).await;
    let mut asked = request("DELETE", "/cache", &[("origin", "http://evil.test")], "");
    let name = "evil.test".parse().unwrap();
    asked.headers_mut().insert("host", name);
    let refused = ask(larder.address, asked).await;
    assert_eq!(refused.error(), (403, "foreign_host".to_owned()));
}
