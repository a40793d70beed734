//! What is counted of which exchange.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::outcome::{Forward, Outcome};

fn number(metrics: &Metrics, name: &str) -> u64 {
    match metrics.snapshot().get(name) {
        Some(Value::Int(number)) => number,
        other => panic!("{name}: {other:?}"),
    }
}

/// Passes a response with `outcome` and the body `four` through the layer around the cache.
async fn pass(metrics: &Metrics, outcome: Option<Outcome>) {
    let cache = service_fn(|_: Request<()>| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"four")));
        if let Some(outcome) = outcome.clone() {
            response.extensions_mut().insert(outcome);
        }
        async { Ok::<_, Infallible>(response) }
    });
    let service = metrics.layer().layer(cache);
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(number(metrics, "in_flight"), 1);
    response.into_body().collect().await.unwrap();
    assert_eq!(number(metrics, "in_flight"), 0);
}

#[tokio::test]
async fn begins_with_the_four_that_everybody_reads() {
    let metrics = Metrics::new();
    let first_four = |metrics: &Metrics| metrics.snapshot().fields()[..4].to_vec();
    let four = |total, hits, misses, ratio| {
        [
            ("total_requests", Value::Int(total)),
            ("cache_hits", Value::Int(hits)),
            ("cache_misses", Value::Int(misses)),
            ("cache_hit_ratio", Value::Float(ratio)),
        ]
    };
    assert_eq!(first_four(&metrics), four(0, 0, 0, 0.0));
    pass(&metrics, Some(Outcome::forwarded(Forward::UriMiss))).await;
    pass(&metrics, Some(Outcome::hit(9))).await;
    pass(&metrics, Some(Outcome::hit(8))).await;
    pass(&metrics, None).await;
    assert_eq!(first_four(&metrics), four(4, 2, 2, 0.5));
}

