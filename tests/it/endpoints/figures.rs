//! `GET /metrics`: the figures in JSON, and in OpenMetrics text for whom prefers it.

use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{
    origin::{Origin, nobody},
    proxy::{Larder, ask, request, soon},
};

const FIRST: [&str; 4] = [
    "total_requests",
    "cache_hits",
    "cache_misses",
    "cache_hit_ratio",
];

/// What Prometheus sends.
const SCRAPER: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
    text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

async fn figures(larder: &Larder) -> Value {
    let answer = larder.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let value = answer.json();
    assert_eq!(value["success"], true);
    let value = value["metrics"].clone();
    // All are numbers, so that every second piece is a name.
    let names: Vec<_> = answer.text().split('"').skip(1).step_by(2).collect();
    assert_eq!(names[..2], ["success", "metrics"]);
    assert_eq!(names[2..6], FIRST);
    assert!(
        value.as_object().unwrap().values().all(Value::is_number),
        "{value}"
    );
    value
}

fn first_four(figures: &Value) -> (u64, u64, u64, f64) {
    let count = |name: &str| figures[name].as_u64().unwrap();
    let ratio = figures["cache_hit_ratio"].as_f64().unwrap();
    (count(FIRST[0]), count(FIRST[1]), count(FIRST[2]), ratio)
}

#[tokio::test]
async fn they_begin_at_zero_and_count_each_request_once() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    assert_eq!(first_four(&figures(&larder).await), (0, 0, 0, 0.0));
    let page = larder.get("/metrics").await;
    assert!(
        page.text().contains("\"cache_hit_ratio\": 0.0,"),
        "{}",
        page.text()
    );
    larder.get("/a").await;
    for _ in 0..2 {
        assert!(larder.proxy("a").await.is_hit());
    }
    assert!(larder.get("/a").await.is_hit());
    assert_eq!(first_four(&figures(&larder).await), (4, 3, 1, 0.75));
    // What larder answers by itself is no request to the cache.
    larder.get("/healthz").await;
    larder.get("/proxy").await;
    larder.ask("DELETE", "/proxy", &[]).await;
    assert_eq!(first_four(&figures(&larder).await), (4, 3, 1, 0.75));
    // Whatever cannot be answered from a cache is a miss.
    larder.ask("POST", "/a", &[]).await;
    let figures = figures(&larder).await;
    assert_eq!(first_four(&figures), (5, 3, 2, 0.6));
    assert_eq!(figures["upstream_requests"], 2);
    assert_eq!(figures["upstream_2xx"], 2);
    assert_eq!(figures["in_flight"], 0);
    // "/a" in quotes, from the upstream twice and from the cache three times.
    assert_eq!(figures["bytes_from_upstream"], 8);
    assert_eq!(figures["bytes_from_cache"], 12);
}

#[tokio::test]
async fn what_is_kept_and_what_failed_is_shown_too() {
    let origin = Origin::saying("text/plain", &[b'x'; 10_000]).await;
    let larder = Larder::before(&origin.url(), &[]).await;
    assert_eq!(figures(&larder).await["cache_entries"], 0);
    larder.get("/a").await;
    let shown = figures(&larder).await;
    assert_eq!(shown["cache_entries"], 1);
    assert!(shown["cache_bytes"].as_u64().unwrap() >= 10_000);
    larder.ask("DELETE", "/cache", &[]).await;
    assert_eq!(figures(&larder).await["cache_entries"], 0);

    let gone = nobody();
    let broken = Larder::before(&gone.url(), &[]).await;
    broken.get("/a").await;
    let shown = figures(&broken).await;
    assert_eq!(
        (&shown["errors"], &shown["upstream_errors"]),
        (&1.into(), &1.into())
    );
    assert_eq!(first_four(&shown), (1, 0, 1, 0.0));
}

#[tokio::test]
async fn hits_and_misses_are_the_total_at_every_moment() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let mut asking = JoinSet::new();
    for n in 0..60 {
        let target = match n % 4 {
            0 => format!("/proxy?url={}", n % 7),
            1 => format!("/{n}"),
            _ => format!("/{}", n % 5),
        };
        let method = if n % 12 == 1 { "PUT" } else { "GET" };
        asking.spawn(ask(larder.address, request(method, &target, &[], "")));
    }
    let mut hits_seen = 0;
    while let Some(answer) = soon(asking.join_next()).await {
        hits_seen += u64::from(answer.unwrap().is_hit());
        let (total, hits, misses, ratio) = first_four(&figures(&larder).await);
        assert_eq!(hits + misses, total);
        assert!(total <= 60 && hits >= hits_seen);
        assert!(total == 0 || ratio == hits as f64 / total as f64);
    }
    let (total, hits, ..) = first_four(&figures(&larder).await);
    assert_eq!((total, hits), (60, hits_seen));
}

#[tokio::test]
async fn a_scraper_is_given_openmetrics() {
    let origin = Origin::echoing().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.get("/a").await;
    larder.get("/a").await;
    for accept in [SCRAPER, "text/plain", "application/openmetrics-text"] {
        let page = larder.ask("GET", "/metrics", &[("accept", accept)]).await;
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, content_type)
        );
        assert!(page.text().ends_with("# EOF\n"));
        for line in page.text().lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("larder_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        for part in [
            "_bucket{",
            "outcome=\"hit\"",
            "outcome=\"miss\"",
            "le=\"+Inf\"",
        ] {
            assert!(page.text().contains(part), "{part} in {}", page.text());
        }
    }
    for accept in [
        "*/*",
        "application/json",
        "text/html,*/*;q=0.8",
        "text/plain;q=0.1, */*",
    ] {
        let page = larder.ask("GET", "/metrics", &[("accept", accept)]).await;
        assert_eq!(page.header("content-type"), "application/json", "{accept}");
    }
}
