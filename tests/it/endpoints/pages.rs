//! `/healthz`, `/docs` and `/openapi.json`; and HEAD, wherever GET is answered.

use serde_json::json;

use crate::support::{origin::Origin, proxy::Larder};

#[tokio::test]
async fn health_is_good_while_serving() {
    let larder = Larder::start(&[]).await;
    let answer = larder.get("/healthz").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"success": true, "status": "serving", "cache": "ok"})
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_description_names_every_endpoint() {
    for prefix in ["", "/_larder"] {
        let larder = Larder::start(&["--prefix", prefix]).await;
        let answer = larder.get(&format!("{prefix}/openapi.json")).await;
        assert_eq!(answer.header("content-type"), "application/json");
        let api = answer.json();
        assert!(api["openapi"].as_str().unwrap().starts_with("3."));
        let base = api["servers"][0]["url"].as_str().unwrap();
        assert_eq!(base.trim_end_matches('/'), prefix);
        let paths = api["paths"].as_object().unwrap();
        for (path, method) in [
            ("/proxy", "get"),
            ("/cache", "delete"),
            ("/metrics", "get"),
            ("/healthz", "get"),
            ("/openapi.json", "get"),
            ("/docs", "get"),
        ] {
            let responses = &paths[path][method]["responses"];
            assert!(responses["200"].is_object(), "{path}");
            // And it is true: there is such a path.
            let target = match path {
                "/proxy" => format!("{prefix}/proxy?url=x"),
                _ => format!("{prefix}{path}"),
            };
            let method = method.to_uppercase();
            let status = larder.ask(&method, &target, &[]).await.status.to_string();
            assert!(responses[&status].is_object(), "{path} answers {status}");
        }
        assert_eq!(paths.len(), 6);
        for code in ["400", "403", "502", "504"] {
            assert!(
                paths["/proxy"]["get"]["responses"][code].is_object(),
                "{code}"
            );
        }
    }
}

#[tokio::test]
async fn the_docs_and_all_that_they_load_are_served_from_here() {
    for prefix in ["", "/_larder"] {
        let larder = Larder::start(&["--prefix", prefix]).await;
        for path in ["/docs", "/docs/"] {
            let page = larder.get(&format!("{prefix}{path}")).await;
            assert_eq!(page.status, 200);
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
            assert!(!page.text().contains("http://") && !page.text().contains("https://"));
            let files = page.text().split('"');
            let files = files.filter(|name| {
                [".js", ".css", ".png"]
                    .iter()
                    .any(|end| name.ends_with(end))
            });
            let mut loaded = 0;
            for name in files {
                let target = format!("{prefix}/docs/{}", name.trim_start_matches("./"));
                let file = larder.get(&target).await;
                assert_eq!(file.status, 200, "{target}");
                assert!(file.body.len() > 100, "{target}");
                let kind = match name.rsplit('.').next() {
                    Some("js") => "text/javascript",
                    Some("css") => "text/css",
                    _ => "image/png",
                };
                assert!(file.header("content-type").starts_with(kind), "{target}");
                loaded += 1;
            }
            assert!(loaded >= 5, "{loaded}");
        }
        let start = larder
            .get(&format!("{prefix}/docs/swagger-initializer.js"))
            .await;
        assert!(start.text().contains(&format!("\"{prefix}/openapi.json\"")));
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/kept").await;
    for target in [
        "/kept",
        "/proxy?url=kept",
        "/proxy",
        "/proxy?url=ftp%3A%2F%2Fx",
        "/metrics",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/docs/swagger-ui.css",
        "/docs/missing",
    ] {
        let (head, get) = (
            larder.ask("HEAD", target, &[]).await,
            larder.get(target).await,
        );
        assert_eq!((head.status, head.text()), (get.status, ""), "{target}");
        let name = "content-type";
        assert_eq!(head.header(name), get.header(name), "{target}");
        // The figures have changed in between, and a digit may have come.
        let lengths = [&head, &get].map(|answer| answer.header("content-length").to_owned());
        assert!(
            lengths[0] == lengths[1] || target == "/metrics",
            "{target}: {lengths:?}"
        );
        assert_eq!(lengths[1], get.body.len().to_string(), "{target}");
    }
    assert_eq!(origin.asked(), 1);
    // A miss by HEAD asks the origin, and tells of the whole.
    let head = larder.ask("HEAD", "/proxy?url=new", &[]).await;
    let get = larder.get("/proxy?url=new").await;
    assert_eq!((head.is_hit(), get.is_hit()), (false, true));
}