#[tokio::test]
async fn tells_outcomes_apart() {
    let metrics = Metrics::new();
    pass(&metrics, Some(Outcome::hit(5))).await;
    pass(&metrics, Some(Outcome::hit(-5))).await;
    let mut in_its_place = Outcome::forwarded(Forward::Stale);
    in_its_place.ttl = Some(-1);
    in_its_place.forward_status = Some(StatusCode::BAD_GATEWAY);
    pass(&metrics, Some(in_its_place)).await;
    let mut revalidated = Outcome::forwarded(Forward::Stale);
    revalidated.ttl = Some(0);
    revalidated.forward_status = Some(StatusCode::NOT_MODIFIED);
    pass(&metrics, Some(revalidated.clone())).await;
    revalidated.forward_status = Some(StatusCode::OK);
    revalidated.stored = true;
    pass(&metrics, Some(revalidated)).await;
    let mut collapsed = Outcome::forwarded(Forward::UriMiss);
    collapsed.collapsed = true;
    pass(&metrics, Some(collapsed)).await;

    for (name, expected) in [
        ("cache_hits", 2),
        ("cache_misses", 4),
        ("stale_served", 2),
        ("revalidations", 1),
        ("stored", 1),
        ("collapsed", 1),
        ("bytes_from_cache", 8),
        ("bytes_served", 24),
        ("errors", 0),
    ] {
        assert_eq!(number(&metrics, name), expected, "{name}");
    }
    let text = metrics.open_metrics();
    for (outcome, count) in [
        ("hit", 1),
        ("stale", 2),
        ("revalidated", 1),
        ("miss", 1),
        ("collapsed", 1),
    ] {
        let line = format!(
            "larder_cache_request_duration_seconds_count{{outcome=\"{outcome}\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[tokio::test]
async fn an_error_and_a_caller_that_leaves_are_misses() {
    let metrics = Metrics::new();
    let failing = service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, _>("the error is kept")
    });
    let failed = metrics
        .layer()
        .layer(failing)
        .oneshot(Request::new(()))
        .await;
    assert_eq!(failed.unwrap_err(), "the error is kept");
    assert_eq!(number(&metrics, "errors"), 1);
    assert_eq!(number(&metrics, "cache_misses"), 1);

    let silent = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let mut waiting = Box::pin(metrics.layer().layer(silent).oneshot(Request::new(())));
    assert!(futures_poll(waiting.as_mut()).is_pending());
    assert_eq!(number(&metrics, "in_flight"), 1);
    drop(waiting);
    assert_eq!(number(&metrics, "in_flight"), 0);
    assert_eq!(number(&metrics, "cache_misses"), 2);
    assert_eq!(number(&metrics, "total_requests"), 2);
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn an_abandoned_body_counts_what_was_read() {
    let metrics = Metrics::new();
    let cache = service_fn(|_: Request<()>| async {
        let mut response = Response::new(Full::new(Bytes::from_static(b"unread")));
        response.extensions_mut().insert(Outcome::hit(1));
        Ok::<_, Infallible>(response)
    });
    let response = metrics.layer().layer(cache).oneshot(Request::new(())).await;
    drop(response.unwrap());
    assert_eq!(number(&metrics, "bytes_from_cache"), 0);
    assert_eq!(number(&metrics, "in_flight"), 0);
    assert_eq!(number(&metrics, "cache_hits"), 1);
}

#[tokio::test]
async fn counts_the_upstream() {
    let metrics = Metrics::new();
    for status in [200, 204, 302, 404, 503, 999] {
        let upstream = service_fn(move |_: Request<()>| async move {
            let mut response = Response::new(Full::new(Bytes::from_static(b"four")));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, Infallible>(response)
        });
        let service = metrics.upstream_layer().layer(upstream);
        let response = service.oneshot(Request::new(())).await.unwrap();
        assert_eq!(number(&metrics, "upstream_in_flight"), 1);
        response.into_body().collect().await.unwrap();
    }
    let failing = service_fn(|_: Request<()>| async { Err::<Response<Empty<Bytes>>, _>("gone") });
    let service = metrics.upstream_layer().layer(failing);
    assert!(service.oneshot(Request::new(())).await.is_err());

    for (name, expected) in [
        ("upstream_requests", 7),
        ("upstream_errors", 1),
        ("upstream_in_flight", 0),
        ("upstream_2xx", 2),
        ("upstream_3xx", 1),
        ("upstream_4xx", 1),
        ("upstream_5xx", 1),
        ("bytes_from_upstream", 24),
        ("total_requests", 0),
    ] {
        assert_eq!(number(&metrics, name), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn durations_fall_into_their_buckets() {
    let metrics = Metrics::new();
    let slow = service_fn(|_: Request<()>| async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let response = metrics.layer().layer(slow).oneshot(Request::new(())).await;
    assert!(response.is_ok());
    let text = metrics.open_metrics();
    let bucket = |bound: &str, count: u64| {
        let line = format!(
            "larder_cache_request_duration_seconds_bucket{{le=\"{bound}\",outcome=\"miss\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    };
    bucket("0.0001", 0);
    bucket("0.25", 0);
    bucket("0.5", 1);
    bucket("30.0", 1);
    bucket("+Inf", 1);
}

#[test]
fn others_supply_gauges() {
    let metrics = Metrics::new();
    metrics.gauge("cache_entries", "Responses kept", || 17);
    metrics.gauge("cache_bytes", "Bytes kept", || -1);
    let snapshot = metrics.snapshot();
    let [.., entries, bytes] = snapshot.fields() else {
        panic!("no fields");
    };
    assert_eq!(*entries, ("cache_entries", Value::Int(17)));
    assert_eq!(*bytes, ("cache_bytes", Value::Int(0)));
    let text = metrics.clone().open_metrics();
    assert!(text.contains("# TYPE larder_cache_entries gauge\nlarder_cache_entries 17\n"));
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn readiness_is_the_inner_service_s() {
    struct Never;
    impl tower::Service<Request<()>> for Never {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Pending
        }
        fn call(&mut self, _: Request<()>) -> Self::Future {
            unreachable!("never ready")
        }
    }
    let mut service = Metrics::new().layer().layer(Never);
    assert!(futures_poll(std::pin::pin!(service.ready())).is_pending());
}
