//! The Redis backend, from end to end: what is stored survives, and no request ever fails for it.

use crate::support::{
    origin::Origin,
    proxy::{Answer, Larder, soon},
    redis::{Authority, Redis, Reply, Secure},
};

fn flags(redis: &Redis) -> [String; 3] {
    [
        "--near=off".to_owned(),
        "--backend=redis".to_owned(),
        format!("--redis-url={}", redis.url()),
    ]
}

async fn before(origin: &Origin, redis: &Redis) -> Larder {
    let flags = flags(redis);
    Larder::before(&origin.url(), &flags.each_ref().map(String::as_str)).await
}

/// It was answered, whatever Redis does.
fn fine(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (200, "\"/x\""));
}

#[tokio::test]
async fn what_is_stored_survives_a_restart_of_larder() {
    let redis = Redis::start();
    let origin = Origin::echoing().await;
    let first = before(&origin, &redis).await;
    fine(&first.get("/x").await);
    first.until_hit("/x").await;
    soon(first.stop()).await.unwrap();

    let second = before(&origin, &redis).await;
    let answer = second.get("/x").await;
    fine(&answer);
    assert!(answer.is_hit());
    assert_eq!(second.proxy("x").await.json()["source"], "cache");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn every_key_has_the_prefix_and_an_expiry() {
    let redis = Redis::start();
    let origin = Origin::echoing().await;
    let [near, backend, url] = flags(&redis);
    let larder = Larder::before(
        &origin.url(),
        &[&near, &backend, &url, "--redis-prefix=mine", "--ttl=60"],
    )
    .await;
    larder.get("/x").await;
    larder.until_hit("/x").await;
    let keys = redis.command(&["KEYS", "*"]);
    assert!(!keys.is_empty());
    for key in keys {
        let Reply::Text(key) = key else {
            panic!("{key:?}");
        };
        assert!(
            key.starts_with(b"mine:"),
            "{}",
            String::from_utf8_lossy(&key)
        );
        let left = redis.command(&[&b"TTL"[..], &key]);
        assert!(matches!(left[..], [Reply::Number(1..)]), "{left:?}");
    }
}

#[tokio::test]
async fn redis_down_at_the_start_and_up_later() {
    let mut redis = Redis::start();
    redis.kill();
    let origin = Origin::echoing().await;
    let larder = before(&origin, &redis).await;
    for _ in 0..3 {
        let answer = larder.get("/x").await;
        fine(&answer);
        assert!(!answer.is_hit());
    }
    assert_eq!(larder.get("/healthz").await.status, 200);
    redis.restart();
    fine(&larder.until_hit("/x").await);
}

#[tokio::test]
async fn redis_killed_under_way_and_started_again() {
    let mut redis = Redis::start();
    let origin = Origin::echoing().await;
    let larder = before(&origin, &redis).await;
    larder.get("/x").await;
    larder.until_hit("/x").await;
    redis.kill();
    for _ in 0..5 {
        let answer = larder.get("/x").await;
        fine(&answer);
        assert!(!answer.is_hit());
        assert_eq!(larder.proxy("x").await.status, 200);
    }
    redis.restart();
    let asked = origin.asked();
    fine(&larder.until_hit("/x").await);
    assert!(origin.asked() > asked, "the new server was empty");
}

#[tokio::test]
async fn redis_hanging_fails_no_request() {
    let redis = Redis::start();
    let origin = Origin::echoing().await;
    let larder = before(&origin, &redis).await;
    larder.get("/x").await;
    larder.until_hit("/x").await;
    redis.pause();
    for _ in 0..5 {
        fine(&larder.get("/x").await);
    }
    redis.resume();
    fine(&larder.until_hit("/x").await);
}

#[tokio::test]
async fn what_is_in_memory_goes_on_without_redis() {
    let mut redis = Redis::start();
    let origin = Origin::echoing().await;
    let url = format!("--redis-url={}", redis.url());
    let flags = ["--backend=redis", &url, "--near=on", "--near-ttl=60"];
    let larder = Larder::before(&origin.url(), &flags).await;
    larder.get("/x").await;
    larder.until_hit("/x").await;
    redis.kill();
    let asked = origin.asked();
    for _ in 0..5 {
        let answer = larder.get("/x").await;
        fine(&answer);
        assert!(answer.is_hit());
    }
    assert_eq!(origin.asked(), asked);
}

#[tokio::test]
async fn over_tls_with_an_authority_of_its_own() {
    let authority = Authority::new();
    let secure = Secure::start(&authority, "localhost");
    let origin = Origin::echoing().await;
    let url = format!("--redis-url={}", secure.tls_url("localhost"));
    let ca = format!("--redis-ca={}", authority.file().display());
    let known = Larder::before(&origin.url(), &["--backend=redis", "--near=off", &url, &ca]).await;
    fine(&known.until_hit("/x").await);
    assert_eq!(known.get("/healthz").await.json()["cache"], "ok");
    let unknown = Larder::before(&origin.url(), &["--backend=redis", "--near=off", &url]).await;
    fine(&unknown.get("/x").await);
    assert_eq!(unknown.get("/healthz").await.json()["cache"], "degraded");
}

#[tokio::test]
async fn memory_goes_on_as_the_only_tier() {
    let mut redis = Redis::start();
    let origin = Origin::echoing().await;
    let url = format!("--redis-url={}", redis.url());
    let flags = ["--backend=redis", &url, "--near-ttl=60"];
    let larder = Larder::before(&origin.url(), &flags).await;
    redis.kill();
    let degraded = async || larder.get("/healthz").await.json()["cache"] == "degraded";
    soon(async { while !degraded().await {} }).await;
    for path in ["/new", "/newer?a=b"] {
        assert!(!larder.get(path).await.is_hit());
        for _ in 0..3 {
            assert!(larder.get(path).await.is_hit(), "{path}");
        }
    }
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn what_one_instance_clears_is_gone_on_the_other() {
    let redis = Redis::start();
    let origin = Origin::echoing().await;
    let url = format!("--redis-url={}", redis.url());
    let flags = ["--backend=redis", &url, "--near-ttl=60"];
    let one = Larder::before(&origin.url(), &flags).await;
    let other = Larder::before(&origin.url(), &flags).await;
    one.get("/x").await;
    one.until_hit("/x").await;
    assert!(other.get("/x").await.is_hit());
    assert_eq!(one.ask("DELETE", "/cache", &[]).await.status, 200);
    soon(async { while other.get("/x").await.is_hit() {} }).await;
    assert_eq!(origin.asked(), 2);
}
