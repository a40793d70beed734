//! `DELETE /cache` with parameters, and `PURGE`: the whole program around an origin.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::Request,
    response::{AppendHeaders, IntoResponse},
};
use larder::proxy::{Origin, Proxy, config::Config};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A running larder before an origin whose bodies are the number of the call.
struct Running {
    address: SocketAddr,
    origin: SocketAddr,
}

impl Running {
    async fn start() -> Running {
        let calls = Arc::new(AtomicUsize::new(0));
        let app = Router::new().fallback(move |req: Request| {
            let n = calls.fetch_add(1, Ordering::Relaxed) + 1;
            async move { answer(&req, n) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = Config {
            port: 0,
            origin: Some(Origin::parse(&format!("http://{origin}")).unwrap()),
            ..Config::default()
        };
        let proxy = Proxy::bind(config).await.unwrap();
        let address = proxy.local_addr();
        tokio::spawn(proxy.run(std::future::pending()));
        Running { address, origin }
    }

    /// Status, `X-Cache` and body of the answer.
    async fn ask(&self, line: &str, fields: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        let cache = head.lines().find_map(|line| line.strip_prefix("x-cache: "));
        (
            status,
            cache.unwrap_or_default().to_owned(),
            body.to_owned(),
        )
    }

    async fn is_hit(&self, path: &str) -> bool {
        let (status, cache, _) = self.ask(&format!("GET {path}"), "").await;
        assert_eq!(status, 200);
        cache == "HIT"
    }

    async fn told(&self, line: &str) -> Value {
        let (status, _, body) = self.ask(line, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn answer(req: &Request, n: usize) -> impl IntoResponse + use<> {
    let window = "max-age=60, stale-while-revalidate=60";
    let tag = match req.uri().path().starts_with("/products") {
        true => "catalogue, all",
        false => "all",
    };
    let fields = [
        ("cache-control", window),
        ("cache-tag", tag),
        ("vary", "x-shop"),
        ("content-type", "application/json"),
    ];
    (AppendHeaders(fields), n.to_string())
}

#[tokio::test]
async fn one_url_goes_with_all_its_variants() {
    let larder = Running::start().await;
    let absolute = format!("/cache?url=http://{}/products/1%3Fa", larder.origin);
    for line in [
        "DELETE /cache?url=/products/1?a",
        &format!("DELETE {absolute}"),
        "PURGE /products/1?a",
    ] {
        for shop in ["", "X-Shop: 1\r\n"] {
            larder.ask("GET /products/1?a", shop).await;
            assert_eq!(larder.ask("GET /products/1?a", shop).await.1, "HIT");
        }
        larder.is_hit("/products/1").await;
        let told = larder.told(line).await;
        let wanted = json!({"success": true, "message": "Purged 2 responses", "purged": 2});
        assert_eq!(told, wanted, "{line}");
        for shop in ["", "X-Shop: 1\r\n"] {
            assert_eq!(
                larder.ask("GET /products/1?a", shop).await.1,
                "MISS",
                "{line}"
            );
        }
        assert!(larder.is_hit("/products/1").await);
    }
}

#[tokio::test]
async fn what_the_envelope_keeps_is_the_same() {
    let larder = Running::start().await;
    larder.is_hit("/proxy?url=products").await;
    assert!(larder.is_hit("/products").await);
    assert_eq!(larder.told("PURGE /products").await["purged"], 1);
    assert!(!larder.is_hit("/proxy?url=products").await);
}

#[tokio::test]
async fn prefixes_and_tags() {
    let larder = Running::start().await;
    let paths = ["/products", "/products/1", "/products-old", "/users"];
    for (what, purged) in [
        ("prefix=/products", &paths[..2]),
        ("tag=catalogue", &paths[..3]),
        ("prefix=/", &paths[..]),
        ("tag=none", &[]),
    ] {
        for path in paths {
            larder.is_hit(path).await;
        }
        let dry = larder
            .told(&format!("DELETE /cache?{what}&dry_run=true"))
            .await;
        assert_eq!(
            (&dry["purged"], &dry["dry_run"]),
            (&json!(purged.len()), &json!(true))
        );
        let mut keys: Vec<_> = dry["keys"].as_array().unwrap().iter().collect();
        keys.sort_by_key(|key| key.to_string());
        let uri = |path: &&str| json!(format!("GET http://{}{path}", larder.origin));
        let mut wanted: Vec<_> = purged.iter().map(uri).collect();
        wanted.sort_by_key(Value::to_string);
        let wanted: Vec<_> = wanted.iter().collect();
        assert_eq!(keys, wanted);
        for path in paths {
            assert!(larder.is_hit(path).await, "a dry run changes nothing");
        }
        let told = larder.told(&format!("DELETE /cache?{what}")).await;
        assert_eq!(told["purged"], purged.len(), "{what}");
        for path in paths {
            assert_eq!(
                larder.is_hit(path).await,
                !purged.contains(&path),
                "{what} {path}"
            );
        }
    }
}

#[tokio::test]
async fn soft_serves_what_is_stale_while_it_is_fetched() {
    let larder = Running::start().await;
    let first = larder.ask("GET /a", "").await;
    let told = larder.told("DELETE /cache?url=/a&soft=true").await;
    assert_eq!(told["message"], "Made 1 response stale");
    let (status, cache, body) = larder.ask("GET /a", "").await;
    assert_eq!((status, &*cache, body), (200, "HIT", first.2));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_and_purges_nothing() {
    let larder = Running::start().await;
    larder.is_hit("/a").await;
    for query in [
        "url=",
        "tag=",
        "prefix=",
        "everything",
        "url=/a&tag=b",
        "url=/a&soft=perhaps",
    ] {
        let (status, _, body) = larder.ask(&format!("DELETE /cache?{query}"), "").await;
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &value["success"]), (400, &json!(false)), "{query}");
    }
    assert!(larder.is_hit("/a").await);
}
